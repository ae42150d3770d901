"""A distilled run is a run like any other, made of another one's score maps."""

import json
import os
import shutil
from dataclasses import replace
from io import BufferedWriter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

from wsol import Localizer
from wsol._utils.files import FolderLock
from wsol.cli.main import main
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.open import open_data
from wsol.data.synthetic.scenes import write_scenes
from wsol.data.transforms import EvalTransform
from wsol.distillation import composites
from wsol.distillation import distill as module
from wsol.distillation.composites import Cutout
from wsol.distillation.config import DistillConfig
from wsol.distillation.dataset import Teacher, build_dataset
from wsol.distillation.distill import distill
from wsol.errors import ConfigError, DataError, RunError
from wsol.evaluation.config import CompareConfig, EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.inference.device import Compute
from wsol.inference.fitting import Preprocessing
from wsol.localizers import create_localizer
from wsol.localizers._forward import observe
from wsol.localizers.config import LocalizerConfig, resolve_threshold
from wsol.localizers.distilled import PSOL, DistilledInstances, DistilledPixels
from wsol.models.heads import scaled_maps
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.runs.run import load_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

FILES = {
    *("config.yaml", "localizer.safetensors", "metrics.csv", "metrics.jsonl", "model.json"),
    "val_images.txt",
}


@pytest.fixture(params=["pixels", "psol"])
def config(tiny_run: Path, tmp_path: Path, request: pytest.FixtureRequest) -> DistillConfig:
    """Return options that take about two seconds, for either student."""
    return DistillConfig(
        run=tiny_run,
        out=tmp_path / "new",
        student=request.param,
        localizer="feature_norm",
        threshold=0.3,
        epochs=2,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


def test_it_is_a_run_like_any_other(config: DistillConfig, tmp_path: Path) -> None:
    """Evaluation and prediction read it; its classes are those of the teacher."""
    folder, val, num_errors, _ = distill(config)
    assert num_errors == 0
    assert {file.name for file in folder.iterdir()} == FILES | {"model.safetensors"}
    network, info = load_run(folder)
    assert info.localizer_config == LocalizerConfig(
        config.student, layers=("layer4",), normalization="otsu"
    )
    assert (info.threshold, info.threshold_from) == (0.5, "auto")
    for name, weight in load_run(config.run)[0].state_dict().items():
        assert torch.equal(network.state_dict()[name], weight)
    options = EvaluateConfig(folder, split="val", num_workers=0, device="cpu")
    assert evaluate(options).metrics == val
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    images = [Path(info.data) / "test"]
    statuses = predict(
        PredictConfig(
            images=images, out=tmp_path / "boxes", run=folder, num_workers=0, device="cpu"
        )
    )
    assert statuses == {"ok": 12}


def test_boxes_are_those_of_the_head(config: DistillConfig) -> None:
    """What prediction gives is the filled box, in pixels of the image."""
    folder = distill(replace(config, student="psol")).folder
    locate = Localizer(folder, device="cpu")
    assert isinstance(locate.localizer, PSOL)
    found = list(locate(open_data(load_run(folder)[1].data)["test"].paths()))
    for result in found:
        assert len(result.boxes) == 1
        share = result.boxes[0] / (*result.original_size, *result.original_size)
        inside = result.heat_map > 0.5
        across, down = inside.any(0).nonzero()[0], inside.any(1).nonzero()[0]
        wanted = np.array([across[0], down[0], across[-1] + 1, down[-1] + 1]) / 64
        # Thresholds go by grey levels, so that a pixel of which just half lies inside is left out.
        np.testing.assert_allclose(share, wanted, atol=1.01 / 64)


def test_the_same_seed_gives_the_same_bytes(config: DistillConfig, tmp_path: Path) -> None:
    """Of all that is kept; another seed gives another head."""
    one = distill(config).folder
    two = distill(replace(config, out=tmp_path / "two")).folder
    other = distill(replace(config, out=tmp_path / "other", seed=1)).folder
    for name in ("model.safetensors", "localizer.safetensors", "model.json"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    name = "localizer.safetensors"
    assert (one / name).read_bytes() != (other / name).read_bytes()


def test_a_taken_folder_is_refused(config: DistillConfig, tiny_run: Path) -> None:
    """Before any time is spent, and in one line."""
    with pytest.raises(ConfigError, match="contains a run; use another --out"):
        distill(replace(config, out=tiny_run))


def test_a_second_writer_is_refused(config: DistillConfig) -> None:
    """And told who is the first."""
    config.out.mkdir()
    with FolderLock(config.out), pytest.raises(ConfigError, match=f"by process {os.getpid()} on"):
        distill(config)


def test_nothing_of_the_old_data_is_kept(
    tiny: TrainConfig, config: DistillConfig, toy: Path, tmp_path: Path
) -> None:
    """Where it is distilled on other data; of the run's own, its files belong to it."""
    data = toy / "train"
    rows = [
        f"{path.relative_to(data).as_posix()},{path.parent.name}" for path in data.rglob("*.jpg")
    ]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["image,label", *rows]) + "\n")
    run = train(replace(tiny, out=tmp_path / "run", epochs=1, data=data, labels=labels))
    one = distill(replace(config, run=run, out=tmp_path / "single")).folder
    assert load_run(one)[1].labels == str(labels)
    two = distill(replace(config, run=run, out=tmp_path / "two", data=toy / "test")).folder
    info = load_run(two)[1]
    assert (info.data, info.labels, info.boxes) == (str(toy / "test"), None, None)


def test_a_full_disk_is_an_error(config: DistillConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no signal, as it would be in mapped memory."""

    def full(**_: object) -> BufferedWriter:
        return Path("/dev/full").open("wb")

    monkeypatch.setattr("wsol._utils.feature_file.TemporaryFile", full)
    with pytest.raises(OSError, match="No space left"):
        distill(config)


def test_an_interrupted_one_leaves_no_run(
    config: DistillConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left is no finished run, and the same command may be given again."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_run", stop)
        with pytest.raises(KeyboardInterrupt):
            distill(config)
    assert {file.name for file in config.out.iterdir()} == {"metrics.csv", "metrics.jsonl"}
    with pytest.raises(RunError, match="no finished run"):
        load_run(config.out)
    assert load_run(distill(config).folder)[1].localizer == config.student


def test_unreadable_images_are_left_out(
    config: DistillConfig, toy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a line in the log; the boxes of the data set are not needed."""
    data = tmp_path / "data"
    shutil.copytree(toy, data)
    (data / "boxes.csv").unlink()
    broken = next((data / "train").rglob("*.png"), None) or next((data / "train").rglob("*.jpg"))
    broken.write_bytes(b"no image")
    with caplog.at_level("INFO", "wsol"):
        folder, val, num_errors, _ = distill(replace(config, data=data))
    assert num_errors == 1
    assert f"skipped: {broken}" in caplog.text
    assert "training on 46 images" in caplog.text
    assert val is None
    assert load_run(folder)[1].data == str(data.resolve())


@pytest.fixture
def preprocessing(tiny_run: Path) -> Preprocessing:
    """Return how the images of the tiny run are read, five at a time."""
    network, _ = load_run(tiny_run)
    return Preprocessing(
        EvalTransform(64), network.mean, network.std, Compute(torch.device("cpu")), 5
    )


def test_targets_are_the_teachers_boxes(
    tiny_run: Path, toy: Path, preprocessing: Preprocessing, tmp_path: Path
) -> None:
    """Each image and its mirror image, with features of the network and mirrored boxes."""
    network, _ = load_run(tiny_run)
    teacher = Teacher(create_localizer("cam", network), "minmax", 0.4)
    student = PSOL(network, ["layer3", "layer4"])
    samples = open_data(toy)["train"].select(range(7))
    dataset = build_dataset(samples, teacher, student, preprocessing, tmp_path)
    assert not list(tmp_path.iterdir())
    count = len(dataset.targets) // 2
    assert dataset.features.values.shape == (2 * count, 288, 4, 4)
    plain, mirrored = dataset.targets[::2], dataset.targets[1::2]
    np.testing.assert_allclose(
        mirrored, [1, 0, 1, 0] + plain[:, [2, 1, 0, 3]] * [-1, 1, -1, 1], atol=1e-6
    )
    mean, std = dataset.features.channel_statistics(step=3)
    points = dataset.batch(range(2 * count))[0].double().numpy()
    points = points.transpose(1, 0, 2, 3).reshape(288, -1)
    np.testing.assert_allclose(mean, points.mean(1), rtol=1e-4, atol=1e-6)
    changing = points.std(1) > 1e-3
    np.testing.assert_allclose(std[changing], points.std(1)[changing], rtol=1e-3)
    assert (std > 0).all()


def test_targets_are_the_teachers_positions(
    tiny_run: Path, toy: Path, preprocessing: Preprocessing, tmp_path: Path
) -> None:
    """On the grid of the finest features; those of the mirror image are mirrored."""
    network, _ = load_run(tiny_run)
    teacher = Teacher(create_localizer("feature_norm", network), "minmax", 0.4)
    student = DistilledPixels(network, ["layer2", "layer4"])
    samples = open_data(toy)["train"].select(range(7))
    features, targets, _ = build_dataset(samples, teacher, student, preprocessing, tmp_path)
    assert features.values.shape == (14, 144, 8, 8)
    assert targets.shape == (14, 8, 8)
    assert targets.dtype == np.int8
    assert set(np.unique(targets)) == {-1, 0, 1}
    np.testing.assert_array_equal(targets[1::2], targets[::2, :, ::-1])


@pytest.mark.parametrize("factor", [1e-9, 1.0, 3e7])
def test_features_of_any_magnitude_are_kept(
    tiny_run: Path, toy: Path, preprocessing: Preprocessing, tmp_path: Path, factor: float
) -> None:
    """With the precision of float16, far beyond its range."""
    network, _ = load_run(tiny_run)
    teacher = Teacher(create_localizer("cam", network), "minmax", 0.4)
    network.body.layer3.register_forward_hook(lambda *passed: passed[2] * factor)
    student = PSOL(network, ["layer3"])
    samples = open_data(toy)["train"].select(range(3))
    dataset = build_dataset(samples, teacher, student, preprocessing, tmp_path)
    files = ImageFiles(samples.paths(), preprocessing.transform)
    (batch,) = load_batches(files, split_batches(range(3), 3), 0)
    images = normalized(batch.images, preprocessing.mean, preprocessing.std)
    expected = student.features(observe(network, images, ["layer3"]))
    features, _ = dataset.batch([0, 2, 4])
    assert features.dtype == torch.float32
    largest = float(expected.abs().max())
    assert 0.01 * factor < largest < 1e5 * factor
    torch.testing.assert_close(features, expected, rtol=1e-3, atol=1e-6 * largest)
    assert all(part.isfinite().all() for part in dataset.features.channel_statistics())


def test_features_that_are_not_finite_are_left_out(
    tiny_run: Path,
    toy: Path,
    preprocessing: Preprocessing,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With a line that names the image."""

    def spoil(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        return output.index_fill(0, torch.tensor([1]), torch.inf)

    network, _ = load_run(tiny_run)
    teacher = Teacher(create_localizer("feature_norm", network, layers=["layer2"]), "minmax", 0.4)
    network.body.layer3.register_forward_hook(spoil)
    samples = open_data(toy)["train"].select(range(3))
    dataset = build_dataset(samples, teacher, PSOL(network, ["layer3"]), preprocessing, tmp_path)
    assert len(dataset.targets) == 4
    assert f"{samples.ids[1]}: its features are not finite" in caplog.text


def test_a_teacher_that_sees_nothing_is_an_error(
    tiny_run: Path, toy: Path, preprocessing: Preprocessing, tmp_path: Path
) -> None:
    """There is nothing to learn from maps that are the same everywhere."""
    network, _ = load_run(tiny_run)
    student = PSOL(network, ["layer4"])
    teacher = Teacher(create_localizer("cam", network), "minmax", 0.5)
    assert teacher.target(np.ones((4, 4), np.float32), student, (2, 2)) is None
    with torch.no_grad():
        network.head.linear.weight.zero_()
    with pytest.raises(DataError, match="finds no object in any training image"):
        build_dataset(open_data(toy)["val"], teacher, student, preprocessing, tmp_path)


@pytest.mark.parametrize("name", ["pixels", "psol"])
def test_students_are_rejected_in_other_commands(
    tiny: TrainConfig, tiny_run: Path, toy: Path, name: str
) -> None:
    """Training and comparing refuse it before anything is loaded, evaluation before images."""
    with pytest.raises(ConfigError, match=f"localizer: .*wsol distill .*{name}"):
        replace(tiny, localizer=f"cam*{name}")
    with pytest.raises(ConfigError, match=f"localizers: .*{name}"):
        CompareConfig(toy, toy, localizers=("cam", name))
    with pytest.raises(ConfigError, match="run wsol distill"):
        evaluate(EvaluateConfig(tiny_run, localizer=name, num_workers=0, device="cpu"))


@pytest.fixture
def composed(
    config: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DistillConfig:
    """Return options for multi-label images, of which any object can be cut out."""

    def middle(image: Tensor, _: object, __: float, label: int) -> Cutout:
        return Cutout(image[:, 16:48, 16:48], torch.ones(32, 32, dtype=torch.bool), label)

    monkeypatch.setattr(composites, "find_cutout", middle)
    monkeypatch.setattr(module, "NUM_HELD_OUT", 2)
    write_scenes(tmp_path / "scenes", train=6, test=4, seed=0, max_objects=3)
    options = TrainConfig(
        tmp_path / "scenes",
        tmp_path / "multiple",
        backbone="test_resnet",
        pretrained=False,
        image_size=64,
        resize=64,
        epochs=1,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )
    return replace(config, run=train(options), student=None, epochs=1)


@pytest.mark.parametrize("config", ["pixels"], indirect=True)
def test_multi_label_images_train_instances(
    composed: DistillConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of the student where it is better, and otherwise of the teacher."""
    monkeypatch.setattr(module, "is_better", lambda *_: True)
    folder = distill(composed).folder
    info = load_run(folder)[1]
    assert (info.localizer, info.normalization, info.threshold) == ("instances", "max", 0.25)
    locate = Localizer(folder, device="cpu")
    assert isinstance(locate.localizer, DistilledInstances)
    found = list(locate(open_data(composed.run.parent / "scenes")["test"].paths()))
    assert all(len(result.box_labels) == len(result.boxes) for result in found)
    kept = yaml.safe_load((folder / "config.yaml").read_text())
    assert kept["student"] == "instances"
    monkeypatch.setattr(module, "is_better", lambda *_: False)
    teacher = distill(replace(composed, out=tmp_path / "teacher")).folder
    info = load_run(teacher)[1]
    assert (info.localizer, info.threshold) == ("feature_norm", 0.3)
    assert not (teacher / "localizer.safetensors").exists()


@pytest.mark.parametrize(("student", "teacher"), [(50, 40), (40, 50), (50, 50)])
def test_the_student_must_find_more_pasted_objects(
    student: float, teacher: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Than its teacher, in the same images."""
    options: list[tuple[object, ...]] = []

    def ap50(localizer: object, *arguments: object) -> float:
        options.append(arguments[1:])
        return {"student": student, "teacher": teacher}[str(localizer)]

    monkeypatch.setattr(module, "composite_ap50", ap50)
    thresholding = resolve_threshold(LocalizerConfig("cam"))
    better = module.is_better(
        ("student", thresholding), ("teacher", thresholding), ["a"], None, [1], None
    )
    assert better == (student > teacher)
    assert options[0] == options[1]


def test_options_out_of_range_are_refused(config: DistillConfig) -> None:
    """With their name, their value and their range."""
    for change in ({"epochs": 0}, {"lr": 0.0}, {"seed": -1}, {"threshold": 1.0}):
        with pytest.raises(ConfigError, match=f"{next(iter(change))}: "):
            replace(config, **change)
    with pytest.raises(ConfigError, match=r"student: 'pixel' .*pixels"):
        replace(config, student="pixel")


def test_each_student_has_its_own_course(config: DistillConfig) -> None:
    """By default; the choice is stored with the run."""
    plain = DistillConfig(config.run, config.out)
    assert plain.defaults == (5_000, 12, 0.005)
    assert replace(plain, student="psol", lr=0.1).defaults == (20_000, 20, 0.1)
    kept = yaml.safe_load((distill(config).folder / "config.yaml").read_text())
    assert kept["student"] == config.student
    assert (kept["max_images"], kept["epochs"], kept["lr"]) == config.defaults


def test_other_augmentations_use_the_trained_head(config: DistillConfig, tmp_path: Path) -> None:
    """Mirrored or resized images and other scales of maps go with the run's own head."""
    folder = distill(config).folder
    own = Localizer(folder, device="cpu")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain, mirrored = (
        scaled_maps(own.localizer(images)),
        scaled_maps(own.localizer(images.flip(-1))),
    )
    views = Localizer(folder, flip=True, normalization="max", device="cpu")
    both = (plain + mirrored.flip(-1)) / 2
    torch.testing.assert_close(views.localizer(images), both, atol=1e-4, rtol=0)
    assert views.threshold == own.threshold == 0.5
    options = EvaluateConfig(
        folder, split="val", num_workers=0, device="cpu", out=tmp_path / "m.json"
    )
    for change in ({"flip": True}, {"scales": (1.0, 1.5)}, {"normalization": "ivr"}):
        assert evaluate(replace(options, **change)).metrics["gt_known"] is not None
    with pytest.raises(ConfigError, match="localizer, layers and affinity"):
        evaluate(replace(options, layers=("layer3",)))


def test_a_multi_label_run(tiny: TrainConfig, config: DistillConfig, tmp_path: Path) -> None:
    """Its new localizer sees no classes, so that its labels share the map out."""
    write_scenes(tmp_path / "data", train=12, test=6, max_objects=3)
    run = train(replace(tiny, data=tmp_path / "data", out=tmp_path / "run", epochs=1))
    folder = distill(replace(config, run=run)).folder
    assert load_run(folder)[1].is_multi_label
    images = [tmp_path / "data" / "test"]
    statuses = predict(
        PredictConfig(
            images=images, out=tmp_path / "boxes", run=folder, num_workers=0, device="cpu"
        )
    )
    assert statuses == {"ok": 6}
    figures = evaluate(
        EvaluateConfig(folder, num_workers=0, device="cpu", out=tmp_path / "m.json")
    ).metrics
    assert figures["box_ap50"] is not None


def test_the_command_says_where_the_run_is(
    config: DistillConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how good it is on val."""
    argv = ["distill", str(config.run), "--out", str(config.out), "--epochs", "1"]
    assert (
        main([*argv, "--localizer", "feature_norm", "--num_workers", "0", "--device", "cpu"]) == 0
    )
    printed = capsys.readouterr().out
    assert "GT-known Loc" in printed
    assert f"wrote {config.out}: next, wsol evaluate" in printed


def test_the_command_says_what_could_not_be_read(
    config: DistillConfig, toy: Path, tmp_path: Path
) -> None:
    """By its exit status, of those to learn from and of val."""
    for split in ("train", "val"):
        data = tmp_path / split
        shutil.copytree(toy, data)
        next((data / split).rglob("*.jpg")).write_bytes(b"no image")
        argv = [
            "distill",
            str(config.run),
            "--out",
            str(tmp_path / f"{split}-run"),
            "--epochs",
            "1",
        ]
        options = [
            "--localizer",
            "feature_norm",
            "--num_workers",
            "0",
            "--device",
            "cpu",
            "--data",
            str(data),
        ]
        assert main([*argv, *options]) == 3
