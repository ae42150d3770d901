"""Disks that are full, and folders that cannot be written or read."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

import wsol
from wsol.formats import list_formats

from .support import Tally, coco_rows, digests

if sys.platform != "linux":
    pytest.skip("limits and capabilities are those of Linux", allow_module_level=True)

FULL = """
import resource, wsol.formats.convert, wsol.maps, torch
resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}))
"""
"""As ``prlimit --fsize``, once what Python itself may want to write is written."""

AFTER_ONE_CHECKPOINT = """
import resource, wsol.training.trainer as module
save = module.save_checkpoint
def save_and_fill(*given):
    save(*given)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
module.save_checkpoint = save_and_fill
"""


AS_ANYONE = """
import ctypes
process, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capget(process, sets) == 0
for number in range(3):
    sets[number] &= ~0b110
assert ctypes.CDLL(None).capset(process, sets) == 0
"""
"""Give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root obeys the mode of files, as users do."""


@pytest.fixture(scope="module")
def as_anyone() -> str:
    """Return what a command runs first so that it must obey the mode of files."""
    if os.getuid():
        return ""
    if sys.platform != "linux":
        pytest.skip("root may write everywhere, and that cannot be changed here")
    return AS_ANYONE


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.radial_gradient("L").save(folder / name)
    return folder


def test_a_prediction_on_a_full_disk(
    photos: Path, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """One line; it goes on when there is room, and what is written stays whole."""
    formats = ("--format", ",".join(list_formats()), "--num_workers", 0, "--report", 0)
    out, inputs = tmp_path / "out", digests(photos)
    argv = (*predict, photos, "--out", out, *formats)
    tally.tried(2)
    done = tally.command(*argv, patch=FULL.format(2_000))
    assert done.status == 2
    assert "File too large" in done.error
    assert str(out) in done.error
    assert not [path for path in out.rglob("*") if path.name.endswith(".part")]
    assert tally.inside(*argv).status == 0
    tally.rows(["a.png", "b.png"], coco_rows(out))
    before = digests(out)
    done = tally.command(*argv, patch=FULL.format(500))
    assert done.status == 2
    assert "File too large" in done.error
    assert digests(out) == before
    tally.unchanged(inputs)


def test_a_training_on_a_full_disk_goes_on_with_free_space(
    toy: Path, tally: Tally, tmp_path: Path
) -> None:
    """One line, the checkpoints before stay, and the end is that of an undisturbed training."""
    small = ("--backbone", "test_resnet", "--pretrained", "false", "--epochs", 3, "--device", "cpu")
    sizes = ("--image_size", 32, "--resize", 36, "--batch_size", 8, "--precision", "fp32")
    out, calm = tmp_path / "out", tmp_path / "calm"
    argv = ("train", toy, "--num_workers", 0, "--val_every", 3, *small, *sizes)
    tally.tried(1)
    done = tally.command(*argv, "--out", out, patch=AFTER_ONE_CHECKPOINT)
    assert done.status == 2
    assert str(out) in done.error
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step_00000002.pt"]
    assert not (out / "model.safetensors").exists()
    assert tally.inside(*argv, "--out", out, "--resume").status == 0
    assert tally.inside(*argv, "--out", calm).status == 0
    weights = [folder / "model.safetensors" for folder in (out, calm)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_device_or_a_file_is_no_folder(
    photos: Path, predict: tuple, toy: Path, tally: Tally, tmp_path: Path
) -> None:
    """Said in one line, whatever writes there."""
    (tmp_path / "file").write_text("mine")
    for out in ("/dev/full", "/dev/null/out", tmp_path / "file", tmp_path / "file/out"):
        for argv in (
            (*predict, photos, "--out", out),
            ("train", toy, "--out", out, "--device", "cpu"),
            ("demo", "--out", out),
        ):
            tally.tried(1)
            done = tally.inside(*argv)
            assert done.status == 2
            assert str(out) in done.error
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_of_others_is_refused_before_anything_is_loaded(
    photos: Path, tally: Tally, tmp_path: Path, as_anyone: str
) -> None:
    """The run is not even looked for."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    tally.tried(1)
    argv = ("predict", photos, "--run", tmp_path / "no run", "--out", out)
    done = tally.command(*argv, patch=as_anyone)
    assert done.status == 2
    assert f"{out}: cannot be written: Permission denied" in done.error
    assert list(out.iterdir()) == []


def test_what_cannot_be_read(
    photos: Path, predict: tuple, tally: Tally, tmp_path: Path, as_anyone: str
) -> None:
    """A file is an error row; a folder ends the command, as nobody knows what is in it."""
    shutil.copy(photos / "a.png", photos / "closed.png")
    (photos / "closed.png").chmod(0)
    out = tmp_path / "out"
    tally.tried(2)
    argv = (*predict, photos, "--num_workers", 0, "--out", out)
    done = tally.command(*argv, patch=as_anyone)
    assert done.status == 3
    rows = coco_rows(out)
    tally.rows(["a.png", "b.png", "closed.png"], rows)
    assert "Permission denied" in rows["closed.png"]["error"]
    (photos / "sub").mkdir(mode=0)
    done = tally.command("predict", photos, "--out", out, patch=as_anyone)
    assert done.status == 2
    assert f"{photos}/sub: Permission denied" in done.error


def test_without_a_place_for_machine_code(tally: Tally, tmp_path: Path, as_anyone: str) -> None:
    """Neither the package's folder nor the home can be written: it is compiled each time."""
    package = tmp_path / "package/wsol"
    shutil.copytree(
        Path(wsol.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for folder in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        folder.chmod(0o555)
    (tmp_path / "home").mkdir(mode=0o555)
    code = f"""
import os, sys
os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = {str(tmp_path / "home")!r}
sys.path.insert(0, {str(tmp_path / "package")!r})
import numpy as np, wsol, wsol.maps
assert wsol.__file__.startswith({str(tmp_path)!r})
assert wsol.maps.score_histograms(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.uint8),
                                  np.array([0.0])) is not None
"""
    tally.tried(1)
    assert tally.command("list", "formats", patch=as_anyone + code, fresh=True).status == 0
    assert not list(package.rglob("*.nbc"))
    for folder in package.rglob("*"):
        folder.chmod(0o755)
