"""An image that ends the process that decodes it: an error row, and the rest goes on."""

import os
import signal
from pathlib import Path

import pytest

from wsol.data import loader as batches
from wsol.data.synthetic.toy import write_toy

from .support import Tally, coco_boxes, coco_rows, digests, names_below, read_json

DEADLY = {"train/disc/0001.jpg": signal.SIGTERM, "test/cross/0004.jpg": signal.SIGKILL}


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the decoder end its process at two images."""
    decode, parent = batches.decode_image, os.getpid()

    def decode_or_die(path: Path, *options: object) -> object:
        for name, number in DEADLY.items():
            if path.as_posix().endswith(name):
                assert os.getpid() != parent
                os.kill(os.getpid(), number)
        return decode(path, *options)

    monkeypatch.setattr(batches, "decode_image", decode_or_die)


def test_prediction_goes_on(
    toy: Path, predict: tuple, tally: Tally, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """All other rows are those of an undisturbed prediction, bit for bit."""
    before = digests(toy)
    options = ("--num_workers", 2, "--batch_size", 5, "--report", 0)
    assert tally.inside(*predict, toy, "--out", tmp_path / "calm", *options).status == 0
    request.getfixturevalue("deadly")
    tally.tried(len(DEADLY))
    tally.counts["kills"] += len(DEADLY)
    done = tally.inside(*predict, toy, "--out", tmp_path / "out", *options)
    assert done.status == 3
    tally.unchanged(before)
    rows, calm = coco_rows(tmp_path / "out"), coco_rows(tmp_path / "calm")
    tally.rows([name for name in names_below(toy) if name.endswith("jpg")], rows)
    for name, number in DEADLY.items():
        assert rows.pop(name)["status"] == "error"
        assert calm.pop(name)["status"] != "error"
        assert signal.Signals(number).name in done.err
    assert rows == calm
    boxes, expected = coco_boxes(tmp_path / "out"), coco_boxes(tmp_path / "calm")
    assert boxes == {name: found for name, found in expected.items() if name not in DEADLY}


@pytest.mark.usefixtures("deadly")
def test_evaluation_counts_it_as_wrong(run: Path, tally: Tally, tmp_path: Path) -> None:
    """It is in the denominators."""
    options = ("--num_workers", 2, "--device", "cpu", "--report", 0, "--out", tmp_path / "a.json")
    tally.tried(1)
    tally.counts["kills"] += 1
    done = tally.inside("evaluate", run, *options)
    assert "counted as wrong" in done.err
    assert "0004.jpg" in done.err
    assert done.status == 3
    assert read_json(tmp_path / "a.json")["num_images"] == 8


@pytest.mark.usefixtures("deadly")
def test_a_image_that_is_not_in_the_data_crashes_no_process(
    predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """The check costs nothing where nothing happens."""
    write_toy(tmp_path / "toy", train=0, val=4, test=0)
    options = ("--out", tmp_path / "out", "--num_workers", 2, "--report", 0)
    done = tally.inside(*predict, tmp_path / "toy", *options)
    assert done.status == 0
    assert "crashed" not in done.err
