"""Precisions live side by side in one process, and float16 belongs to GPUs."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wsol import Localizer
from wsol.engine.config import EvaluateConfig, Precision, TrainConfig
from wsol.engine.device import Compute, choose_compute, choose_precision, make_accelerator
from wsol.engine.evaluate import evaluate
from wsol.engine.train import train
from wsol.errors import ConfigError


def test_one_process_computes_in_several_precisions(
    tiny: TrainConfig, toy: Path, tmp_path: Path
) -> None:
    """A training in each, then an evaluation and a prediction in the other; none is refused."""
    picture = next((toy / "test").rglob("*.jpg"))
    precisions: tuple[Precision, Precision] = ("bf16", "fp32")
    for mine, other in (precisions, precisions[::-1]):
        run = train(replace(tiny, out=tmp_path / mine, epochs=1, precision=mine))
        options = EvaluateConfig(run, workers=0, precision=other, report=0, cpu=True)
        assert evaluate(options).num_errors == 0
        locate = Localizer(run, precision=other, cpu=True)
        assert locate.compute.precision == other
        assert [result.error for result in locate([picture])] == [None]


def test_bfloat16_rounds_what_float32_does_not(tiny_run: Path, toy: Path) -> None:
    """Two that are asked in turn each keep their own precision."""
    picture = next((toy / "test").rglob("*.jpg"))
    exact, rounded = (Localizer(tiny_run, precision=p, cpu=True) for p in ("fp32", "bf16"))
    first = [result.heat_map for result in exact([picture])]
    between = [result.heat_map for result in rounded([picture])]
    again = [result.heat_map for result in exact([picture])]
    assert (first[0] == again[0]).all()
    assert (first[0] != between[0]).any()
    assert abs(first[0] - between[0]).max() < 0.2


def test_a_context_around_is_left_in_force() -> None:
    """Of whoever calls in float32 under an autocast of their own."""
    with torch.autocast("cpu", torch.bfloat16), Compute(torch.device("cpu"), "fp32").autocast():
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_float16_is_for_gpus(tiny_run: Path) -> None:
    """The CPU would silently do without it."""
    for refused in (
        lambda: choose_precision("fp16", cpu=True),
        lambda: choose_compute("fp16", cpu=True),
        lambda: make_accelerator("fp16", cpu=True),
        lambda: Localizer(tiny_run, precision="fp16", cpu=True),
    ):
        with pytest.raises(ConfigError, match="fp16, which is for GPUs: give bf16 or fp32"):
            refused()


def test_several_processes_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As whoever has started them says; one that is alone asks nobody."""
    state = Compute(torch.device("cpu"), "fp32", 1, 2)
    monkeypatch.setattr("wsol.engine.device.PartialState", lambda cpu: state)
    assert choose_compute("fp32", cpu=True) == Compute(torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_compute("fp32", cpu=True) == state
    assert not state.is_main_process
