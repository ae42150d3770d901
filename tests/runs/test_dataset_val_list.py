"""A run lists its val images, and evaluation says where the data set has others."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wsol.data.file_index import is_output_folder
from wsol.data.samples import Samples
from wsol.runs.dataset import VAL_LIST, check_val_list, write_val_list
from wsol.training.config import TrainConfig


def samples(*names: str) -> Samples:
    """Return images of one class."""
    return Samples(Path("birds"), names, np.zeros(len(names), dtype=np.int64), ("crow",))


def test_a_run_lists_its_val_images(tiny_run: Path, tiny: TrainConfig) -> None:
    """Beside its options; the folder is told to be one of wsol's."""
    listed = (tiny_run / VAL_LIST).read_text().splitlines()
    assert len(listed) == 8
    assert all((tiny.data / name).is_file() for name in listed)
    assert is_output_folder(tiny_run)


def test_odd_names_keep_their_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One a line, and they are known again."""
    val = samples("a\nb.jpg", "\udcff.jpg", "日本.jpg")
    with caplog.at_level(logging.INFO, logger="wsol"):
        write_val_list(tmp_path, val)
        check_val_list(tmp_path, val)
    assert len((tmp_path / VAL_LIST).read_text(encoding="utf-8").splitlines()) == 3
    (line,) = [store.getMessage() for store in caplog.records]
    assert str(tmp_path / VAL_LIST) in line


@pytest.mark.parametrize(
    ("now", "new"),
    [(("a.jpg", "c.jpg"), "1 of 2"), (("a.jpg",), "0 of 1"), (("b.jpg", "a.jpg"), "")],
)
def test_other_val_images_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, now: tuple[str, ...], new: str
) -> None:
    """How many there are, whatever their order."""
    write_val_list(tmp_path, samples("a.jpg", "b.jpg"))
    check_val_list(tmp_path, samples(*now))
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert (new in warnings[0]) if new else not warnings


def test_a_run_without_a_list_is_not_checked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It was made before there were lists, or has no val split."""
    write_val_list(tmp_path, None)
    check_val_list(tmp_path, samples("a.jpg"))
    assert not caplog.records
    assert not list(tmp_path.iterdir())


def test_split_folders_are_a_run_s(tmp_path: Path, tiny: TrainConfig) -> None:
    """What was named for training is taken for evaluation, in YAML and Python alike."""
    from wsol.evaluation.config import EvaluateConfig
    from wsol.runs.dataset import with_data
    from wsol.runs.run import RunInfo

    info = RunInfo(
        *("resnet18", 16, ("a", "b"), 64, "cam", 0.2, "default", str(tmp_path), None, 0.1, 0),
        split_folders=("train=old",),
    )
    options = EvaluateConfig(run=Path("run"))
    assert with_data(info, options).split_folders == ("train=old",)
    assert with_data(info, replace(options, split_folders=("auto",))).split_folders == ("auto",)
    assert with_data(info, replace(options, labels=tmp_path / "l.csv")).split_folders == ()
    assert with_data(info, replace(options, data=tmp_path / "other")).split_folders == ()
