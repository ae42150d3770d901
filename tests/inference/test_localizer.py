"""The Python interface."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

import wsol
from wsol import Localizer
from wsol.errors import ConfigError, ImageError, RunError
from wsol.maps import box_confidence
from wsol.models import LinearHead, Network, create_network


class Bright(nn.Module):
    """A body whose features are the image's brightness, in 8 x 8 cells."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 1, H / 8, W / 8)``."""
        return nn.functional.avg_pool2d(images.mean(1, keepdim=True), 8)


@pytest.fixture
def bright() -> Network:
    """Return a network that sees bright things, in class 1."""
    network = Network(Bright(), LinearHead(1, 2), mean=(0.0,) * 3, std=(1.0,) * 3)
    with torch.no_grad():
        network.head.linear.weight[:] = torch.tensor([[-1.0], [1.0]])
        network.head.linear.bias[:] = 0
    return network


def test_the_box_is_where_the_object_is(bright: Network, tmp_path: Path) -> None:
    """A bright square in a dark image of another size is found within a cell of the map."""
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[60:180, 300:540] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    locate = wsol.Localizer(
        bright,
        classes=("dark", "bright"),
        localizer="cam",
        threshold=0.5,
        image_size=160,
        device="cpu",
    )
    (result,) = locate([tmp_path / "a.png"])
    assert (result.label, result.class_index, result.status) == ("bright", 1, "ok")
    assert result.original_size == (600, 300)
    assert result.heat_map.shape == (160, 160)
    assert np.abs(result.boxes - [[300, 60, 540, 180]]).max() <= 600 / 160 * 4
    weight = 120 * 240 / (300 * 600)
    assert result.score == pytest.approx(1 / (1 + np.exp(-2 * weight)), abs=0.01)
    # The probability of the class says nothing about the box.
    assert result.box_scores.tolist() == [box_confidence(result.heat_map, 0.5)]


def test_classes_are_told_with_their_probabilities(bright: Network, tmp_path: Path) -> None:
    """Most probable first, up to the requested number; none for a bad file."""
    Image.new("RGB", (40, 40), (204, 204, 204)).save(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    locate = wsol.Localizer(
        bright,
        classes=("dark", "bright"),
        localizer="cam",
        image_size=32,
        batch_size=2,
        device="cpu",
    )
    # Brightness of 0.8 is a logit of 0.8 for one class, and of -0.8 for the other.
    expected = 1 / (1 + np.exp(-1.6))
    paths = [tmp_path / name for name in ("a.png", "b.png", "a.png")]
    first, bad, third = locate.classify(paths)
    assert [name for name, _ in first] == ["bright", "dark"]
    assert [share for _, share in first] == pytest.approx([expected, 1 - expected], abs=0.01)
    assert (bad, third) == ([], first)
    assert [len(each) for each in locate.classify(paths, count=1)] == [1, 0, 1]


def test_another_class_for_one_call(bright: Network, tmp_path: Path) -> None:
    """It is looked for in that call alone."""
    Image.new("RGB", (40, 40), "white").save(tmp_path / "a.png")
    locate = wsol.Localizer(
        bright, classes=("dark", "bright"), localizer="cam", image_size=32, device="cpu"
    )
    labels = []
    for label in (None, "dark", None):
        (result,) = locate([tmp_path / "a.png"], label=label)
        labels.append(result.label)
    assert labels == ["bright", "dark", "bright"]
    with pytest.raises(ConfigError, match=r"darker'; did you mean 'dark'"):
        list(locate([tmp_path / "a.png"], label="darker"))
    for wrong in (True, 0.0, 2, -1):
        with pytest.raises(ConfigError, match="label: "):
            list(locate([tmp_path / "a.png"], label=wrong))  # type: ignore[arg-type]


def test_names_are_for_classifiers_that_have_none(tmp_path: Path) -> None:
    """A run and an exported model have class names, which are kept."""
    for model in (tmp_path / "run", tmp_path / "a.onnx"):
        with pytest.raises(ConfigError, match="classes: "):
            wsol.Localizer(model, classes=("dark", "bright"))


def test_a_localizer_sees_the_images_that_it_is_shown(tmp_path: Path) -> None:
    """And forgets the earlier ones: its maps are those of one that has seen no others."""
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path in paths:
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(path)
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=2, pretrained=False)
    one, other = (
        Localizer(network, localizer="ddt", image_size=64, device="cpu") for _ in range(2)
    )
    one.fit(paths[:1])
    one.fit(paths[1:])
    other.fit(paths[1:])
    (result,), (expected,) = one(paths[:1]), other(paths[:1])
    assert np.array_equal(result.heat_map, expected.heat_map)
    alone = Localizer(network, localizer="ddt", image_size=64, device="cpu")
    (different,) = alone(paths[:1])
    assert not np.array_equal(result.heat_map, different.heat_map)


def test_a_flat_image_has_no_object(bright: Network, tmp_path: Path) -> None:
    """A constant map gives no box and no NaN."""
    Image.new("RGB", (40, 40), "white").save(tmp_path / "a.png")
    (result,) = wsol.Localizer(bright, localizer="cam", image_size=32, device="cpu")(
        [tmp_path / "a.png"]
    )
    assert result.status == "no_object"
    assert result.boxes.shape == (0, 4)
    assert not result.heat_map.any()


def test_bad_files_come_as_results_in_order(bright: Network, tmp_path: Path) -> None:
    """One result for each path, in the order given."""
    for index in (0, 2, 3):
        Image.new("RGB", (40, 40), "white").save(tmp_path / f"{index}.png")
    (tmp_path / "1.png").touch()
    paths = [tmp_path / f"{index}.png" for index in (3, 1, 0, 2)]
    locate = wsol.Localizer(bright, localizer="cam", image_size=32, batch_size=3, device="cpu")
    results = list(locate(paths, ids=list("dbac")))
    assert [result.image_id for result in results] == ["d", "b", "a", "c"]
    assert [result.status for result in results] == ["no_object", "error"] + 2 * ["no_object"]
    assert isinstance(results[1].error, ImageError)


def test_wrong_options_are_refused(bright: Network, tmp_path: Path) -> None:
    """Each in one line that says what is wrong."""
    with pytest.raises(ConfigError, match=r"threshold: 1\.5"):
        wsol.Localizer(bright, threshold=1.5)
    with pytest.raises(ConfigError, match="no localizer 'camm': did you mean 'cam'"):
        wsol.Localizer(bright, localizer="camm")
    with pytest.raises(ConfigError, match="3 names, but Network has 2 logits"):
        wsol.Localizer(bright, classes=("cat", "dog", "owl"), image_size=32)
    with pytest.raises(RunError, match="no finished run here"):
        wsol.Localizer(tmp_path)


def test_classes_that_have_names_get_no_others(tiny_run: Path) -> None:
    """They would not be used."""
    with pytest.raises(ConfigError, match="classes"):
        wsol.Localizer(tiny_run, classes=("cat", "dog"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", -1),
        ("batch_size", "16"),
        ("num_workers", -1),
        ("max_pixels", 0),
        ("image_size", 0),
        ("image_size", True),
        ("precision", "float16"),
        ("normalization", "foo"),
        ("instances", "many"),
        ("flip", "yes"),
        ("scales", (1, float("nan"))),
        ("layers", [1]),
        ("mean", (123.7, 116.3, 103.5)),
        ("std", (0, 0, 0)),
        ("std", (0.5,)),
        ("classes", ("cat", "cat")),
        ("classes", {0: "cat", 1: "dog"}),
        ("model", ""),
        ("model", {"head.linear.weight": torch.zeros(2, 1)}),
        ("backbone", "resnet50"),
    ],
)
def test_wrong_arguments_are_named(bright: Network, name: str, value: object) -> None:
    """Whatever the type, in one line and before a network is loaded."""
    arguments: dict[str, Any] = {"model": bright} | {name: value}
    with pytest.raises(ConfigError, match=f"{name}: ") as caught:
        wsol.Localizer(**arguments)
    assert "\n" not in str(caught.value)


def test_one_path_is_one_image(bright: Network, tmp_path: Path) -> None:
    """Not one for each letter."""
    Image.new("RGB", (40, 40), "white").save(tmp_path / "a.png")
    locate = wsol.Localizer(bright, localizer="cam", image_size=32, device="cpu")
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        (result,) = locate(path)
        assert result.original_size == (40, 40)
        assert len(list(locate.classify(path))) == 1
    with pytest.raises(ConfigError, match="ids: "):
        locate([path, path], ids=["a"])
    with pytest.raises(ConfigError, match="images: "):
        locate([Image.new("RGB", (40, 40))])  # type: ignore[list-item]


def test_classes_of_one_name_are_told_apart(bright: Network) -> None:
    """By their index, and the name alone is refused."""
    bright.config = SimpleNamespace(id2label={0: "crane", 1: "crane"})
    locate = wsol.Localizer(bright, localizer="cam", image_size=32, labels="crane#1", device="cpu")
    assert locate.classes == ("crane#0", "crane#1")
    assert locate.labels == [1]
    with pytest.raises(ConfigError, match="crane#0, crane#1"):
        wsol.Localizer(bright, localizer="cam", image_size=32, labels="crane", device="cpu")


def test_a_size_that_the_network_does_not_take_is_refused() -> None:
    """The line names network and size."""
    network = create_network("test_vit", num_classes=2, pretrained=False)
    with pytest.raises(ConfigError, match=r"VisionTransformer .* 50 x 50"):
        wsol.Localizer(network, image_size=50, device="cpu")


def test_any_classifier_and_its_own_names(tmp_path: Path) -> None:
    """A model of torchvision, and one that knows its classes as Hugging Face's do."""
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), np.uint8)).save(
        tmp_path / "a.png"
    )
    model = torchvision.models.squeezenet1_1(num_classes=3).train()
    locate = Localizer(model, localizer="gradcam*feature_norm", image_size=64, flip=True)
    [found] = locate([tmp_path / "a.png"])
    assert found.status in ("ok", "no_object")
    assert locate.classes == ("0", "1", "2")
    assert locate.localizer.layers == ("features",)
    # Features are relative to ImageNet's colours if the model declares none.
    assert locate.mean == pytest.approx((0.485, 0.456, 0.406))
    assert model.training
    assert all(part.training for part in model.modules())

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model
            self.config = SimpleNamespace(id2label={0: "cat", 1: "dog", 2: "owl"}, image_size=64)

        def forward(self, images: torch.Tensor) -> SimpleNamespace:
            return SimpleNamespace(logits=self.inner(images))

    named = Localizer(Named(), layers="inner.features", localizer="layercam")
    assert named.classes == ("cat", "dog", "owl")
    assert named.image_size == 64
    assert next(iter(named([tmp_path / "a.png"]))).label in named.classes


@pytest.mark.parametrize("name", ["ddt", "prototypes"])
def test_each_call_is_a_collection(name: str, tmp_path: Path) -> None:
    """Results depend on no other call, also in turns, until ``fit`` is called."""
    random = np.random.default_rng(0)
    for number in range(5):
        pixels = random.integers(0, 255, (6, 6, 3), np.uint8)
        large = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC)
        large.save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"no image")
    paths = sorted(tmp_path.iterdir())
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=2, pretrained=False)
    locate = Localizer(network, localizer=name, image_size=64, batch_size=2)
    alone = [list(locate(some)) for some in (paths[:3], paths[3:])]
    assert [found.status == "error" for found in alone[1]] == [False, False, True]
    turns = list(zip(locate(paths[:3]), locate(paths[3:]), strict=True))
    for one, other, *expected in zip(*zip(*turns, strict=True), *alone, strict=True):
        assert np.array_equal(one.heat_map, expected[0].heat_map)
        assert np.array_equal(other.heat_map, expected[1].heat_map)
    locate.fit(paths[:3])
    (fitted,) = locate(paths[3:4])
    assert not np.array_equal(fitted.heat_map, alone[1][0].heat_map)
