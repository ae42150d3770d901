"""Training on features that are computed once."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image

from wsol.data.loader import Key
from wsol.data.open import open_data
from wsol.data.transforms import EvalTransform
from wsol.distillation.config import DistillConfig
from wsol.distillation.distill import distill
from wsol.errors import ConfigError, ImageError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.inference.device import Compute
from wsol.inference.fitting import Preprocessing
from wsol.inference.localizer import Localizer
from wsol.methods import MethodConfig
from wsol.methods.c2am import Config as C2AMConfig
from wsol.methods.cutmix import Config as CutMixConfig
from wsol.methods.none import Config as NoMethod
from wsol.methods.trilite import Config as TriLiteConfig
from wsol.models import create_network
from wsol.runs.config import save_config
from wsol.runs.run import load_run
from wsol.training import cached_features as cached_training
from wsol.training.cached_features import cache_features, fit_classifier, is_mirrored
from wsol.training.config import TrainConfig
from wsol.training.step import TrainStep
from wsol.training.trainer import train

from ..forked import run_distributed


@pytest.fixture
def frozen(tiny: TrainConfig, tiny_run: Path, tmp_path: Path) -> TrainConfig:
    """Return options of a training of the head alone, from a run."""
    return replace(
        tiny,
        out=tmp_path / "run",
        init_from=tiny_run,
        backbone_lr=0,
        cache_features=True,
        method=TriLiteConfig(),
        localizer="",
    )


def is_multi_label(data: Path, folder: Path) -> Path:
    """Copy the training images of a data set, with labels of which most images have two."""
    shutil.copytree(data / "train", folder / "images")
    rows = [f"images/{path.parent.name}/{path.name}" for path in folder.glob("images/*/*")]
    lines = ["image,label", *(f"{row},{label}" for row in sorted(rows) for label in ("a", "b"))]
    lines[-1] = lines[-1].replace(",b", ",c")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_features_are_those_of_images_and_mirror_images(toy: Path, tmp_path: Path) -> None:
    """Of each layer, whole images, by the seed of the key."""
    network = create_network("test_resnet", num_classes=4, pretrained=False, method="c2am").eval()
    samples = open_data(toy)["train"]
    compute = Compute(torch.device("cpu"), "fp32")
    preprocessing = Preprocessing(
        EvalTransform(64), network.mean, network.std, compute, batch_size=5
    )
    cached = cache_features(network, samples.paths(), preprocessing, tmp_path)
    assert [layer.values.shape for layer in cached.layers] == [(48, 96, 4, 4), (48, 192, 4, 4)]
    keys = [Key(index, (0, 1, index)) for index in (7, 2, 20, 11)]
    assert {is_mirrored(key) for key in keys} == {True, False}
    (batch,) = cached.batches([keys])
    assert batch.indices == [7, 2, 20, 11]
    for row, key in enumerate(keys):
        with Image.open(str(samples.paths()[key.index])) as loaded:
            pixels = torch.from_numpy(EvalTransform(64)(loaded.convert("RGB")).copy())
        image = (pixels.permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
        image = image.flip(-1) if is_mirrored(key) else image
        with torch.inference_mode():
            features, tapped = network.layer_features(image, network.head.layers)
        for found, expected in zip(batch.layers, (features, *tapped), strict=True):
            torch.testing.assert_close(found[row], expected[0], atol=2e-3, rtol=2e-3)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("method", [TriLiteConfig(), C2AMConfig()])
def test_a_head_learns_and_its_run_is_like_any_other(
    frozen: TrainConfig, tiny_run: Path, method: MethodConfig
) -> None:
    """The body stays as it is; figures, boxes and a distilled run come from the head's map."""
    config = replace(frozen, method=method, localizer="", epochs=4, lr=0.05)
    run = train(config)
    network, info = load_run(run)
    before = load_run(tiny_run)[0].state_dict()
    for name, weight in network.state_dict().items():
        if name.startswith("body."):
            assert torch.equal(weight, before[name])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert info.localizer == "foreground"
    options = EvaluateConfig(run, split="val", report=0, num_workers=0, device="cpu")
    assert evaluate(options).metrics["max_box_acc_v2"] == rows[-1]["val_max_box_acc_v2"]
    locate = Localizer(run, device="cpu")
    assert locate.localizer_config.localizer == info.localizer
    new = config.out.with_name("new")
    teacher = DistillConfig(run=run, out=new, epochs=1, num_workers=0, device="cpu")
    assert load_run(distill(teacher).folder)[1].localizer == "pixels"


@pytest.mark.parametrize("several", [False, True])
def test_a_linear_head_is_fitted_at_once(
    frozen: TrainConfig, tiny_run: Path, tmp_path: Path, several: bool
) -> None:
    """To all images and their mirror images, in place of all epochs; and it goes on to nothing."""
    config = replace(frozen, method=NoMethod(), localizer="cam", epochs=4)
    if several:
        config = replace(
            config, data=is_multi_label(frozen.data, tmp_path / "data"), val_fraction=0
        )
    run = train(config)
    (row,) = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    assert row["epoch"] == 4
    network, info = load_run(run)
    assert info.is_multi_label == several
    before = load_run(tiny_run)[0].eval()
    samples = open_data(config.data, val_fraction=0 if several else None)["train"]
    rows = []
    for path in samples.paths():
        with Image.open(str(path)) as loaded:
            pixels = torch.from_numpy(EvalTransform(info.image_size)(loaded.convert("RGB")).copy())
        image = (pixels.permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
        with torch.inference_mode():
            rows += [before(view).features.mean((2, 3))[0] for view in (image, image.flip(-1))]
    labels = [samples.labels_of(index).tolist() for index in range(len(samples)) for _ in range(2)]
    targets = torch.tensor([own[0] for own in labels])
    if several:
        targets = torch.tensor([[float(c in own) for c in range(3)] for own in labels])
    weight, bias = fit_classifier(torch.stack(rows), targets, len(samples.classes))
    points = torch.stack(rows)
    expected, found = points @ weight.T + bias, network.head.linear(points)
    likely = torch.sigmoid if several else partial(torch.softmax, dim=1)
    torch.testing.assert_close(likely(found), likely(expected), atol=1e-2, rtol=1e-2)
    weights = (run / "model.safetensors").read_bytes()
    assert (train(replace(config, resume=True)) / "model.safetensors").read_bytes() == weights


def test_processes_fit_one_linear_head(frozen: TrainConfig, tmp_path: Path) -> None:
    """Together they look at each image once; the head is that of one process."""
    config = replace(frozen, method=NoMethod(), localizer="cam", out=tmp_path / "one")
    for number in (1, 2):
        file, out = tmp_path / f"{number}.yaml", tmp_path / str(number)
        save_config(file, replace(config, out=out))
        command = (sys.executable, "-m", "wsol", "train", "--config", str(file))
        done = run_distributed(command, number)
        assert done.returncode == 0, done.stderr
    one, two = (load_run(tmp_path / str(number))[0].state_dict() for number in (1, 2))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], atol=1e-3, rtol=1e-3)


def test_a_run_goes_on_as_if_it_had_never_stopped(
    frozen: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are computed once for each start; weights and buffers are the same bytes."""
    calls = []

    def counted(*arguments: object) -> cached_training.CachedFeatures:
        calls.append(1)
        return cache_features(*arguments)

    monkeypatch.setattr("wsol.training.trainer.cache_features", counted)
    frozen = replace(frozen, method=C2AMConfig(), epochs=3)
    whole = train(replace(frozen, out=tmp_path / "whole"))
    assert len(calls) == 1

    class StopError(Exception):
        pass

    def stop(*_: object) -> None:
        if len(list((frozen.out / "checkpoints").glob("*"))) == 2:
            raise StopError

    with monkeypatch.context() as patch:
        patch.setattr("wsol.training.trainer.TrainStep.step", stopping(stop))
        with pytest.raises(StopError):
            train(frozen)
    resumed = train(replace(frozen, resume=True))
    name = "model.safetensors"
    assert (resumed / name).read_bytes() == (whole / name).read_bytes()
    assert len(calls) == 3


def stopping(stop: Callable[..., None]) -> Callable[..., torch.Tensor]:
    """Return a step that may stop before it learns."""
    own = TrainStep.step

    def step(self: TrainStep, *arguments: object) -> torch.Tensor:
        stop()
        return own(self, *arguments)

    return step


def test_multi_label_images_are_supported(
    tiny_run: Path, tmp_path: Path, frozen: TrainConfig
) -> None:
    """Each of an image's labels counts, in both methods."""
    folder = is_multi_label(frozen.data, tmp_path / "data")
    for method in (TriLiteConfig(), C2AMConfig()):
        out = tmp_path / method.name
        run = train(replace(frozen, data=folder, out=out, method=method, val_fraction=0, epochs=1))
        assert load_run(run)[1].is_multi_label


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"backbone_lr": 0.1}, "backbone_lr"),
        ({"init_from": None}, "backbone_lr"),
        ({"frozen_bn": False}, "frozen_bn"),
        ({"method": CutMixConfig()}, "method"),
    ],
)
def test_what_features_do_not_allow_is_refused(
    frozen: TrainConfig, options: dict[str, object], word: str
) -> None:
    """Layers that learn, statistics that change, and methods that change images."""
    with pytest.raises(ConfigError, match=word) as refused:
        train(replace(frozen, localizer="", **options))
    assert "cache_features" in str(refused.value)
    assert not frozen.out.exists()


def test_an_image_that_cannot_be_read_is_named(frozen: TrainConfig, tmp_path: Path) -> None:
    """As in any other training."""
    data = tmp_path / "data"
    shutil.copytree(frozen.data, data)
    bad = next((data / "train").rglob("*.jpg"), None) or next((data / "train").rglob("*.png"))
    bad.write_bytes(b"no image")
    with pytest.raises(ImageError, match=bad.name):
        train(replace(frozen, data=data))
