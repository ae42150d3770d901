"""Training: what a run holds, and that going on equals never having stopped."""

import csv
import errno
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState
from torch import Tensor

from wsol.data.samples import Samples
from wsol.data.synthetic.toy import write_toy
from wsol.errors import ConfigError, DataError, ImageError, RunError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate, evaluate_split
from wsol.inference.localizer import Localizer
from wsol.maps import IouCurves
from wsol.methods.adl import Config as ADLConfig
from wsol.methods.base import Method, MethodConfig
from wsol.methods.cutmix import Config as CutMixConfig
from wsol.methods.has import Config as HaSConfig
from wsol.methods.spg import Config as SPGConfig
from wsol.metrics import LocalizationAccuracy
from wsol.models import Network, Output
from wsol.runs.run import load_run
from wsol.training.checkpoint import checkpoints
from wsol.training.config import TrainConfig
from wsol.training.trainer import Trainer, train
from wsol.training.validation import Validation, Validator
from wsol.types import SelectBy

from .. import forked


def digest(run: Path) -> str:
    """Return the sha256 of a run's weights."""
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def figures(run: Path) -> list[dict[str, float]]:
    """Return a run's rows without the images per second, which no two runs share."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    with (run / "metrics.csv").open(newline="") as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [row["loss"] for row in rows]
    return [{key: row[key] for key in row if key != "images_per_second"} for row in rows]


class StopError(Exception):
    """Raised in the middle of a training, in place of a kill."""


@dataclass(frozen=True)
class Failing(MethodConfig):
    """A method that fails after a number of steps."""

    name: str = "failing"
    after: int = 3
    how: Literal["stop", "nan"] = "stop"

    def create(self) -> Method:
        """Return the method."""
        return FailingMethod(self)


class FailingMethod(Method):
    """Plain training up to a point."""

    def __init__(self, config: Failing) -> None:
        """Count from zero."""
        self.config, self.steps = config, 0

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the plain loss, then fail."""
        self.steps += 1
        if self.steps > self.config.after:
            if self.config.how == "nan":
                return super().loss(output, labels) * math.nan
            raise StopError
        return super().loss(output, labels)


def test_a_run_holds_what_its_use_needs(tiny: TrainConfig, tiny_run: Path) -> None:
    """All files of a run folder are there and tell the same story."""
    config = yaml.safe_load((tiny_run / "config.yaml").read_text())
    assert config["epochs"] == 2
    assert config["method"] == {"name": "none"}
    lines = [json.loads(line) for line in (tiny_run / "metrics.jsonl").read_text().splitlines()]
    with (tiny_run / "metrics.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["step"] for line in lines] == [3, 6]
    assert [float(row["loss"]) for row in table] == [line["loss"] for line in lines]
    assert lines[-1]["val_max_box_acc_v2"] >= 0
    network, info = load_run(tiny_run)
    assert info.classes == ("cross", "disc", "square", "triangle")
    assert info.threshold_from == "val"
    assert network.head.linear.out_features == 4
    assert [path.name for path in checkpoints(tiny_run / "checkpoints")] == [
        "step_00000003.pt",
        "step_00000006.pt",
    ]


def test_training_learns(tmp_path: Path, tiny: TrainConfig) -> None:
    """A few epochs on images of two colours are enough to tell them apart."""
    from PIL import Image

    for split, count in (("train", 16), ("test", 4)):
        for name, colour in (("blue", (20, 20, 200)), ("red", (200, 20, 20))):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (64, 64), colour).save(folder / f"{index}.png")
    out = train(replace(tiny, data=tmp_path / "data", out=tmp_path / "run", epochs=4, lr=0.1))
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["train_top1"] == 100
    assert rows[-1]["val_top1_cls"] == 100
    assert rows[-1]["val_max_box_acc_v2"] is None
    info = load_run(out)[1]
    assert (info.normalization, info.threshold_from) == ("otsu", "auto")


@pytest.mark.parametrize("method", [None, ADLConfig(layers=("layer4",))])
def test_the_same_options_give_the_same_bytes(
    tiny: TrainConfig, tmp_path: Path, method: MethodConfig | None
) -> None:
    """Neither the number of workers nor the machine's state reach the weights."""
    config = replace(tiny, epochs=1) if method is None else replace(tiny, epochs=1, method=method)
    first = train(replace(config, out=tmp_path / "a"))
    torch.rand(7)
    second = train(replace(config, out=tmp_path / "b", num_workers=2))
    other = train(replace(config, out=tmp_path / "c", seed=1))
    assert digest(first) == digest(second)
    assert digest(first) != digest(other)


@pytest.mark.parametrize(
    ("method", "after"),
    [
        *((ADLConfig(layers=("layer4",)), after) for after in (1, 2, 3, 4, 5)),
        (HaSConfig(grid_sizes=(0, 16)), 3),
        (CutMixConfig(prob=0.5), 3),
    ],
)
def test_a_run_goes_on_as_if_it_had_never_stopped(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: MethodConfig,
    after: int,
) -> None:
    """Stopped after any step, in or between epochs, the resumed weights are the same bytes."""
    config = replace(tiny, method=method, save_every=2)
    whole = train(replace(config, out=tmp_path / "whole"))
    calls = []

    def stop(method: Method, output: Output, labels: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > after:
            raise StopError
        return plain(method, output, labels)

    plain = Method.loss
    with monkeypatch.context() as patch:
        patch.setattr(Method, "loss", stop)
        with pytest.raises(StopError):
            train(replace(config, out=tmp_path / "parts"))
    train(replace(config, out=tmp_path / "parts", resume=True))
    assert digest(tmp_path / "parts") == digest(whole)
    assert figures(tmp_path / "parts") == figures(whole)


class Scores:
    """Stands in for the evaluation of a training: one score after another, in percent.

    Args:
        ground_truth: MaxBoxAccV2 of each epoch on val, by ground truth; None: val has none.
        agreement: the same by pseudo-boxes.
    """

    def __init__(
        self, ground_truth: Sequence[int] | None = None, agreement: Sequence[int] | None = None
    ) -> None:
        """Start with the first epoch."""
        self.ground_truth, self.agreement = iter(ground_truth or []), iter(agreement or [])

    def __call__(self, references: list[Samples], *_: object) -> list[LocalizationAccuracy]:
        """Return counts of a hundred images with the next score."""
        (samples,) = references
        metric = LocalizationAccuracy()
        # Pseudo-boxes of the tests are marked by this corner.
        is_pseudo = samples.boxes is not None and samples.boxes[0][0, 0] == 7
        score = next(self.agreement if is_pseudo else self.ground_truth, None)
        for number in range(0 if score is None else 100):
            curve = np.full(1000, float(number < score))
            metric.update(0, IouCurves(curve, curve))
        return [metric]


def seven(samples: Samples, **_: object) -> Samples:
    """Return pseudo-boxes of which a test knows that they are some."""
    return replace(samples, boxes=tuple(np.array([[7.0, 7, 60, 60]]) for _ in samples.ids))


def weights_after(run: Path, step: int) -> dict[str, Tensor]:
    """Return the network's weights in a checkpoint."""
    state = torch.load(run / f"checkpoints/step_{step:08d}.pt", weights_only=True)
    weights: dict[str, Tensor] = state["network"]
    return weights


@pytest.mark.parametrize("select_by", ["ground_truth", "pseudo_boxes"])
def test_the_best_epoch_is_kept(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, select_by: SelectBy
) -> None:
    """The weights are those of the first epoch with the highest score, by either kind of box."""
    monkeypatch.setattr("wsol.training.checkpoint.KEEP", 9)
    monkeypatch.setattr("wsol.training.validation.add_pseudo_boxes", seven)
    scores: dict[str, Sequence[int]] = {"ground_truth": [1, 5, 2, 5], "pseudo_boxes": [1, 2, 9, 3]}
    monkeypatch.setattr("wsol.training.validation.evaluate_split", Scores(*scores.values()))
    run = train(replace(tiny, out=tmp_path / "run", epochs=4, keep_best=True, select_by=select_by))
    best = 1 + int(np.argmax(scores[select_by]))
    network, info = load_run(run)
    assert (info.epoch, info.epoch_from) == (best, select_by)
    saved = weights_after(run, 3 * best)
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())
    last = weights_after(run, 3 * 4)
    assert any(not torch.equal(value, last[name]) for name, value in saved.items())
    rows = figures(run)
    assert [row["val_max_box_acc_v2"] for row in rows] == scores["ground_truth"]
    if select_by == "pseudo_boxes":
        assert [row["val_agreement"] for row in rows] == scores["pseudo_boxes"]
        assert (run / "pseudo_boxes.csv").read_text().count("7.0,7.0,60.0,60.0") == 8


def test_without_ground_truth_the_best_epoch_is_chosen_by_pseudo_boxes(
    tiny: TrainConfig, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures by ground truth stay empty, and the threshold is not chosen on pseudo-boxes."""
    plain = tmp_path / "plain"
    shutil.copytree(toy, plain)
    (plain / "boxes.csv").unlink()
    monkeypatch.setattr("wsol.training.validation.add_pseudo_boxes", seven)
    config = replace(tiny, data=plain, out=tmp_path / "run", keep_best=True)
    run = train(config)
    info = load_run(run)[1]
    assert (info.threshold_from, info.epoch_from) == ("auto", "pseudo_boxes")
    rows = figures(run)
    assert [row["val_max_box_acc_v2"] for row in rows] == [None, None]
    agreements = [row["val_agreement"] for row in rows]
    assert info.epoch == 1 + int(np.argmax(agreements))
    # Whoever uses the run is told.
    assert info.choice
    assert Localizer(run, device="cpu").info(plain).model.endswith(info.choice)
    evaluate(EvaluateConfig(run=run, report=0, num_workers=0, device="cpu"))
    written = json.loads((run / "metrics.json").read_text())
    assert (written["threshold_from"], written["epoch_from"]) == ("auto", "pseudo_boxes")
    # What is not asked for is not predicted.
    monkeypatch.setattr("wsol.training.validation.add_pseudo_boxes", None)
    plain_run = train(replace(config, out=tmp_path / "last", keep_best=False, epochs=1))
    assert (load_run(plain_run)[1].epoch, load_run(plain_run)[1].epoch_from) == (1, "last")
    assert not (plain_run / "pseudo_boxes.csv").exists()


@pytest.mark.parametrize("after", [2, 4, 7])
def test_the_best_epoch_survives_an_interruption(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Stopped before or after it, the resumed run keeps the same weights."""
    monkeypatch.setattr("wsol.training.validation.add_pseudo_boxes", seven)
    config = replace(tiny, epochs=3, keep_best=True, select_by="pseudo_boxes", save_every=1)
    nothing = LocalizationAccuracy()

    def keep(of: Validator, epoch: int, validation: Validation, network: Network) -> None:
        scored = validation._replace(agreement={1: 20.0, 2: 30.0, 3: 10.0}[epoch])
        plain_keep(of, epoch, scored, network)

    def stop(method: Method, output: Output, labels: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > after:
            raise StopError
        return plain(method, output, labels)

    plain_keep = Validator.keep_if_best
    monkeypatch.setattr(Validator, "validate", lambda *_: Validation(nothing, None))
    monkeypatch.setattr(Validator, "keep_if_best", keep)
    whole = train(replace(config, out=tmp_path / "whole"))
    calls: list[int] = []
    plain = Method.loss
    with monkeypatch.context() as patch:
        patch.setattr(Method, "loss", stop)
        with pytest.raises(StopError):
            train(replace(config, out=tmp_path / "parts"))
    train(replace(config, out=tmp_path / "parts", resume=True))
    assert digest(tmp_path / "parts") == digest(whole)
    assert load_run(tmp_path / "parts")[1].epoch == 2


def test_a_choice_that_cannot_be_made_is_refused(tiny: TrainConfig, tmp_path: Path) -> None:
    """Without a val split there is nothing to choose on, nor anything to choose by."""
    with pytest.raises(ConfigError, match="select_by"):
        replace(tiny, select_by="pseudo_boxes")
    data = tmp_path / "data"
    write_toy(data, train=8, val=0, test=2)
    shutil.rmtree(data / "val", ignore_errors=True)
    with pytest.raises(DataError, match="--val_fraction"):
        train(replace(tiny, data=data, out=tmp_path / "run", val_fraction=0.0, keep_best=True))
    assert not (tmp_path / "run").exists()


def test_a_killed_process_goes_on(
    tiny: TrainConfig, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    """SIGKILL in the middle of an epoch, then --resume: the same sha256."""
    command = [sys.executable, "-m", "wsol", "train", str(tiny.data), *tiny_options]
    command += [
        "--save_every",
        "1",
        "--epochs",
        "3",
        "--method",
        "adl",
        "--method.layers",
        "layer4",
    ]
    forked.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    process = forked.Popen([*command, "--out", str(tmp_path / "parts")], stderr=subprocess.PIPE)
    while not (tmp_path / "parts/checkpoints/step_00000004.pt").exists():
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "parts/model.safetensors").exists()
    forked.run(
        [*command, "--out", str(tmp_path / "parts"), "--resume"], check=True, capture_output=True
    )
    assert digest(tmp_path / "parts") == digest(tmp_path / "whole")


def test_a_loss_that_stays_not_finite_ends_the_run_and_is_not_saved(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    """The last good checkpoint stays, and no weights are written."""
    out = tmp_path / "run"
    config = replace(tiny, out=out, method=Failing(after=3, how="nan"), max_skipped=3)
    with pytest.raises(RunError, match="not finite in 3 steps in a row, up to step 5"):
        train(config)
    assert not (out / "model.safetensors").exists()
    state = torch.load(checkpoints(out / "checkpoints")[-1], weights_only=True)
    assert state["step"] == 3
    assert all(value.isfinite().all() for value in state["network"].values())


def test_a_taken_folder_is_refused(tiny: TrainConfig, tiny_run: Path) -> None:
    """A finished run is not overwritten, and going on with other options names the option."""
    before = digest(tiny_run)
    with pytest.raises(ConfigError, match="--resume"):
        train(replace(tiny, out=tiny_run))
    with pytest.raises(ConfigError, match=r"lr was 0\.\d+ and is 0\.5 now"):
        train(replace(tiny, out=tiny_run, resume=True, lr=0.5))
    assert digest(tiny_run) == before


def test_a_refused_training_leaves_its_folder_free(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The corrected command goes through, and a folder made for nothing is taken away again."""
    out, mine = tmp_path / "run", tmp_path / "mine"
    mine.mkdir()
    for folder in (out, mine):
        with pytest.raises(ConfigError, match="resnt18"):
            train(replace(tiny, out=folder, backbone="resnt18"))
        with pytest.raises(ConfigError, match="no layer 'layer9'"):
            train(replace(tiny, out=folder, layers=("layer9",)))
    assert not out.exists()
    assert list(mine.iterdir()) == []

    def refuse(path: Path, config: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("wsol.training.preflight.save_config", refuse)
        with pytest.raises(ConfigError, match="run: cannot be written: No space left on device"):
            train(replace(tiny, out=out, epochs=1))
    train(replace(tiny, out=out, epochs=1))


def test_a_run_does_not_go_on_with_other_data(tiny: TrainConfig, tmp_path: Path) -> None:
    """An additional image would change the order and the val split, and thereby the metrics."""
    write_toy(tmp_path / "data", train=24, val=0, test=4)
    config = replace(tiny, data=tmp_path / "data", out=tmp_path / "run", epochs=1, val_fraction=0.2)
    train(config)
    new = tmp_path / "data/train/disc/new.jpg"
    shutil.copy(tmp_path / "data/train/disc/0001.jpg", new)
    with pytest.raises(RunError, match="data: images, labels or classes have changed"):
        train(replace(config, resume=True))
    (last,) = checkpoints(tmp_path / "run/checkpoints")
    state = torch.load(last, weights_only=True)
    new.unlink()
    del state["data"]
    torch.save(state, last)
    train(replace(config, resume=True))


def test_another_precision_is_said(
    tiny: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What auto chose is kept, as the next machine may choose otherwise."""
    config = replace(tiny, out=tmp_path / "run", epochs=1)
    train(config)
    train(replace(config, resume=True))
    assert "trained in" not in caplog.text
    (last,) = checkpoints(tmp_path / "run/checkpoints")
    state = torch.load(last, weights_only=True)
    assert state["precision"] == "fp32"
    torch.save(state | {"precision": "bf16"}, last)
    train(replace(config, resume=True))
    assert "run: trained in bf16 so far, continuing in fp32" in caplog.text


def test_a_run_goes_on_from_everywhere(
    tiny: TrainConfig, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moved, from another working directory, and begun before there was an option."""
    monkeypatch.chdir(toy.parent)
    config = replace(tiny, epochs=1, data=Path(toy.name))
    out = train(replace(config, out=tmp_path / "run"))
    out = out.rename(tmp_path / "moved")
    content = yaml.safe_load((out / "config.yaml").read_text())
    assert content["data"] == str(toy)
    del content["gradient_accumulation_steps"], content["max_skipped"]
    (out / "config.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(toy)
    train(replace(config, data=Path(), out=out, resume=True))
    assert yaml.safe_load((out / "config.yaml").read_text())["gradient_accumulation_steps"] == 1


def test_resuming_a_finished_run_changes_nothing(tiny: TrainConfig, tmp_path: Path) -> None:
    """Its weights and rows stay the same."""
    out = train(replace(tiny, out=tmp_path / "run"))
    before, rows = digest(out), (out / "metrics.jsonl").read_text()
    train(replace(tiny, out=out, resume=True))
    assert digest(out) == before
    assert (out / "metrics.jsonl").read_text() == rows


def test_one_class_is_refused_and_named(tmp_path: Path, tiny: TrainConfig) -> None:
    """A classifier needs two classes."""
    write_toy(tmp_path / "data", train=1, val=0, test=1)
    with pytest.raises(DataError, match="only one class \\('cross'\\)"):
        train(replace(tiny, data=tmp_path / "data", out=tmp_path / "run"))


def test_a_bad_training_image_is_named(tmp_path: Path, tiny: TrainConfig) -> None:
    """The error names the file, also from a worker process."""
    write_toy(tmp_path / "data", train=8, val=0, test=4)
    bad = tmp_path / "data/train/disc/0001.jpg"
    bad.write_bytes(b"")
    for num_workers in (0, 1):
        config = replace(tiny, data=tmp_path / "data", out=tmp_path / str(num_workers))
        with pytest.raises(ImageError, match=r"disc/0001\.jpg: the file is empty"):
            train(replace(config, num_workers=num_workers))


def test_pretrained_layers_learn_at_a_tenth(tiny: TrainConfig, tmp_path: Path) -> None:
    """Body and head get their own learning rates, and the row shows the head's."""
    config = replace(tiny, out=tmp_path / "run", backbone="tf_efficientnet_lite0", pretrained=True)
    training = Trainer(config)
    body, head = training.optimizer.param_groups
    assert (body["share"], head["share"]) == (0.1, 1.0)
    assert sum(map(len, (body["params"], head["params"]))) == len(
        list(training.network.parameters())
    )


def test_a_training_starts_from_another_run(
    tiny: TrainConfig, tiny_run: Path, tmp_path: Path
) -> None:
    """The run's layers go on at their share of the learning rate, with frozen statistics."""
    training = Trainer(replace(tiny, out=tmp_path / "run", init_from=tiny_run))
    for name, value in load_run(tiny_run)[0].state_dict().items():
        assert torch.equal(training.network.state_dict()[name], value)
    assert training.optimizer.param_groups[0]["share"] == 0.1
    assert training.frozen
    fresh = Trainer(replace(tiny, out=tmp_path / "fresh"))
    assert fresh.optimizer.param_groups[0]["share"] == 1.0
    assert not fresh.frozen


def test_layers_that_do_not_learn_stay_to_the_last_bit(
    tiny: TrainConfig, tiny_run: Path, tmp_path: Path
) -> None:
    """At no share of the learning rate the head learns alone, and weights do not decay."""
    run = train(replace(tiny, out=tmp_path / "run", init_from=tiny_run, backbone_lr=0))
    before, after = (load_run(folder)[0].state_dict() for folder in (tiny_run, run))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in before if name.startswith("body.")}


def test_the_step_schedule_follows_its_milestones(tiny: TrainConfig, tmp_path: Path) -> None:
    """The rows show a tenth of the rate from the milestone on."""
    config = replace(tiny, out=tmp_path / "run", schedule="step", milestones=(0.5,), epochs=2)
    rows = [json.loads(row) for row in (train(config) / "metrics.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == pytest.approx([0.005, 0.0005])


@pytest.mark.parametrize("milestones", [(0.5, 0.2), (0.0,), (30, 60)])
def test_milestones_are_rising_shares(tiny: TrainConfig, milestones: tuple[float, ...]) -> None:
    """Epochs in their place are refused."""
    with pytest.raises(ConfigError, match="milestones: "):
        replace(tiny, milestones=milestones)


def test_a_split_without_images_is_refused(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to train on is one line, before the run folder is made."""
    empty = Samples(tiny.data, (), np.zeros(0, np.int64), ("crow", "wren"))

    def find(*args: object, **options: object) -> dict[str, Samples]:
        return {"train": empty}

    monkeypatch.setattr("wsol.training.trainer.open_data", find)
    with pytest.raises(DataError, match="the train split has no images"):
        train(replace(tiny, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_size_that_the_network_does_not_take_is_refused(
    tiny: TrainConfig, tmp_path: Path
) -> None:
    """A transformer trains at another size than the published, if it is whole patches."""
    config = replace(tiny, backbone="test_vit", epochs=1, method=ADLConfig())
    assert load_run(train(replace(config, out=tmp_path / "vit")))[1].image_size == 64
    with pytest.raises(ConfigError, match=r"test_vit .* 50 x 50"):
        train(replace(config, out=tmp_path / "odd", image_size=50))


def test_a_checkpoint_that_does_not_fit_says_where(tiny: TrainConfig, tmp_path: Path) -> None:
    """The first entry of another shape is named."""
    out = train(replace(tiny, out=tmp_path / "run", epochs=1))
    last = checkpoints(out / "checkpoints")[-1]
    state = torch.load(last, weights_only=True)
    state["network"]["head.linear.bias"] = torch.zeros(7)
    torch.save(state, last)
    with pytest.raises(RunError, match=r"head\.linear\.bias has shape \(7,\) instead of \(4,\)"):
        train(replace(tiny, out=out, epochs=1, resume=True))


@pytest.fixture
def any_precision() -> Iterator[None]:
    """Let a test choose a precision: accelerate keeps the first of a process."""
    AcceleratorState._reset_state()
    yield
    AcceleratorState._reset_state()


@pytest.mark.usefixtures("any_precision")
def test_layers_work_in_bfloat16_and_channels_last(tiny: TrainConfig, tmp_path: Path) -> None:
    """With bf16, nothing between images and gradients falls back to another layout or type."""
    training = Trainer(replace(tiny, out=tmp_path / "run", precision="bf16"))
    seen: list[tuple[torch.dtype, bool]] = []

    def preprocessing(tensor: Tensor) -> None:
        last = tensor.is_contiguous(memory_format=torch.channels_last)
        seen.append((tensor.dtype, last))

    def watch(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        preprocessing(output)
        output.register_hook(preprocessing)

    layers = [m for m in training.network.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer in layers:
        layer.register_forward_hook(watch)
    batches = next(training._steps())
    assert batches[0].images.is_contiguous(memory_format=torch.channels_last)
    training.stepper.step(0, batches)
    assert seen == [(torch.bfloat16, True)] * (2 * len(layers))


@pytest.mark.parametrize("method", [ADLConfig(), SPGConfig()])
def test_methods_that_act_through_a_frozen_body_are_refused(
    tiny: TrainConfig, tiny_run: Path, tmp_path: Path, method: MethodConfig
) -> None:
    """Where backbone_lr is 0 and the body has been trained, and with nothing written."""
    config = replace(tiny, out=tmp_path / "run", epochs=1, method=method, backbone_lr=0)
    with pytest.raises(ConfigError, match=f"{method.name}.*backbone_lr"):
        train(replace(config, init_from=tiny_run))
    assert not config.out.exists()
    # New weights learn at the full rate, whatever the share.
    train(config)


@pytest.mark.parametrize(("gradient_accumulation_steps", "most"), [(1, 8), (4, 2)])
def test_validation_takes_no_more_images_at_once_than_a_step(
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gradient_accumulation_steps: int,
    most: int,
) -> None:
    """Where a step's images have to be taken in parts, memory suffices for no more."""
    sizes: list[int] = []

    def watched(
        references: Any, localizer: Any, preprocessing: Any, protocols: Any
    ) -> list[LocalizationAccuracy]:
        sizes.append(preprocessing.batch_size)
        return evaluate_split(references, localizer, preprocessing, protocols)

    monkeypatch.setattr("wsol.training.validation.evaluate_split", watched)
    train(
        replace(
            tiny,
            out=tmp_path / "run",
            epochs=1,
            gradient_accumulation_steps=gradient_accumulation_steps,
        )
    )
    assert sizes == [most]
