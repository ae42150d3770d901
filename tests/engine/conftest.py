"""Small data and small runs that several tests share."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from wsol.data.toy import write_toy
from wsol.engine.config import TrainConfig
from wsol.engine.train import train

from .hub_stand_in import TOKEN, Hub, forget, go_to, serve_hub

TINY_OPTIONS = (
    *("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "1", "--batch_size", "8"),
    *("--size", "64", "--resize", "72", "--workers", "0", "--precision", "fp32", "--cpu"),
)


@pytest.fixture(scope="session")
def tiny_options() -> tuple[str, ...]:
    """Return the options of a training that takes about a second, for the command line."""
    return TINY_OPTIONS


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 training, 8 val and 12 test pictures."""
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
        size=64,
        resize=72,
        workers=0,
        precision="fp32",
        cpu=True,
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
