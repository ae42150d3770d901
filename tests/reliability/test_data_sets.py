"""Data sets of which nothing can be learnt, and the exit status of what was refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from .support import Tally, coco_rows


def image(file: Path) -> None:
    """Write a small image."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.radial_gradient("L").save(file)


def no_images(root: Path) -> str:
    """An empty folder."""
    root.mkdir(exist_ok=True)
    return f"{root}: no images"


def empty_class(root: Path) -> str:
    """A class without images."""
    image(root / "train/crow/a.png")
    (root / "train/wren").mkdir()
    return f"{root}/train/wren: this class folder has no images"


def single_class(root: Path) -> str:
    """One class."""
    image(root / "crow/a.png")
    image(root / "crow/b.png")
    return "only one class ('crow')"


def no_folder(root: Path) -> str:
    """A file."""
    image(root / "a.png")
    return f"{root}: no class folders with images"


def unknown_class(root: Path) -> str:
    """A class that is in val alone."""
    image(root / "train/crow/a.png")
    image(root / "val/wren/a.png")
    return "class 'wren' does not exist"


@pytest.mark.parametrize("make", [no_images, empty_class, single_class, no_folder, unknown_class])
def test_training_refuses_what_teaches_nothing(
    make: Callable[[Path], str], tally: Tally, tmp_path: Path
) -> None:
    """Status 2, one line that names the folder, and no run is begun."""
    tally.tried(1)
    reason = make(tmp_path / "data")
    done = tally.inside("train", tmp_path / "data", "--out", tmp_path / "run", "--device", "cpu")
    assert done.status == 2
    assert reason in done.error
    assert done.error.count("\n") == 0
    assert not (tmp_path / "run").exists()


def test_statuses_of_a_prediction(predict: tuple, tally: Tally, tmp_path: Path) -> None:
    """0 clean, 2 refused, 3 with errors, 4 with more of them than are gone on with."""
    for name in ("a", "b"):
        image(tmp_path / f"photos/{name}.png")
    bad = [tmp_path / f"photos/bad{number}.png" for number in range(3)]

    def status(*options: object) -> int:
        done = tally.inside(*predict, tmp_path / "photos", "--num_workers", 0, *options)
        return done.status

    assert status("--out", tmp_path / "clean") == 0
    assert status("--out", tmp_path / "none", "--max_errors", 0) == 0
    for file in bad:
        file.write_text("no image")
    assert status("--out", tmp_path / "some") == 3
    tally.rows(
        [f"{name}.png" for name in ("a", "b", "bad0", "bad1", "bad2")], coco_rows(tmp_path / "some")
    )
    assert status("--out", tmp_path / "three", "--max-errors", 3) == 3
    assert status("--out", tmp_path / "two", "--max-errors", 2) == 4
    assert not (tmp_path / "two/annotations.json").exists()
    assert status("--out", tmp_path / "wrong", "--max-errors", -1) == 2
    assert status("--out", bad[0] / "out") == 2


def test_what_is_wrong_is_one_line_without_a_traceback(tally: Tally, tmp_path: Path) -> None:
    """Whatever the command, and with a name that has line breaks."""
    lost = tmp_path / "not\nthere"
    for argv in (
        ("predict", lost, "--out", tmp_path / "out"),
        ("train", lost, "--out", tmp_path / "out"),
        ("evaluate", lost),
        ("evaluate", "--maps", lost, "--annotations", lost),
        ("report", lost),
        ("convert", lost, "--format", "csv"),
        ("export", lost, "--out", tmp_path / "a.onnx"),
        ("compare", lost, "--out", tmp_path / "out"),
        ("distill", lost, "--out", tmp_path / "out"),
        ("import", "tensorpack", lost, "--out", tmp_path / "out"),
        ("prepare", "cub", "--archive", lost, "--out", tmp_path / "out"),
        ("predict", tmp_path, "--out", tmp_path / "out", "--config", lost),
        ("no command",),
    ):
        tally.tried(1)
        done = tally.inside(*argv)
        assert done.status == 2, argv
        assert "not\\nthere" in done.error or "no command" in done.error
        assert done.err.count("\n") == 1, done.err
