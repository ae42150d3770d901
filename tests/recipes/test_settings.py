"""Our own settings: each is read by the command that its first line names."""

from pathlib import Path

import pytest

from wsol.cli.main import main
from wsol.cli.options import read_options
from wsol.localizers.config import BEST, LocalizerConfig
from wsol.prediction.config import PredictConfig
from wsol.recipes import list_settings
from wsol.training.config import TrainConfig

COMMANDS = {"train": (TrainConfig, "data"), "predict": (PredictConfig, "images")}


@pytest.mark.parametrize("name", list_settings())
def test_the_named_command_reads_it(name: str) -> None:
    """With nothing else than the line says."""
    words = list_settings()[name].split("wsol ")[1].split()
    config, positional = COMMANDS[words[0]]
    read = read_options(words[0], config, words[1:], positional=positional)
    assert Path("DIR") == read.out or Path("RUN") == read.out
    assert words[-2:] == ["--config", name]


def test_training_for_boxes_reads_maps_as_prediction_does() -> None:
    """The best reading of an untrained network, kept with the run."""
    argv = ["DATA", "--out", "RUN", "--config", "boxes"]
    assert LocalizerConfig.of(read_options("train", TrainConfig, argv, positional="data")) == BEST


def test_they_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One a line, with what it is for."""
    assert main(["list", "settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["boxes", "c2am", "fast", "trilite"]
