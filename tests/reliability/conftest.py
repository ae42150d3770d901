"""A small run, and the count of what was tried."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from wsol.data.synthetic.toy import write_toy
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

from .support import Tally

TALLY = pytest.StashKey[Tally]()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    """Return the count of this session."""
    return request.config.stash.setdefault(TALLY, Tally())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the count."""
    found = config.stash.get(TALLY, None)
    if found is not None:
        terminalreporter.write_line(f"reliability: {found.line()}")


@pytest.fixture(autouse=True)
def _restore_log() -> Iterator[None]:
    """Take off what the command line adds to the log: it writes to this test's standard error."""
    logger = logging.getLogger("wsol")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 16 training, 8 val and 8 test images."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, train=16, val=8, test=8)
    return folder


@pytest.fixture(scope="session")
def run(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose network is as small as can be."""
    return train(
        TrainConfig(
            data=toy,
            out=tmp_path_factory.mktemp("runs") / "small",
            backbone="test_resnet",
            pretrained=False,
            epochs=1,
            batch_size=8,
            image_size=32,
            resize=36,
            num_workers=0,
            precision="fp32",
            device="cpu",
        )
    )


@pytest.fixture(scope="session")
def predict(run: Path) -> tuple[object, ...]:
    """Return the arguments of a prediction, to which images and ``--out`` are added."""
    return ("predict", "--run", run, "--device", "cpu", "--precision", "fp32")
