"""What all tests share."""

import os
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import settings

from wsol.data.synthetic.toy import write_toy
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

from .hub_stand_in import TOKEN, Hub, forget, go_to, serve_hub

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("wsol", deadline=None)
settings.load_profile("wsol")

# Tests that are started in the background ignore these, and so would all that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test has logged text that can be sent: names of files may be any bytes."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def cub_root() -> Path:
    """Return the part of CUB-200-2011 that lies beside the project; skip where there is none."""
    beside = Path(__file__).parents[2] / "shared/data/cub10"
    root = Path(os.environ.get("WSOL_CUB_ROOT", beside))
    if not root.is_dir():
        pytest.skip(f"no part of CUB-200-2011 at {root}; set WSOL_CUB_ROOT")
    return root


@pytest.fixture(scope="session")
def parity() -> Path:
    """Return the recorded numbers of the published code; skip where there are none."""
    root = Path(os.environ.get("WSOL_PARITY", Path(__file__).parents[2] / "shared/parity"))
    if not root.is_dir():
        pytest.skip(f"no parity vectors at {root}; set WSOL_PARITY")
    return root


HOSTILE = (
    "=cmd|x.jpg",
    "../../x.jpg",
    "/etc/x.jpg",
    "a//b/./c.jpg",
    "images/a.jpg",
    "a.txt/images.csv/labels.xml/b.png.png",
    "line\nbreak \u202egpj.jpg",
    "not utf-8 \udcff.jpg",
    "C:\\x.jpg",
    "]]>&amp;<!--'\".jpg",
    " spaces .jpg ",
    "%41%2F.jpg",
    "without suffix",
    "a" * 240 + ".jpg",
    "日" * 80 + ".jpg",
    "same.jpg",
    "same.png",
    "same.png.png",
    "other/same.jpg",
)

TINY_OPTIONS = (
    *("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "1", "--batch_size", "8"),
    *(
        "--image_size",
        "64",
        "--resize",
        "72",
        "--num_workers",
        "0",
        "--precision",
        "fp32",
        "--device",
        "cpu",
    ),
)


@pytest.fixture(scope="session")
def tiny_options() -> tuple[str, ...]:
    """Return the options of a training that takes about a second, for the command line."""
    return TINY_OPTIONS


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 training, 8 val and 12 test images."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, train=24, val=8, test=12)
    return folder


@pytest.fixture(scope="session")
def tiny(toy: Path) -> TrainConfig:
    """Return options of a training that takes about a second; give it an ``out``."""
    return TrainConfig(
        data=toy,
        out=Path("set-by-the-test"),
        backbone="test_resnet",
        pretrained=False,
        epochs=2,
        batch_size=8,
        image_size=64,
        resize=72,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


@pytest.fixture(scope="session")
def tiny_run(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished small run."""
    return train(replace(tiny, out=tmp_path_factory.mktemp("runs") / "tiny"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a stand-in that this process takes for the Hub, with a cache of its own."""
    with serve_hub() as found:
        go_to(found.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        forget()
        yield found
    forget()


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Return names that break what is careless."""
    return HOSTILE
