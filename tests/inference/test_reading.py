"""How score maps are read belongs to a run: it is trained, kept, evaluated and predicted so."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from wsol import Localizer
from wsol.data.open import open_data
from wsol.errors import ConfigError, RunError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.inference.loading import LocalizerOptions
from wsol.localizers import list_localizers
from wsol.localizers.config import FLAT_MAPS, LocalizerConfig, resolve_threshold
from wsol.runs.run import load_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

LOCALIZER_CONFIG = {
    "affinity": "layer2",
    "localizer": "cam*ddt",
    "layers": ("layer3",),
    "flip": True,
    "scales": (1.0, 1.5),
    "normalization": "ivr",
}


@pytest.fixture(scope="module")
def run(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose localizer is shown images."""
    return train(replace(tiny, out=tmp_path_factory.mktemp("reading") / "run", **LOCALIZER_CONFIG))


def test_a_run_keeps_its_reading(run: Path) -> None:
    """With the state fitted to the training images."""
    assert load_run(run)[1].localizer_config == LocalizerConfig(**LOCALIZER_CONFIG)
    assert set(load_file(run / "localizer.safetensors")) == {"mean.layer3", "direction.layer3"}


def test_prediction_and_evaluation_use_it(run: Path, toy: Path, tmp_path: Path) -> None:
    """Figures do not change with the name spelt out, though ddt is fitted again for it."""
    figures = evaluate(EvaluateConfig(run=run, out=tmp_path / "a.json")).metrics
    spelt = EvaluateConfig(run=run, out=tmp_path / "b.json", **LOCALIZER_CONFIG)
    assert evaluate(spelt).metrics == figures
    other = EvaluateConfig(run=run, out=tmp_path / "c.json", localizer="feature_norm")
    assert evaluate(other).at_best_threshold != evaluate(spelt).at_best_threshold
    locate = Localizer(run)
    fitted = load_file(run / "localizer.safetensors")
    assert all(torch.equal(value, fitted[name]) for name, value in locate.localizer.state().items())
    assert locate.localizer.scales == (1.0, 1.5)
    assert Localizer(run, localizer="cam").localizer.layers == ()


def test_another_localizer_is_fitted_on_the_training_images(
    tiny_run: Path, run: Path, tmp_path: Path
) -> None:
    """A run that was read by class maps can be evaluated by one that must see images."""
    config = EvaluateConfig(
        run=tiny_run, out=tmp_path / "a.json", localizer="ddt", layers=("layer3",)
    )
    assert evaluate(config).metrics["max_box_acc_v2"] is not None


def test_other_localizer_options_have_a_separate_threshold(tiny_run: Path, tmp_path: Path) -> None:
    """The run's was chosen for other maps; figures and images of the report are cut alike."""
    own = load_run(tiny_run)[1].threshold
    options = EvaluateConfig(run=tiny_run, out=tmp_path / "own/a.json", report=4, device="cpu")
    assert evaluate(options).metrics["threshold"] == own
    flipped = evaluate(replace(options, flip=True, report=0))
    assert (flipped.metrics["threshold"], flipped.threshold_from) == (own, "val")
    for number, (localizer_config, *expected) in enumerate(
        (
            ({"localizer": "feature_norm"}, "otsu", 0.5, "auto"),
            ({"affinity": "layer2"}, "otsu", 0.5, "auto"),
            ({"threshold": "auto"}, "otsu", 0.29, "auto"),
            ({"normalization": "ivr"}, "ivr", 0.2, "default"),
            ({"threshold": 0.25}, "minmax", 0.25, "option"),
            ({"localizer": "cam", "threshold": 0.25}, "minmax", 0.25, "option"),
        )
    ):
        found = evaluate(replace(options, **localizer_config, out=tmp_path / f"{number}/a.json"))
        locate = Localizer(tiny_run, **localizer_config, device="cpu")
        normalization, threshold, source = expected
        assert (found.metrics["threshold"], found.threshold_from) == (threshold, source)
        assert (locate.normalization, locate.threshold) == (normalization, threshold)


@pytest.mark.parametrize(
    ("own", "chosen", "options", "expected"),
    [
        # Without ground truth each map has its own threshold, unless a scale or number is given.
        ({}, None, {}, ("otsu", 0.29, "auto")),
        ({}, None, {"normalization": "minmax"}, ("minmax", 0.2, "default")),
        ({}, None, {"normalization": "otsu"}, ("otsu", 0.29, "auto")),
        ({"normalization": "ivr"}, None, {}, ("ivr", 0.2, "default")),
        ({"localizer": "cam*feature_norm"}, None, {}, ("otsu", 0.29, "auto")),
        ({"localizer": "feature_norm"}, None, {}, ("otsu", 0.5, "auto")),
        ({"normalization": "otsu"}, None, {"threshold": 0.4}, ("minmax", 0.4, "option")),
        ({"localizer": "pixels"}, None, {}, ("otsu", 0.5, "auto")),
        # Probabilities need no normalization.
        ({"localizer": "prototypes"}, None, {}, ("minmax", 0.5, "auto")),
        ({"localizer": "prototypes"}, None, {"threshold": "auto"}, ("minmax", 0.5, "auto")),
        ({"localizer": "prototypes"}, None, {"normalization": "otsu"}, ("otsu", 0.5, "auto")),
        ({"localizer": "prototypes"}, 0.1, {"localizer": "cam"}, ("otsu", 0.29, "auto")),
        ({"localizer": "cam"}, 0.1, {"localizer": "prototypes"}, ("minmax", 0.5, "auto")),
        ({"localizer": "prototypes*cam"}, None, {}, ("otsu", 0.29, "auto")),
        # One that was chosen holds for its own maps and scale.
        ({"normalization": "ivr"}, 0.1, {}, ("ivr", 0.1, "val")),
        ({"normalization": "ivr"}, 0.1, {"flip": True}, ("ivr", 0.1, "val")),
        ({"normalization": "ivr"}, 0.1, {"threshold": 0.4}, ("ivr", 0.4, "option")),
        ({"normalization": "otsu"}, 0.1, {"threshold": 0.4}, ("otsu", 0.4, "option")),
        ({"normalization": "ivr"}, 0.1, {"threshold": "auto"}, ("otsu", 0.29, "auto")),
        ({"normalization": "ivr"}, 0.1, {"localizer": "ddt"}, ("otsu", 0.29, "auto")),
        ({}, 0.1, {"affinity": "auto"}, ("otsu", 0.5, "auto")),
        ({}, 0.1, {"normalization": "otsu", "threshold": 0.4}, ("otsu", 0.4, "option")),
    ],
)
def test_where_maps_are_cut(
    own: dict[str, Any],
    chosen: float | None,
    options: dict[str, Any],
    expected: tuple[str, float, str],
) -> None:
    """Normalization, threshold and its origin, by the run's and the given options."""
    found = resolve_threshold(LocalizerConfig(**own), chosen, LocalizerOptions(**options))
    assert (found.localizer_config.normalization, found.threshold, found.threshold_from) == expected


def test_flat_maps_are_of_localizers() -> None:
    """A name that is none would change nothing."""
    assert set(list_localizers()) >= FLAT_MAPS


def test_auto_has_a_separate_normalization(tiny_run: Path) -> None:
    """Another one is refused, as it would change nothing."""
    with pytest.raises(ConfigError, match=r"^normalization: 'ivr' .*auto"):
        Localizer(tiny_run, threshold="auto", normalization="ivr")


def test_boxes_at_auto_are_those_of_the_otsu_scale(tiny_run: Path, toy: Path) -> None:
    """The option is another name for it, and a run without boxes is read so by itself."""
    images = sorted(toy.glob("test/*/*"))
    spelt = list(Localizer(tiny_run, normalization="otsu", threshold=0.29, device="cpu")(images))
    boxes = [found.boxes.tolist() for found in spelt]
    found = [found.boxes.tolist() for found in Localizer(tiny_run, threshold="auto")(images)]
    assert found == boxes
    assert boxes != [found.boxes.tolist() for found in Localizer(tiny_run, threshold=0.9)(images)]


def test_the_report_shows_what_was_measured(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the localizer fitted to the training images, not to the images of the report."""
    seen = []

    class Kept(Localizer):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            seen.append(self)

    monkeypatch.setattr("wsol.evaluation.evaluate.Localizer", Kept)
    evaluate(EvaluateConfig(run=tiny_run, out=tmp_path / "a.json", localizer="ddt", device="cpu"))
    (locate,) = seen
    assert locate.is_fitted
    again = Localizer(tiny_run, localizer="ddt", precision="fp32", device="cpu")
    again.fit(open_data(load_run(tiny_run)[1].data)["train"].paths())
    for name, value in again.localizer.state().items():
        assert torch.allclose(value, locate.localizer.state()[name], atol=1e-4)


def test_other_augmentations_use_the_fitted_state(run: Path, tmp_path: Path) -> None:
    """Augmentations and normalization do not affect it; with other layers it is fitted again."""
    fitted = load_file(run / "localizer.safetensors")
    changed = {name: value + 1 for name, value in fitted.items()}
    copy = shutil.copytree(run, tmp_path / "run")
    save_file(changed, copy / "localizer.safetensors")
    locate = Localizer(copy, scales=(1.0,), normalization="max")
    assert locate.is_fitted
    state = locate.localizer.state()
    assert all(torch.equal(value, changed[name]) for name, value in state.items())
    assert not Localizer(copy, layers=("layer4",)).is_fitted
    assert not Localizer(copy, affinity="layer1").is_fitted
    config = EvaluateConfig(run=copy, out=tmp_path / "a.json", scales=(1.0,))
    figures = [evaluate(replace(config, run=folder)).metrics for folder in (copy, run)]
    assert figures[0] != figures[1]


def test_a_damaged_state_is_named(run: Path, tmp_path: Path) -> None:
    """It is refused in one line with the file's name."""
    copy = tmp_path / "run"
    copy.mkdir()
    for path in run.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    (copy / "localizer.safetensors").write_bytes(b"cut")
    with pytest.raises(RunError, match=r"localizer\.safetensors"):
        Localizer(copy)
