"""The curve as an image, and without matplotlib a line that says what is missing."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.evaluation.score_maps import save_curve

CURVE = {"threshold": np.array([0.0, 0.5]), "max_box_acc_50": np.array([10.0, 90.0])}


def test_a_image_is_written(tmp_path: Path) -> None:
    """It shows the line: another curve is another image."""
    for name, factor in (("a", 1.0), ("b", 0.5)):
        curve = CURVE | {"max_box_acc_50": factor * CURVE["max_box_acc_50"]}
        save_curve(tmp_path / f"{name}.png", curve, "maps")
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert (a.format, a.size) == ("PNG", b.size)
        assert not np.array_equal(np.asarray(a), np.asarray(b))


def test_without_matplotlib_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, no error, and no old image beside new figures."""
    (tmp_path / "a.png").touch()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.INFO, "wsol"):
        save_curve(tmp_path / "a.png", CURVE, "maps")
    assert caplog.messages == [
        'a.png not written: matplotlib is not installed: pip install "wsol[plot]"'
    ]
    assert not list(tmp_path.iterdir())
