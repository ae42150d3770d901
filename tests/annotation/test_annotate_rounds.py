"""Images that came one after another."""

import os
from pathlib import Path

import pytest

from wsol.annotation.annotate import take_rounds
from wsol.data.file_index import Names
from wsol.data.labels import GivenLabels
from wsol.errors import ConfigError
from wsol.prediction.inputs import ImageCollection

NAMES = ["a\nb.jpg", os.fsdecode(b"\xff.jpg"), "ü/c.jpg", "d.jpg"]


def images(names: list[str], labels: dict[str, list[str]]) -> ImageCollection:
    """Return images with their classes."""
    classes = tuple(sorted({name for own in labels.values() for name in own}))
    rows = ([classes.index(each) for each in labels.get(name, [])] for name in names)
    return ImageCollection(Path("photos"), Names(names), GivenLabels(classes, rows))


def described(found: ImageCollection) -> list[tuple[str, list[str]]]:
    """Return each image with its classes."""
    assert found.labels is not None
    rows = zip(found.names, found.labels, strict=True)
    return [(name, [found.labels.classes[label] for label in own]) for name, own in rows]


def test_order_and_classes_stay(tmp_path: Path) -> None:
    """New images are behind those that were there, and so are new classes; names are any."""
    labels = {NAMES[0]: ["b"], NAMES[1]: ["c", "b"], NAMES[2]: ["a"], NAMES[3]: []}
    first, rounds = take_rounds(tmp_path, images(NAMES[1:2], labels | {NAMES[2]: []}))
    assert (described(first), rounds) == ([(NAMES[1], ["c", "b"])], (1,))
    for _ in range(2):
        found, rounds = take_rounds(tmp_path, images(NAMES, labels))
        order = [NAMES[1], NAMES[0], *NAMES[2:]]
        assert described(found) == [(name, labels[name]) for name in order]
        assert rounds == (1, 3)
        assert found.labels is not None
        assert found.labels.classes == ("b", "c", "a")


def test_what_changes_old_boxes_is_refused(tmp_path: Path) -> None:
    """An image that is gone, one with another label, and a file that is damaged."""
    labels = {name: ["a"] for name in NAMES}
    take_rounds(tmp_path / "rounds", images(NAMES, labels))
    with pytest.raises(ConfigError, match="1 images are missing"):
        take_rounds(tmp_path / "rounds", images(NAMES[1:], labels))
    with pytest.raises(ConfigError, match=r"1 images have other labels .*\('d\.jpg'\)"):
        take_rounds(tmp_path / "rounds", images(NAMES, labels | {"d.jpg": []}))
    (tmp_path / "rounds/round-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"round-000000\.parquet"):
        take_rounds(tmp_path / "rounds", images(NAMES, labels))
