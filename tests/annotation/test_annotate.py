"""The whole job in one command: from labelled images to boxes that a detector trains on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import wsol
from wsol.annotation import annotate as annotate_module
from wsol.annotation import learning as learn_labels
from wsol.annotation import stored_features
from wsol.annotation.config import AnnotateConfig
from wsol.annotation.stored_features import StoredFeatures
from wsol.cli.main import main
from wsol.distillation.dataset import Teacher
from wsol.errors import ConfigError, DataError
from wsol.localizers._forward import ForwardPass
from wsol.localizers.distilled import DistilledPixels
from wsol.methods.network import build_network
from wsol.prediction import local
from wsol.prediction import predict as predict_module
from wsol.prediction.inputs import collect, with_labels
from wsol.results.store import PredictionStore, chunk_file
from wsol.runs.run import load_info, load_run


@pytest.fixture
def config(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnnotateConfig:
    """Return options of an annotation of 12 images of four classes, by a small network."""

    def build(name: str, **options: object) -> object:
        torch.manual_seed(0)
        return build_network(name, **{**options, "pretrained": False})  # type: ignore[arg-type]

    monkeypatch.setattr(learn_labels, "build_network", build)
    images = tmp_path / "photos"
    shutil.copytree(toy / "test", images)
    return AnnotateConfig(
        images=images,
        out=tmp_path / "boxes",
        backbone="test_resnet",
        image_size=64,
        distill="never",
        report=0,
        batch_size=3,
        chunk_size=5,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


def rows(out: Path) -> dict[str, tuple[str, list[list[float]]]]:
    """Return class and boxes of each image."""
    store = PredictionStore(out)
    return {
        result.image_id: (
            result.label,
            [
                [store.info.names[label], *box]
                for label, box in zip(
                    result.box_labels.tolist(), result.boxes.tolist(), strict=True
                )
            ],
        )
        for result in store
    }


def count_features(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of images of each pass for features."""
    counts: list[int] = []
    observe = stored_features.observe

    def counted(network: object, images: torch.Tensor, layers: object) -> object:
        counts.append(len(images))
        return observe(network, images, layers)  # type: ignore[arg-type]

    monkeypatch.setattr(stored_features, "observe", counted)
    return counts


def test_boxes_are_those_of_the_run_that_is_kept(config: AnnotateConfig) -> None:
    """Prediction with it, of the same labels, from the images themselves gives the same boxes."""
    done = wsol.annotate(config)
    assert (done.folder, done.new, sum(done.statuses.values())) == (config.out, 12, 12)
    out = config.out.with_name("again")
    predict_module.predict(
        predict_module.PredictConfig(
            images=[config.images],
            out=out,
            run=config.out / "run",
            labels_from=Path("folders"),
            format=(),
            report=0,
            num_workers=0,
            precision="fp32",
            device="cpu",
        )
    )
    for name, (label, boxes) in rows(config.out).items():
        other = rows(out)[name]
        assert label == other[0] == name.partition("/")[0]
        # Features are kept as float16.
        np.testing.assert_allclose(
            [box[1:] for box in boxes], [box[1:] for box in other[1]], atol=8
        )
    yolo = config.out / "yolo"
    names = yaml.safe_load((yolo / "data.yaml").read_text())["names"]
    assert list(names.values()) == sorted({name.partition("/")[0] for name in rows(config.out)})
    listed = [(yolo / f"{split}.txt").read_text().split() for split in ("train", "val")]
    assert sum(map(len, listed)) == done.statuses["ok"]
    assert not set(listed[0]) & set(listed[1])


def test_the_head_tells_the_labels_apart(config: AnnotateConfig) -> None:
    """Images that it was fitted to are of their class for the run."""
    wsol.annotate(config)
    locate = wsol.Localizer(config.out / "run", precision="fp32", device="cpu")
    images = sorted(config.images.rglob("*.jpg"))
    right = [
        top[0][0] == path.parent.name
        for path, top in zip(images, locate.classify(images), strict=True)
    ]
    assert np.mean(right) >= 0.9


def test_features_are_computed_once(
    config: AnnotateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is stopped; what is written is what one call writes."""
    whole = replace(config, out=config.out.with_name("whole"))
    counts = count_features(monkeypatch)
    wsol.annotate(whole)
    assert sum(counts) == 12
    counts.clear()
    write = stored_features.write_tensors
    for stop in ("features", "head", "rows"):
        with monkeypatch.context() as patch:
            if stop == "features":
                patch.setattr(
                    stored_features,
                    "write_tensors",
                    lambda file, content: _stop() if "1" in file.name else write(file, content),
                )
            elif stop == "head":
                patch.setattr(learn_labels, "save_run", lambda *_: _stop())
            else:
                patch.setattr(local, "write_chunk", lambda *_: _stop())
            with pytest.raises(KeyboardInterrupt):
                wsol.annotate(config)
    assert wsol.annotate(config).new == 0
    # The part that was not written whole is computed again.
    assert sum(counts) == 12 + 5
    assert rows(config.out) == rows(whole.out)
    for name in ("localizations/chunk-000001.parquet", "run/model.safetensors", "annotations.json"):
        assert (config.out / name).read_bytes() == (whole.out / name).read_bytes()


def _stop() -> None:
    raise KeyboardInterrupt


def test_new_images_change_no_box_of_the_others(
    config: AnnotateConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are predicted alone, in the classes that are there or in new ones."""
    first = next(iter(sorted(config.images.rglob("*.jpg"))))
    moved = config.images.parent / "first.jpg"
    shutil.move(first, moved)
    wsol.annotate(config)
    before, chunks = rows(config.out), 3
    kept = [chunk_file(config.out, chunk).read_bytes() for chunk in range(chunks)]
    shutil.move(moved, first)
    (config.images / "aaa").mkdir()
    shutil.copy(first, config.images / "aaa/new.jpg")
    counts = count_features(monkeypatch)
    argv = [
        f"--{name}={value}"
        for name, value in vars(config).items()
        if name
        in (
            "out",
            "backbone",
            "image_size",
            "distill",
            "report",
            "batch_size",
            "chunk_size",
            "num_workers",
            "precision",
        )
    ]
    assert main(["annotate", str(config.images), *argv, "--device", "cpu"]) == 0
    assert "2 images were new" in capsys.readouterr().out
    assert not counts
    after = rows(config.out)
    assert {name: after[name] for name in before} == before
    assert after["aaa/new.jpg"][0] == "aaa"
    assert [chunk_file(config.out, chunk).read_bytes() for chunk in range(chunks)] == kept
    # A class that came later is behind those that were there.
    assert PredictionStore(config.out).info.classes[-1] == "aaa"
    assert load_info(config.out / "run").classes == PredictionStore(config.out).info.classes[:-1]
    assert wsol.annotate(config).new == 0


def test_what_does_not_fit_is_refused(config: AnnotateConfig) -> None:
    """Images that are gone or have other labels, other options, and folders of others."""
    wsol.annotate(config)
    with pytest.raises(ConfigError, match="image_size"):
        wsol.annotate(replace(config, image_size=96))
    first = next(iter(sorted(config.images.rglob("*.jpg"))))
    shutil.move(first, config.images.parent / "first.jpg")
    with pytest.raises(ConfigError, match="1 images are missing"):
        wsol.annotate(config)
    shutil.move(config.images.parent / "first.jpg", first)
    labels = config.images.parent / "labels.csv"
    names = [path.relative_to(config.images).as_posix() for path in config.images.rglob("*.jpg")]
    labels.write_text("\n".join(["image,label", *(f"{name},x" for name in names)]))
    with pytest.raises(ConfigError, match="12 images have other labels"):
        wsol.annotate(replace(config, labels_from=labels))
    other = config.images.parent / "other"
    (other / "run").mkdir(parents=True)
    with pytest.raises(ConfigError, match="run/"):
        wsol.annotate(replace(config, out=other))
    plain = config.images.parent / "plain"
    plain.mkdir()
    shutil.copy(first, plain)
    with pytest.raises(DataError, match="CLASS/"):
        wsol.annotate(replace(config, images=plain, out=other))
    # The same folder is begun anew on request.
    done = wsol.annotate(replace(config, image_size=96, overwrite=True))
    assert done.new == 12


def test_one_class_needs_no_head(config: AnnotateConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes are those of the ImageNet network, under the name that is given."""
    classes = config.images.parent / "classes.yaml"
    classes.write_text("{disc: thing, cross: thing, square: thing, triangle: }")
    network = build_network(
        "test_resnet", num_classes=1000, method=learn_labels.Config(), pretrained=False
    )
    monkeypatch.setattr("wsol.inference.loading.create_pretrained_network", lambda *_: network)
    done = wsol.annotate(replace(config, class_map=classes))
    assert sum(done.statuses.values()) == 9
    assert {label for label, _ in rows(config.out).values()} == {"thing"}
    assert not (config.out / "run").exists()


@pytest.mark.parametrize("helps", [True, False])
def test_a_distilled_head_is_used_where_it_helps(
    config: AnnotateConfig, monkeypatch: pytest.MonkeyPatch, helps: bool
) -> None:
    """As the comparison says; the run then has its localizer."""
    monkeypatch.setattr(learn_labels.Learning, "_helps", lambda *_: helps)
    wsol.annotate(replace(config, distill="auto"))
    assert (load_info(config.out / "run").localizer == "pixels") is helps
    network, _ = load_run(config.out / "run")
    assert network.head.num_classes == 4


def test_the_comparison_prefers_what_agrees(config: AnnotateConfig) -> None:
    """A student that says what its teacher says helps, one that says the opposite does not."""
    images = with_labels(collect([config.images]), Path("folders"))
    stored = StoredFeatures(config.out / "features", 64, range(12), 5)
    config.out.mkdir()
    learning = learn_labels.Learning(config, images, stored)
    stored.compute(learning.network, learning.layers, images.paths, learning.preprocessing, None)
    learning._fit_head()
    learning._fit_localizer()
    teacher = Teacher(learning.localizer, "otsu", 0.5)

    class Student(DistilledPixels):
        sign = 1

        def score_maps(self, forward_pass: ForwardPass, labels: torch.Tensor) -> list[torch.Tensor]:
            return [self.sign * each for each in teacher.localizer.score_maps(forward_pass, labels)]

    student = Student(learning.network, learning.layers)
    assert learning._helps(student, teacher)
    student.sign = -1
    assert not learning._helps(student, teacher)
    boxes = np.array([[0.0, 0.0, 0.5, 0.5], [0.1, 0.1, 0.4, 0.9]])
    others = np.array([[0.0, 0.0, 0.5, 1.0], [0.5, 0.1, 0.9, 0.9]])
    np.testing.assert_allclose(learn_labels._ious(boxes, others), [0.5, 0])
    assert learn_labels._ious(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [0]


def test_more_images_than_are_used_for_training(
    config: AnnotateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of those alone are kept, taken evenly; all images have boxes."""
    counts = count_features(monkeypatch)
    done = wsol.annotate(replace(config, max_images=8))
    assert sum(counts) == 8
    assert sum(done.statuses.values()) == 12


def test_images_with_multiple_labels(config: AnnotateConfig) -> None:
    """Each label has its boxes, and a file that cannot be read is a row with an error."""
    names = sorted(
        path.relative_to(config.images).as_posix() for path in config.images.rglob("*.jpg")
    )
    (config.images / names[1]).write_bytes(b"no image")
    labels = config.images.parent / "labels.csv"
    lines = [f"{name},{name.partition('/')[0]}" for name in names]
    labels.write_text("\n".join(["image,label", f"{names[0]},square", *lines]))
    done = wsol.annotate(replace(config, labels_from=labels, distill="auto"))
    assert done.statuses["error"] == 1
    info = load_info(config.out / "run")
    assert (info.is_multi_label, info.localizer == "pixels") == (True, False)
    allowed = {names[0]: {"square", "cross"}}
    for name, (_, boxes) in rows(config.out).items():
        assert {box[0] for box in boxes} <= allowed.get(name, {name.partition("/")[0]})


def test_another_process_is_kept_out(config: AnnotateConfig) -> None:
    """Both would write the same folder."""
    config.out.mkdir()
    lock = annotate_module.FolderLock(config.out, f"{annotate_module.NAME}-annotate")
    with lock, pytest.raises(ConfigError, match="is being written"):
        wsol.annotate(config)
