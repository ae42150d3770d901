"""Training and evaluation on multi-label images."""

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.synthetic.scenes import write_scenes
from wsol.data.transforms import EvalTransform
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import Located, _best_true, _ranks, evaluate, score_located
from wsol.evaluation.predictions import average_precision
from wsol.evaluation.protocols import WSOLEval
from wsol.inference.localizer import Localizer
from wsol.methods import list_methods, method_config
from wsol.methods.base import Method
from wsol.models import Output
from wsol.runs.run import RunInfo, load_run
from wsol.training.config import TrainConfig
from wsol.training.sampler import drawn_label
from wsol.training.step import TrainStep
from wsol.training.trainer import Trainer, train

OPTIONS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {"adl": {"layers": ("layer4",)}, "has": {"grid_sizes": (0, 16)}, "cutmix": {"prob": 0.5}}
)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 training and 12 test images of up to four objects."""
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=24, test=12, max_objects=4)
    return folder


@pytest.fixture(scope="module")
def config(tiny: TrainConfig, scenes: Path) -> TrainConfig:
    """Return options of a training that takes about a second; give it an ``out``."""
    return replace(tiny, data=scenes, epochs=1, val_fraction=0.3)


@pytest.fixture(scope="module")
def run(config: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished small run."""
    return train(replace(config, out=tmp_path_factory.mktemp("runs") / "run", epochs=2))


def by_hand(logits: Tensor, targets: Tensor) -> float:
    """Return the mean over images of the sum over classes, image by image."""
    total = 0.0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        for score, share in zip(row, wanted, strict=True):
            yes = 1 / (1 + math.exp(-score))
            total -= share * math.log(yes) + (1 - share) * math.log(1 - yes)
    return total / len(logits)


@pytest.mark.parametrize("name", list_methods())
def test_every_method_trains(
    config: TrainConfig, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch with finite figures; a run that was stopped ends with the same bytes."""
    config = replace(
        config, method=method_config(name)(**OPTIONS.get(name, {})), save_every=1, val_every=9
    )
    whole = train(replace(config, out=tmp_path / "whole"))
    rows = [json.loads(row) for row in (whole / "metrics.jsonl").read_text().splitlines()]
    assert math.isfinite(rows[-1]["loss"])
    info = load_run(whole)[1]
    assert info.is_multi_label
    assert info.labels is None
    steps = []
    plain = TrainStep.step

    def stop(stepper: TrainStep, number: int, batches: Any) -> Tensor:
        steps.append(1)
        if len(steps) > 1:
            raise InterruptedError
        return plain(stepper, number, batches)

    with monkeypatch.context() as patch:
        patch.setattr(TrainStep, "step", stop)
        with pytest.raises(InterruptedError):
            train(replace(config, out=tmp_path / "parts"))
    train(replace(config, out=tmp_path / "parts", resume=True))
    weights = [(tmp_path / part / "model.safetensors").read_bytes() for part in ("whole", "parts")]
    assert weights[0] == weights[1]
    again = (tmp_path / "parts/metrics.jsonl").read_text().splitlines()
    assert json.loads(again[-1])["loss"] == rows[-1]["loss"]


@pytest.mark.parametrize("name", list_methods())
def test_a_label_that_is_not_there_is_pushed_down(name: str) -> None:
    """In every method the loss falls with the scores of the labels, and rises with the others'."""
    torch.manual_seed(0)
    method = method_config(name)().create()
    method.is_multi_label = True
    logits = torch.randn(5, 4, requires_grad=True)
    targets = torch.tensor([[1.0, 0, 1, 0]]).repeat(5, 1)
    second = torch.randn(5, 4)
    branches: tuple[Tensor, ...] = {
        "acol": (torch.rand(5, 4, 3, 3), second),
        "spg": (torch.rand(5, 3, 3), *(torch.randn(5, 1, 3, 3) for _ in range(3))),
        "c2am": (torch.rand(5, 6), torch.rand(5, 6)),
        "trilite": (second, torch.full((5, 4), -100.0)),
    }.get(name, ())
    loss = method.loss(Output(logits, torch.empty(0), branches), targets)
    expected = by_hand(logits.detach(), targets)
    if name in ("acol", "trilite"):
        expected += by_hand(second, targets)
    if name not in ("spg", "c2am"):
        assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.equal(gradient < 0, targets > 0)
    torch.testing.assert_close(gradient, (logits.detach().sigmoid() - targets) / 5)


def test_the_loss_of_a_step_is_that_of_all_labels(config: TrainConfig, tmp_path: Path) -> None:
    """What is logged equals the loss of what the network said to the images of the steps."""
    training = Trainer(replace(config, out=tmp_path / "run", batch_size=4))
    losses, right, steps = [], 0, 0
    forward = training.network.forward
    said: list[Tensor] = []

    def listen(images: Tensor, labels: Tensor | None = None) -> Output:
        output = forward(images, labels)
        assert labels is not None
        assert labels.dtype == torch.int64
        said.append(output.logits.detach())
        told.append(labels)
        return output

    told: list[Tensor] = []
    training.network.forward = listen
    for (batch,) in training._steps():
        step = training.stepper.step(training.step, [batch])
        targets = training.samples.targets(batch.indices)
        logits, labels = said[-1], told[-1].tolist()
        assert all(row[label] == 1 for row, label in zip(targets, labels, strict=True))
        losses.append(by_hand(logits, torch.from_numpy(targets)))
        right = sum(row[score] for row, score in zip(targets, logits.argmax(1), strict=True))
        assert step.tolist() == pytest.approx([4 * losses[-1], right, 4], rel=1e-5)
        training.step += 1
        steps += 1
    assert steps > 3


def test_the_head_is_not_shifted(config: TrainConfig, tiny: TrainConfig, tmp_path: Path) -> None:
    """With all scores high at first, the loss is large and the features die of it."""
    several = Trainer(replace(config, out=tmp_path / "multiple"))
    assert float(several.network.head.linear.weight.detach().min()) < 0
    one = Trainer(replace(tiny, out=tmp_path / "single"))
    assert float(one.network.head.linear.weight.detach().min()) >= 0


def test_mixed_images_have_the_labels_of_both() -> None:
    """CutMix gives a label that both images have its full share."""
    method = method_config("cutmix")(prob=1.0).create()
    method.is_multi_label = True
    torch.manual_seed(3)
    labels = torch.tensor([[1.0, 1, 0, 0], [1, 0, 1, 0]])
    for _ in range(20):
        _, targets = method.prepare(torch.rand(2, 3, 32, 32), labels)
        assert targets[:, [0, 3]].tolist() == [[1, 0], [1, 0]]
        torch.testing.assert_close(targets[:, 1] + targets[:, 2], torch.ones(2))


def test_the_drawn_label_is_one_of_the_images() -> None:
    """Each about as often; a function of seed, step and image, and of all three."""
    labels = np.array([2, 5, 7])
    drawn = [drawn_label(labels, 0, step, 11) for step in range(600)]
    assert drawn == [drawn_label(labels, 0, step, 11) for step in range(600)]
    counts = np.bincount(drawn)
    assert set(np.flatnonzero(counts)) == set(labels)
    assert counts[labels].min() > 150
    assert drawn != [drawn_label(labels, 1, step, 11) for step in range(600)]
    assert drawn != [drawn_label(labels, 0, step, 12) for step in range(600)]
    assert drawn_label(np.array([4]), 0, 1, 2) == 4


def test_the_first_of_the_labels_counts() -> None:
    """The rank is the number of other classes before the best label, in any case."""
    random = np.random.default_rng(0)
    for _ in range(200):
        # Few values, so that there are ties.
        scores = random.integers(0, 4, 6).astype(np.float32)
        ground_truth = random.random(6) < 0.4
        ground_truth[random.integers(6)] = True
        order = sorted(range(6), key=lambda label: (-scores[label], label))
        expected = next(rank for rank, label in enumerate(order) if ground_truth[label])
        logits, targets = (
            torch.from_numpy(scores)[None],
            torch.from_numpy(ground_truth)[None].float(),
        )
        assert _ranks(logits, _best_true(logits, targets)) == [expected]
    broken = torch.tensor([[torch.nan, 1.0]])
    assert _ranks(broken, _best_true(broken, torch.tensor([[1.0, 1.0]]))) == [None]


def test_the_map_is_judged_by_the_boxes_of_its_class() -> None:
    """A map of the first label finds nothing where another object is."""
    boxes = np.array([[0.0, 0, 8, 8], [20, 20, 30, 30], [16, 0, 24, 8]])
    samples = Samples(
        Path(),
        ("a.jpg", "b.jpg"),
        np.array([1, 0]),
        ("crow", "wren"),
        (boxes, boxes),
        (np.array([0, 1]), np.array([0, 1])),
        (np.array([1, 0, 1]), np.array([1, 1, 1])),
    )
    protocol = WSOLEval(32)
    for (x0, y0, x1, y1), found in zip(boxes.astype(int), (True, False, True), strict=True):
        score_map = np.zeros((32, 32), np.float32)
        score_map[y0:y1, x0:x1] = 1
        (curves,) = score_located(samples, [protocol], Located(0, (32, 32), 3, score_map))
        assert curves is not None
        assert (curves.largest.max() > 0.7) == found
    # Without a box of the label only the classification counts.
    assert score_located(samples, [protocol], Located(1, (32, 32), 2, score_map)) == [None]


def test_evaluation_counts_any_label_as_right(run: Path, scenes: Path, tmp_path: Path) -> None:
    """Top-1 and top-5 equal what is counted image by image."""
    options = EvaluateConfig(run=run, out=tmp_path / "m.json", num_workers=0, device="cpu")
    metrics = evaluate(options).metrics
    network, info = load_run(run)
    samples = open_data(scenes)["test"]
    hits = np.zeros(2)
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (network.mean, network.std))
    from wsol.data.images import load_image

    for index in range(len(samples)):
        pixels = EvalTransform(info.image_size)(load_image(samples.path(index)), ())
        images = torch.tensor(pixels).permute(2, 0, 1)[None] / 255
        order = network((images - mean) / std).logits[0].argsort(descending=True).tolist()
        others = 0
        for label in order:
            if label in samples.labels_of(index):
                break
            others += 1
        hits += others < np.array([1, 5])
    expected = (100 * hits / len(samples)).tolist()
    assert [metrics["top1_cls"], metrics["top5_cls"]] == pytest.approx(expected)
    assert metrics["num_images"] == len(samples)
    assert metrics["max_box_acc_v2"] is not None


def test_a_file_of_labels_is_remembered(config: TrainConfig, scenes: Path, tmp_path: Path) -> None:
    """By the run, for its own data; another file may have fewer classes and one label each."""
    file = tmp_path / "mine.csv"
    file.write_bytes((scenes / "labels.csv").read_bytes())
    out = train(replace(config, out=tmp_path / "run", labels=file))
    assert load_run(out)[1].labels == str(file)
    options = EvaluateConfig(run=out, out=tmp_path / "m.json", num_workers=0, device="cpu")
    whole = evaluate(options).metrics
    file.unlink()
    assert evaluate(replace(options, labels=scenes / "labels.csv")).metrics == whole
    copy = tmp_path / "copy"
    shutil.copytree(scenes, copy)
    assert evaluate(replace(options, data=copy)).metrics == whole
    lines = (scenes / "labels.csv").read_text().splitlines()
    few = tmp_path / "few.csv"
    few.write_text("\n".join([lines[0], *(row for row in lines if row.endswith("star"))]))
    boxes = (scenes / "boxes.csv").read_text().splitlines()
    (tmp_path / "stars.csv").write_text("\n".join([boxes[0], *(b for b in boxes if ",star," in b)]))
    stars = replace(options, labels=few, boxes=tmp_path / "stars.csv")
    assert evaluate(stars).metrics["num_images"] == sum(
        row.startswith("test") and row.endswith("star") for row in lines
    )
    with pytest.raises(ConfigError, match="use one of them"):
        evaluate(replace(options, labels=few, splits=tmp_path))


@pytest.mark.parametrize("localizer", [None, "feature_norm"])
def test_evaluation_measures_what_is_predicted(
    run: Path, scenes: Path, tmp_path: Path, localizer: str | None
) -> None:
    """Average precision of the boxes of wsol predict, with the same reading."""
    options = EvaluateConfig(
        run=run, out=tmp_path / "m.json", localizer=localizer, num_workers=0, device="cpu"
    )
    metrics = evaluate(options).metrics
    locate = Localizer(run, localizer=localizer, device="cpu")
    assert (locate.is_multi_label, locate.instances) == (True, "multiple")
    samples = open_data(scenes)["test"]
    expected = average_precision(locate(samples.paths()), samples)
    names = ("box_ap", "box_ap50", "box_ap75")
    assert tuple(metrics[name] for name in names) == pytest.approx(tuple(expected))
    assert json.loads((tmp_path / "m.json").read_text())["box_ap50"] == metrics["box_ap50"]


def test_an_old_description_has_one_label(run: Path) -> None:
    """A run of before says nothing of several."""
    content = json.loads((run / "model.json").read_text())
    assert content.pop("is_multi_label") is True
    del content["labels"]
    lists = {name: tuple(content[name]) for name in ("classes", "layers", "scales")}
    info = RunInfo(**content | lists)
    assert not info.is_multi_label
    assert info.labels is None


def test_one_label_is_the_plain_loss() -> None:
    """Methods keep probabilities as probabilities."""
    logits, labels = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    method = Method()
    plain = torch.nn.functional.cross_entropy(logits, labels)
    assert torch.equal(method.classification_loss(logits, labels), plain)
    shares = torch.nn.functional.one_hot(labels, 3).float()
    torch.testing.assert_close(method.classification_loss(logits, shares), plain)
