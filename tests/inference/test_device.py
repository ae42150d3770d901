"""Precisions live side by side in one process, and float16 belongs to GPUs."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from wsol import Localizer
from wsol.data.open import open_data
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import Located, evaluate, locate_split
from wsol.inference.device import (
    Compute,
    _cuda_warning,
    _warn_of_precision,
    announce,
    choose_compute,
    choose_device,
    choose_precision,
    make_accelerator,
)
from wsol.maps import normalize
from wsol.training.config import TrainConfig
from wsol.training.trainer import train
from wsol.types import Precision


def test_one_process_computes_in_several_precisions(
    tiny: TrainConfig, toy: Path, tmp_path: Path
) -> None:
    """A training in each, then an evaluation and a prediction in the other; none is refused."""
    image = next((toy / "test").rglob("*.jpg"))
    precisions: tuple[Precision, Precision] = ("bf16", "fp32")
    for mine, other in (precisions, precisions[::-1]):
        run = train(replace(tiny, out=tmp_path / mine, epochs=1, precision=mine))
        options = EvaluateConfig(run, num_workers=0, precision=other, report=0, device="cpu")
        assert evaluate(options).num_errors == 0
        locate = Localizer(run, precision=other, device="cpu")
        assert locate.compute.precision == other
        assert [result.error for result in locate([image])] == [None]


def test_bfloat16_rounds_what_float32_does_not(tiny_run: Path, toy: Path) -> None:
    """Two that are asked in turn each keep their own precision."""
    image = next((toy / "test").rglob("*.jpg"))
    exact, rounded = (Localizer(tiny_run, precision=p, device="cpu") for p in ("fp32", "bf16"))
    first = [result.heat_map for result in exact([image])]
    between = [result.heat_map for result in rounded([image])]
    again = [result.heat_map for result in exact([image])]
    assert (first[0] == again[0]).all()
    assert (first[0] != between[0]).any()
    assert abs(first[0] - between[0]).max() < 0.2


def test_a_context_around_is_left_in_force() -> None:
    """An outer autocast stays active in float32."""
    with torch.autocast("cpu", torch.bfloat16), Compute(torch.device("cpu"), "fp32").autocast():
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


def test_float16_is_for_gpus(tiny_run: Path) -> None:
    """The CPU would silently do without it."""
    for refused in (
        lambda: choose_precision("fp16", device="cpu"),
        lambda: choose_compute("fp16", device="cpu"),
        lambda: make_accelerator("fp16", device="cpu"),
        lambda: Localizer(tiny_run, precision="fp16", device="cpu"),
    ):
        with pytest.raises(ConfigError, match="fp16 needs a GPU; use bf16 or fp32"):
            refused()


def test_several_processes_share_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """As set by the launcher; a single process needs no communication."""
    state = Compute(torch.device("cpu"), "fp32", 1, 2)
    monkeypatch.setattr("wsol.inference.device.PartialState", lambda cpu: state)
    assert choose_compute("fp32", device="cpu") == Compute(torch.device("cpu"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert choose_compute("fp32", device="cpu") == state
    assert not state.is_main_process


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_command_reads_the_same_maps(
    tiny: TrainConfig,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
) -> None:
    """The threshold, the figures and the boxes of a run belong to one map, to the last bit."""
    seen: list[np.ndarray] = []

    def keeping(*given: Any, **options: Any) -> Iterator[Located]:
        for located in locate_split(*given, **options):
            assert located.score_map is not None
            seen.append(normalize(located.score_map)[0])
            yield located

    monkeypatch.setattr("wsol.evaluation.evaluate.locate_split", keeping)
    run = train(replace(tiny, out=tmp_path / "run", epochs=1, precision=precision))
    threshold_from, seen = seen, []
    # Another precision than auto takes on a machine where no run says it.
    monkeypatch.setattr("wsol.inference.device.has_bfloat16", lambda _: True)
    options = EvaluateConfig(run, split="val", num_workers=0, report=0, batch_size=8, device="cpu")
    evaluate(options)
    locate = Localizer(run, batch_size=8, scaled_decoding=False, device="cpu")
    samples = open_data(toy)["val"]
    for index, (first, second) in enumerate(zip(threshold_from, seen, strict=True)):
        assert (first == second).all()
        label = samples.classes[samples.labels[index]]
        (result,) = locate(samples.paths()[index : index + 1], label=label)
        assert abs(result.heat_map - second).max() <= 1 / 255
    assert json.loads((run / "model.json").read_text())["precision"] == precision
    assert json.loads((run / "metrics.json").read_text())["precision"] == precision
    assert locate.description.endswith(f", {precision}")


def test_auto_follows_the_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the hardware supports it, otherwise float32, which is logged."""
    found = []
    for has in (True, False):
        monkeypatch.setattr("wsol.inference.device.has_bfloat16", lambda _, has=has: has)
        for of_run in (None, "fp32", "bf16", "fp16"):
            _warn_of_precision.cache_clear()
            caplog.clear()
            precision = choose_precision("auto", device="cpu", of_run=of_run)
            said = f"chosen in {of_run}" in caplog.text
            found.append((precision, said))
    here = [("bf16", False), ("fp32", False), ("bf16", False), ("fp32", True)]
    others = [("fp32", False), ("fp32", False), ("fp32", True), ("fp32", True)]
    assert found == [*here, *others]


def test_another_precision_than_the_runs_is_said_once(
    tiny_run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line, although an evaluation opens the run a second time for its report."""
    _warn_of_precision.cache_clear()
    options = EvaluateConfig(tiny_run, num_workers=0, precision="bf16", report=2, device="cpu")
    evaluate(replace(options, out=tiny_run.parent / "other" / "metrics.json"))
    assert sum("bf16" in each and "fp32" in each for each in caplog.messages) == 1


def test_each_command_says_where_it_computes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A GPU that torch cannot use is no silent CPU, unless the CPU was chosen."""
    caplog.set_level("INFO", "wsol")
    here = Compute(torch.device("cpu"), "bf16")
    tool = tmp_path / "nvidia-smi"
    tool.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    told: list[str] = []

    def broken() -> bool:
        if not told:
            told.append("once")
            warnings.warn("The NVIDIA driver on your system is too old\nand more", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    _cuda_warning.cache_clear()
    choose_precision("auto", device="cpu")
    announce(here, device="auto")
    assert caplog.messages[0] == "computing on cpu in bf16"
    assert "(The NVIDIA driver on your system is too old)" in caplog.messages[1]
    for hidden, device in ((None, "cpu"), ("", "auto"), ("-1", "auto")):
        caplog.clear()
        if hidden is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        announce(here, device=device)
        assert len(caplog.messages) == 1
    caplog.clear()
    announce(replace(here, process_index=1, num_processes=2), device="auto")
    assert not caplog.messages
    _cuda_warning.cache_clear()


@pytest.fixture
def fresh_accelerate() -> Iterator[None]:
    """Reset accelerate: it keeps the first precision of a process."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("fresh_accelerate")
def test_only_another_precision_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else accelerate refuses is told in its own words."""
    refusal = ValueError("ACCELERATE_DYNAMO_MODE is odd\nsecond line")
    with monkeypatch.context() as patch:
        patch.setattr("wsol.inference.device.Accelerator", Mock(side_effect=refusal))
        with pytest.raises(ConfigError, match="ACCELERATE_DYNAMO_MODE is odd;") as caught:
            make_accelerator("fp32", device="cpu")
    assert "\n" not in str(caught.value)
    make_accelerator("fp32", device="cpu")
    make_accelerator("bf16", device="cpu")
    before = AcceleratorState()
    monkeypatch.setitem(before.__dict__, "_mixed_precision", "fp16")
    with pytest.raises(ConfigError, match="precision fp32, device cpu: this process"):
        make_accelerator("fp32", device="cpu")


def test_devices_that_are_not_here_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And of those that are here, numbers beyond the last."""
    cuda = torch.device("cuda")
    for device in ("cuda", "mps", "cuda:1"):
        with pytest.raises(ConfigError, match=device):
            choose_device(device)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: cuda)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert choose_device("auto") == cuda
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ConfigError, match="cuda:2"):
        choose_device("cuda:2")
