"""One step: its parts add up to the whole, and what is not finite changes nothing."""

import hashlib
import json
import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from wsol.errors import ConfigError, RunError
from wsol.methods.base import Method
from wsol.models import Output, create_network
from wsol.training.checkpoint import checkpoints
from wsol.training.config import TrainConfig
from wsol.training.optim import batch_norms, check_sync_bn, share_batch_norms
from wsol.training.preflight import check_shares
from wsol.training.step import BufferCopy, TrainStep, check_finite
from wsol.training.trainer import Trainer, train


def gradients(config: TrainConfig) -> tuple[list[int], dict[str, Tensor]]:
    """Return the images of the first step, sorted, and the gradient it gives."""
    training = Trainer(config)
    batches = next(training._steps())
    assert len(batches) == config.gradient_accumulation_steps
    training.stepper.step(0, batches)
    found = {
        name: weight.grad
        for name, weight in training.network.named_parameters()
        if weight.grad is not None
    }
    return sorted(index for batch in batches for index in batch.indices), found


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_the_parts_of_a_step_give_the_gradient_of_the_whole(
    tiny: TrainConfig, tmp_path: Path, parts: int
) -> None:
    """Where nothing is normalised by the batch, also where parts are of unequal size."""
    config = replace(tiny, backbone="test_vit", precision="fp32")
    images, whole = gradients(replace(config, out=tmp_path / "whole"))
    same, added = gradients(
        replace(config, out=tmp_path / "parts", gradient_accumulation_steps=parts)
    )
    assert same == images
    assert len(images) == 8
    largest = max(float(value.abs().max()) for value in whole.values())
    assert whole.keys() == added.keys()
    for name, value in whole.items():
        torch.testing.assert_close(added[name], value, rtol=1e-4, atol=1e-6 * largest)


def test_a_training_in_parts_sees_what_the_whole_sees(tiny: TrainConfig, tmp_path: Path) -> None:
    """Its rows count every image once, and it goes on to the last bit."""
    config = replace(tiny, backbone="test_vit", save_every=2)
    rows = []
    for name, parts in (("whole", 1), ("parts", 4)):
        out = train(replace(config, out=tmp_path / name, gradient_accumulation_steps=parts))
        rows.append(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1]))
    assert rows[0]["step"] == rows[1]["step"]
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-3)
    last, before = checkpoints(tmp_path / "parts/checkpoints")[::-1]
    whole = last.read_bytes(), (tmp_path / "parts/model.safetensors").read_bytes()
    last.unlink()
    assert before.name == "step_00000005.pt"
    train(replace(config, out=tmp_path / "parts", gradient_accumulation_steps=4, resume=True))
    assert (tmp_path / "parts/model.safetensors").read_bytes() == whole[1]


def test_parts_without_images_are_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigError, match=r"8 images .* 9 micro-batches"):
        train(replace(tiny, out=tmp_path / "run", gradient_accumulation_steps=9))
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"4 images .* 5 micro-batches"):
        check_shares(8, processes=2, gradient_accumulation_steps=5)
    with pytest.raises(ConfigError, match="gradient_accumulation_steps: 0"):
        replace(tiny, gradient_accumulation_steps=0)


def poisoned(monkeypatch: pytest.MonkeyPatch, steps: set[int], how: str) -> None:
    """Let some steps meet what is not finite: in the loss, or in a gradient alone."""
    plain, step = Method.loss, TrainStep.step
    now: list[int] = []

    def watch(stepper: TrainStep, number: int, batches: Any) -> Tensor:
        now[:] = [number]
        return step(stepper, number, batches)

    def loss(method: Method, output: Output, labels: Tensor) -> Tensor:
        value = plain(method, output, labels)
        if now[0] not in steps:
            return value
        if how == "gradient":
            # The root of nothing has no slope.
            return value + (output.logits * 0).abs().sum().sqrt()
        return value * float(how)

    monkeypatch.setattr(TrainStep, "step", watch)
    monkeypatch.setattr(Method, "loss", loss)


@pytest.mark.parametrize("how", ["nan", "inf", "gradient"])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_that_is_not_finite_is_skipped_and_counted(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    how: str,
    parts: int,
) -> None:
    """Weights, momentum and statistics are those from before it."""
    config = replace(tiny, out=tmp_path / "run", gradient_accumulation_steps=parts, save_every=1)
    states: list[dict[str, str]] = []

    def keep(folder: Path, step: int, state: dict[str, Any]) -> None:
        states.append({part: _digest(of) for part, of in (state | state["optimizer"]).items()})

    with monkeypatch.context() as patch, caplog.at_level(logging.INFO, logger="wsol"):
        poisoned(patch, {1, 4}, how)
        patch.setattr("wsol.training.trainer.save_checkpoint", keep)
        train(config)
    for skipped in (1, 4):
        for part in ("network", "state"):
            assert states[skipped][part] == states[skipped - 1][part]
            assert states[skipped][part] != states[skipped + 1][part] or skipped == 4
    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["skipped_steps"] for row in rows] == [1, 1]
    assert all(math.isfinite(row["loss"]) for row in rows)
    assert "step 1 skipped" in caplog.text
    assert "skipped_steps 1" in caplog.text


def _digest(value: Any) -> str:
    """Return a digest of all tensors in nested dictionaries."""
    if isinstance(value, Tensor):
        return hashlib.sha256(value.contiguous().numpy().tobytes()).hexdigest()
    each = value.items() if isinstance(value, dict) else ()
    return repr([(key, _digest(below)) for key, below in each])


def test_an_epoch_without_a_finite_step_has_no_loss(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row says so, and the count of steps in a row goes on where a training goes on."""
    poisoned(monkeypatch, set(range(6)), "nan")
    out = tmp_path / "run"
    with pytest.raises(RunError, match="in 5 steps in a row, up to step 4"):
        train(replace(tiny, out=out, max_skipped=5, save_every=1))
    (row,) = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    assert (row["loss"], row["train_top1"], row["skipped_steps"]) == (None, None, 3)
    with pytest.raises(RunError, match="in 5 steps in a row, up to step 4"):
        train(replace(tiny, out=out, max_skipped=5, save_every=1, resume=True))


@pytest.fixture
def scaler(monkeypatch: pytest.MonkeyPatch) -> torch.amp.GradScaler:
    """Give trainings the scaler that accelerate has for float16 on a GPU; it works here too."""
    plain, scaler = Accelerator.__init__, torch.amp.GradScaler("cpu", init_scale=2.0**16)

    def begin(accelerator: Accelerator, **options: Any) -> None:
        plain(accelerator, **options)
        accelerator.scaler = scaler

    monkeypatch.setattr(Accelerator, "__init__", begin)
    return scaler


def test_a_step_that_the_scaler_skips_is_counted(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scaler: torch.amp.GradScaler,
) -> None:
    """Statistics are those from before it, as weights are, and its images do not count."""
    config = replace(tiny, out=tmp_path / "run", save_every=1, max_skipped=1)
    states: list[str] = []

    def keep(folder: Path, step: int, state: dict[str, Any]) -> None:
        states.append(_digest(state["network"]))

    poisoned(monkeypatch, {1, 3, 4, 5}, "gradient")
    monkeypatch.setattr("wsol.training.trainer.save_checkpoint", keep)
    train(config)
    assert states[0] == states[1] != states[2] == states[5]
    assert scaler.get_scale() == 2**12
    rows = [json.loads(row) for row in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["skipped_steps"] for row in rows] == [1, 3]
    assert rows[1]["loss"] is None


def test_a_scaler_may_look_for_its_scale(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scaler: torch.amp.GradScaler,
) -> None:
    """That takes more steps than may be skipped otherwise, but not for ever."""
    config = replace(tiny, image_size=32, resize=36, max_skipped=2, val_every=100)
    poisoned(monkeypatch, set(range(21)), "gradient")
    train(replace(config, out=tmp_path / "good", epochs=8))
    assert scaler.get_scale() == 2**-5
    poisoned(monkeypatch, set(range(100)), "gradient")
    with pytest.raises(RunError, match="in 22 steps in a row, up to step 21"):
        train(replace(config, out=tmp_path / "bad", epochs=8))


def test_weights_that_are_not_finite_are_not_saved(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However they came about; the checkpoint before stays, and the run is not written."""
    plain = TrainStep.step

    def overflow(stepper: TrainStep, number: int, batches: Any) -> Tensor:
        sums = plain(stepper, number, batches)
        if number == 3:
            with torch.no_grad():
                next(stepper.network.parameters())[0, 0] = math.inf
        return sums

    monkeypatch.setattr(TrainStep, "step", overflow)
    with pytest.raises(RunError, match="weights are not finite after step 4 and were not saved"):
        train(replace(tiny, out=tmp_path / "run", save_every=1))
    assert not (tmp_path / "run/model.safetensors").exists()
    last = torch.load(checkpoints(tmp_path / "run/checkpoints")[-1], weights_only=True)
    assert last["step"] == 3
    for value in (torch.tensor([1, math.nan]), torch.tensor(-math.inf)):
        with pytest.raises(RunError, match="after step 7"):
            check_finite(tmp_path, 7, {"optimizer": {"state": [{"momentum": value}]}})


def test_only_what_can_change_is_copied() -> None:
    """Each step would wait for the statistics of layers that note nothing."""
    network = create_network("resnet18", num_classes=3, pretrained=False, output_stride=None)
    network.train()
    learning, *frozen = batch_norms(network)
    for layer in frozen:
        layer.eval()
    before = BufferCopy(network)
    copied = {id(buffer) for buffer, _ in before._copies}
    assert copied == {id(buffer) for buffer in learning.buffers()}
    state = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.rand(2, 3, 64, 64))
    before.restore()
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name])


def test_two_trainings_do_not_share_a_folder(tiny: TrainConfig, tmp_path: Path) -> None:
    """The second is told who is first, whether it begins or goes on; then the folder is free."""
    first = Trainer(replace(tiny, out=tmp_path / "run"))
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"run: is being written by process \d+ on "):
            train(replace(tiny, out=tmp_path / "run", resume=resume))
    first.run()
    train(replace(tiny, out=tmp_path / "run", resume=True))
    assert not list((tmp_path / "run").glob(".*"))


def test_shared_batch_norms_are_the_same_layers() -> None:
    """Names, weights and what they compute in evaluation stay, joined activations included."""
    for name in ("tf_efficientnet_lite0", "resnet18"):
        network = create_network(name, num_classes=3, pretrained=False, output_stride=None).eval()
        images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        keys, before = list(network.state_dict()), network(images).logits
        share_batch_norms(network)
        assert list(network.state_dict()) == keys
        assert torch.equal(network.eval()(images).logits, before)
        layers = batch_norms(network)
        assert layers
        assert all(isinstance(layer, nn.SyncBatchNorm) for layer in layers)


def test_shared_batch_norms_are_refused_where_they_cannot_work(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    """On a CPU, and where the statistics are frozen: before anything is read."""
    config = replace(tiny, data=tmp_path / "missing", out=tmp_path / "run")
    with pytest.raises(ConfigError, match="sync_bn needs GPUs"):
        train(replace(config, sync_bn=True))
    with pytest.raises(ConfigError, match="--frozen_bn false"):
        replace(config, sync_bn=True, pretrained=True)
    check_sync_bn(torch.device("cuda"))
