"""Links that leave the folder or lead back into it."""

import os
from pathlib import Path

import pytest
from PIL import Image

from .support import Tally, coco_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with one image, links of all kinds, and images outside of it."""
    folder, outside = tmp_path / "photos", tmp_path / "outside"
    for each in (folder / "sub", outside):
        each.mkdir(parents=True)
    image = Image.radial_gradient("L").resize((60, 40))
    image.save(folder / "a.png")
    image.save(outside / "secret.png")
    # Reading it would wait for ever.
    os.mkfifo(outside / "pipe.png")
    (folder / "out.png").symlink_to(outside / "secret.png")
    (folder / "pipe.png").symlink_to(outside / "pipe.png")
    (folder / "elsewhere").symlink_to(outside, target_is_directory=True)
    (folder / "sub/loop").symlink_to(folder, target_is_directory=True)
    (folder / "sub/self.png").symlink_to("self.png")
    (folder / "sub/gone.png").symlink_to("not there.png")
    (folder / "sub/inside.png").symlink_to("../a.png")
    os.mkfifo(folder / "sub/pipe.png")
    return folder


def test_nothing_outside_is_read_and_loops_end(
    folder: Path, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """What is left out is said, each with its name."""
    done = tally.inside(*predict, folder, "--out", tmp_path / "out", "--num_workers", 0)
    assert done.status == 0
    tally.rows(["a.png", "sub/inside.png"], coco_rows(tmp_path / "out"))
    for name in ("out.png", "/pipe.png", "elsewhere", "loop", "self.png", "gone.png", "sub/pipe"):
        assert name in done.err
    assert done.err.count("skipped") == 7


def test_a_pipe_or_a_device_that_is_named_is_an_error(
    folder: Path, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """Nobody waits for it."""
    given = (folder / "a.png", folder / "sub/pipe.png", "/dev/zero", folder / "pipe.png")
    done = tally.inside(*predict, *given, "--out", tmp_path / "out", "--num_workers", 0)
    assert done.status == 3
    rows = coco_rows(tmp_path / "out")
    tally.rows(map(str, given), rows)
    errors = [row["error"] for row in rows.values() if row["status"] == "error"]
    assert errors == ["is not a regular file"] * 3
