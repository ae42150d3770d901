"""Prediction of images whose labels are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol import Localizer
from wsol.errors import ConfigError, DataError
from wsol.inference import loading as opened_module
from wsol.models import create_network
from wsol.models.create import imagenet_classes
from wsol.models.network import Network
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import collect
from wsol.prediction.predict import predict
from wsol.results.store import PredictionStore

FOLDERS = Path("folders")


@pytest.fixture
def config(toy: Path, tiny_run: Path, tmp_path: Path) -> PredictConfig:
    """Return options of a prediction of 12 images in class folders."""
    return PredictConfig(
        images=[toy / "test"],
        out=tmp_path / "boxes",
        run=tiny_run,
        labels_from=FOLDERS,
        format=("coco", "csv"),
        report=0,
        batch_size=5,
        chunk_size=5,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


@pytest.fixture
def small_imagenet(monkeypatch: pytest.MonkeyPatch) -> Network:
    """Return a small network of random weights in place of the bundled one."""
    network = create_network("test_resnet", num_classes=1000, pretrained=False)
    monkeypatch.setattr(opened_module, "create_pretrained_network", lambda *_: network)
    return network


def folder_of(name: str) -> str:
    """Return the class folder of an image."""
    return name.partition("/")[0]


def test_the_given_class_is_looked_for(config: PredictConfig) -> None:
    """The boxes are those that each image has when its class is asked for."""
    assert predict(config)["error"] == 0
    locate = Localizer(config.run, precision="fp32", device="cpu", batch_size=1)
    for result in PredictionStore(config.out):
        path = config.images[0] / result.image_id
        (expected,) = locate([path], label=folder_of(result.image_id))
        assert (result.label, result.class_index) == (expected.label, expected.class_index)
        assert result.score == pytest.approx(expected.score, abs=1e-5)
        np.testing.assert_allclose(result.boxes, expected.boxes, atol=1e-3)
        assert set(result.box_labels) <= {expected.class_index}


def test_without_a_run_the_names_are_the_users(
    config: PredictConfig, small_imagenet: Network, tmp_path: Path
) -> None:
    """Boxes are those of what the network sees, and no file has a name of ImageNet's."""
    config = replace(
        config, run=None, image_size=64, format=("coco", "csv", "yolo", "cvat"), report=9
    )
    predict(config)
    plain = replace(config, labels_from=None, out=tmp_path / "plain")
    predict(plain)
    for result, seen in zip(PredictionStore(config.out), PredictionStore(plain.out), strict=True):
        assert result.label == folder_of(result.image_id)
        assert result.score == 1
        np.testing.assert_array_equal(result.boxes, seen.boxes)
    classes = PredictionStore(config.out).info.classes
    assert classes == tuple(sorted(path.name for path in config.images[0].iterdir()))
    texts = [
        path.read_text(encoding="utf-8")
        for path in config.out.rglob("*")
        if path.suffix in (".json", ".csv", ".yaml", ".txt", ".xml", ".js", ".html")
        and "page" not in path.parts
    ]
    assert len(texts) > 12
    for name in (each for each in imagenet_classes() if " " in each):
        assert not any(name in text for text in texts)


def test_an_image_without_a_label(
    config: PredictConfig, small_imagenet: Network, tmp_path: Path
) -> None:
    """A run says what it shows; without one it is a row with an error."""
    folder = tmp_path / "photos"
    for name in ("disc/a.png", "b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((80, 60), 90).convert("RGB").save(folder / name)
    config = replace(config, images=[folder])
    assert predict(config)["error"] == 0
    seen, given = PredictionStore(config.out)
    (expected,) = Localizer(config.run, precision="fp32", device="cpu")([folder / "b.png"])
    assert (seen.image_id, seen.label, given.label) == ("b.png", expected.label, "disc")
    without = replace(config, run=None, image_size=64, out=tmp_path / "without")
    assert predict(without)["error"] == 1
    lost, given = PredictionStore(without.out)
    assert (lost.status, given.label) == ("error", "disc")
    assert len(json.loads((without.out / "annotations.json").read_text())["errors"]) == 1


def test_multiple_labels_from_a_file(
    config: PredictConfig, small_imagenet: Network, tmp_path: Path
) -> None:
    """Each class of an image has its box; classes are renamed, merged and left out."""
    names = list(collect(config.images).names)
    file = tmp_path / "labels.csv"
    rows = [f"{names[0]},apple", f"{names[0]},pear", f"{names[1]},plum", f"{names[2]},Apple"]
    file.write_text("\n".join(["image,label", *rows, *(f"{name},x" for name in names[3:])]))
    classes = tmp_path / "classes.yaml"
    classes.write_text("Apple: apple\nx:\n")
    predict(replace(config, run=None, image_size=64, labels_from=file, class_map=classes))
    found = {
        result.image_id: sorted(PredictionStore(config.out).info.names[label] for label in labels)
        for result in PredictionStore(config.out)
        for labels in [result.box_labels]
    }
    assert found == {names[0]: ["apple", "pear"], names[1]: ["plum"], names[2]: ["apple"]}
    content = json.loads((config.out / "annotations.json").read_text())
    assert [each["name"] for each in content["categories"]] == ["apple", "pear", "plum"]


def test_a_run_must_know_the_classes(config: PredictConfig, tmp_path: Path) -> None:
    """A class map brings other names to those of the run."""
    file, classes = tmp_path / "labels.csv", tmp_path / "classes.csv"
    name = next(iter(collect(config.images).names))
    file.write_text(f"image,label\n{name},discs\n")
    config = replace(config, labels_from=file)
    with pytest.raises(ConfigError, match=r"'discs'.*'disc'"):
        predict(config)
    assert not config.out.exists()
    classes.write_text("class,new_name\ndiscs,disc\n")
    predict(replace(config, class_map=classes))
    assert next(iter(PredictionStore(config.out))).label == "disc"


def test_it_goes_on_with_the_same_labels_alone(config: PredictConfig, tmp_path: Path) -> None:
    """Shards make the same rows; other labels are another prediction."""
    whole = replace(config, out=tmp_path / "whole")
    predict(whole)
    predict(replace(config, shard="2/2"))
    with pytest.raises(ConfigError, match="labels"):
        predict(replace(config, labels_from=None))
    file = tmp_path / "labels.csv"
    names = list(collect(config.images).names)
    file.write_text("\n".join(["image,label", *(f"{name},disc" for name in names)]))
    with pytest.raises(ConfigError, match="labels"):
        predict(replace(config, labels_from=file))
    # The same labels from elsewhere are the same prediction.
    file.write_text("\n".join(["image,label", *(f"{n},{folder_of(n)}" for n in names)]))
    predict(replace(config, labels_from=file, shard="1/2"))
    for path in (whole.out / "localizations").iterdir():
        assert path.read_bytes() == (config.out / "localizations" / path.name).read_bytes()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("labels", ("disc",)),
        ("labels_from", None),
        ("split_folders", ("none",)),
    ],
)
def test_options_that_would_do_nothing_are_refused(
    config: PredictConfig, tmp_path: Path, option: str, value: object
) -> None:
    """Each in a line that names one of them."""
    changes = {"class_map": tmp_path / "a.csv", option: value}
    if option == "split_folders":
        changes["labels_from"] = tmp_path / "labels.csv"
    with pytest.raises(ConfigError, match=r"labels|class_map|split_folders"):
        replace(config, **changes)


def test_folders_need_one_folder(config: PredictConfig, tmp_path: Path) -> None:
    """Names of files that were given one by one have folders of all kinds; a graph has its maps."""
    with pytest.raises(ConfigError, match="folders"):
        predict(replace(config, images=[config.images[0] / "disc", config.images[0] / "cross"]))
    classes = tmp_path / "classes.yaml"
    classes.write_text("{disc: , cross: , square: , triangle: }")
    with pytest.raises(DataError, match=r"classes\.yaml"):
        predict(replace(config, class_map=classes))
    exported = tmp_path / "model.onnx"
    exported.touch()
    with pytest.raises(ConfigError, match="labels_from: "):
        predict(replace(config, run=exported))


def test_labels_of_each_image_from_python(toy: Path, tiny_run: Path) -> None:
    """Names, numbers, several, or None for what the network sees."""
    images = sorted((toy / "test").rglob("*.jpg"))[:4]
    locate = Localizer(tiny_run, precision="fp32", device="cpu")
    first, second = locate.classes[:2]
    found = list(locate(images, labels=[second, 0, [first, second], None]))
    assert [found[0].label, found[1].label] == [second, first]
    assert set(found[2].box_labels) <= {0, 1}
    (seen,) = locate(images[3:])
    assert (found[3].label, found[3].boxes.tolist()) == (seen.label, seen.boxes.tolist())
    for wrong in ([first], [first] * 5, [first, first, first, "no such class"]):
        with pytest.raises(ConfigError, match="labels"):
            locate(images, labels=wrong)
    with pytest.raises(ConfigError, match="label"):
        locate(images, label=first, labels=[first] * 4)


def test_names_for_the_imagenet_network_from_python(
    toy: Path, small_imagenet: Network, tmp_path: Path
) -> None:
    """It finds objects of any name; what it sees itself has no name then."""
    images = sorted((toy / "test").rglob("*.jpg"))[:2]
    locate = Localizer(classes=("worm", "moth"), image_size=64, precision="fp32", device="cpu")
    one, other = locate(images, labels=["moth", ["worm", "moth"]])
    assert (one.label, one.class_index, other.label) == ("moth", 1, "worm")
    assert sorted(other.box_labels) == [0, 1]
    assert locate.info(toy).classes == ("worm", "moth")
    lost, found = locate(images, labels=[None, "worm"])
    assert (lost.status, found.label) == ("error", "worm")
    every = Localizer(
        classes=("worm",), labels=("worm",), image_size=64, precision="fp32", device="cpu"
    )
    assert {result.label for result in every(images)} == {"worm"}
    with pytest.raises(ConfigError, match="classes"):
        list(locate.classify(images))
