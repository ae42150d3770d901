"""Files that would run a program if they were trusted: they are refused, and nothing runs."""

import io
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from .support import Tally


class Canary:
    """Writes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        """Name the file."""
        self.file = file

    def __reduce__(self) -> tuple[object, ...]:
        """Tell pickle what to call."""
        return Path.touch, (self.file,)


def _torch(canary: Canary) -> bytes:
    stream = io.BytesIO()
    torch.save({"step": 1, "state_dict": {"conv1.weight": canary}}, stream)
    return stream.getvalue()


def _torch_of_old(canary: Canary) -> bytes:
    stream = io.BytesIO()
    torch.save({"state_dict": canary}, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


def _pickle(canary: Canary) -> bytes:
    return pickle.dumps({"conv0/W": canary}, protocol=2)


def _npz(canary: Canary) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **{"conv0/W": np.array([canary], dtype=object)})
    return stream.getvalue()


def _npy(canary: Canary) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([[canary]], dtype=object))
    return stream.getvalue()


def _yaml(canary: Canary) -> bytes:
    return f"epochs: !!python/object/apply:os.mkdir [{str(canary.file)!r}]\n".encode()


PICKLES = (_torch, _torch_of_old, _pickle, _npz, _npy)


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    """Return a canary that sings when it is unpickled by who trusts it."""
    canary = Canary(tmp_path / "canary")
    for make in (_torch, _torch_of_old):
        torch.load(io.BytesIO(make(canary)), weights_only=False)
        assert canary.file.exists()
        canary.file.unlink()
    return canary


def _as_run(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    file = folder / "run.pt"
    file.write_bytes(data)
    Image.radial_gradient("L").save(folder / "a.png")
    return "predict", folder, "--run", file, "--out", folder / "out"


def _as_checkpoint_file(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    file = folder / "run.ckpt"
    file.write_bytes(data)
    return "evaluate", file


def _as_graph(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    file = folder / "run.onnx"
    file.write_bytes(data)
    Image.radial_gradient("L").save(folder / "a.png")
    return "predict", folder, "--run", file, "--out", folder / "out"


def _as_weights(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    shutil.copytree(run, folder / "run")
    (folder / "run/model.safetensors").write_bytes(data)
    return "evaluate", folder / "run", "--report", 0, "--device", "cpu"


def _as_start(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    _as_weights(data, folder, run)
    data_set = (run / "../../toy0").resolve()
    return (
        "train",
        data_set,
        "--init_from",
        folder / "run",
        "--out",
        folder / "out",
        "--device",
        "cpu",
    )


def _as_tensorpack(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    (folder / "weights.npz").write_bytes(data)
    return "import", "tensorpack", folder / "weights.npz", "--out", folder / "out"


def _as_wsolevaluation(data: bytes, folder: Path, run: Path) -> tuple[object, ...]:
    (folder / "weights.pth").write_bytes(data)
    return "import", "wsolevaluation", folder / "weights.pth", "--out", folder / "out"


@pytest.mark.parametrize("make", PICKLES)
@pytest.mark.parametrize(
    "use",
    [
        _as_run,
        _as_checkpoint_file,
        _as_graph,
        _as_weights,
        _as_start,
        _as_tensorpack,
        _as_wsolevaluation,
    ],
)
def test_no_program_in_weights_runs(
    make: Callable, use: Callable, canary: Canary, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """Whatever the suffix, and whatever kind of file it is."""
    tally.tried(1)
    done = tally.inside(*use(make(canary), tmp_path, run))
    assert done.status == 2
    assert f"{tmp_path}/run" in done.error or f"{tmp_path}/weights" in done.error
    assert not canary.file.exists()


@pytest.mark.parametrize("make", [_torch, _torch_of_old, _pickle])
def test_no_program_in_a_checkpoint_runs(
    make: Callable, canary: Canary, toy: Path, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """A training that goes on refuses it by name."""
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    last = sorted((copied / "checkpoints").iterdir())[-1]
    last.write_bytes(make(canary))
    tally.tried(1)
    argv = ("train", "--config", copied / "config.yaml", "--out", copied, "--resume")
    config = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(config.replace(str(run), str(copied)))
    done = tally.inside(*argv)
    assert done.status == 2
    assert last.name in done.error
    assert not canary.file.exists()


def test_no_program_in_a_score_map_runs(canary: Canary, tally: Tally, tmp_path: Path) -> None:
    """It is an error row."""
    (tmp_path / "maps").mkdir()
    for number, make in enumerate((_npy, _pickle, _npz)):
        (tmp_path / f"maps/{number}.npy").write_bytes(make(canary))
    rows = [f"{number}.jpg,crow,1,1,9,9,20,20" for number in range(3)]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,class,x0,y0,x1,y1,width,height", *rows]))
    tally.tried(3)
    options = ("--maps", tmp_path / "maps", "--annotations", tmp_path / "boxes.csv")
    done = tally.inside("evaluate", *options, "--out", tmp_path / "out")
    assert done.status == 3
    assert not canary.file.exists()


def test_no_program_in_options_runs(
    canary: Canary, toy: Path, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """Neither in a file that is given nor in that of a run that goes on."""
    (tmp_path / "options.yaml").write_bytes(_yaml(canary))
    tally.tried(2)
    argv = ("train", toy, "--out", tmp_path / "out", "--config", tmp_path / "options.yaml")
    done = tally.inside(*argv)
    assert done.status == 2
    assert f"{tmp_path / 'options.yaml'}: cannot be read" in done.error
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/config.yaml").write_bytes(_yaml(canary))
    done = tally.inside("train", toy, "--out", tmp_path / "run", "--resume", "--device", "cpu")
    assert done.status == 2
    assert "config.yaml: cannot be read" in done.error
    assert not canary.file.exists()


def test_weights_that_state_an_enormous_size_are_refused_unread(
    tally: Tally, tmp_path: Path
) -> None:
    """A few bytes can be packed gigabytes."""
    for family, name in (("tensorpack", "a.npz"), ("wsolevaluation", "a.pth")):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("conv0/W.npy", bytes(1000))
        data = bytearray(stream.getvalue())
        # The size of the unpacked member, as the list of contents states it.
        place = data.index(b"PK\x01\x02") + 24
        data[place : place + 4] = struct.pack("<I", 0xFFFFFFF0)
        (tmp_path / name).write_bytes(data)
        tally.tried(1)
        done = tally.inside("import", family, tmp_path / name, "--out", tmp_path / "out")
        assert done.status == 2
        assert "4,294,967,280 bytes" in done.error
