"""Networks without classes: boxes of one class, and a word to whoever asks for a class."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import save
from torch import nn
from transformers import Dinov2Config, Dinov2Model

from wsol.app.config import AppConfig
from wsol.app.service import LocalizerCache
from wsol.app.storage import Choice
from wsol.errors import ConfigError
from wsol.formats import FORMATS
from wsol.inference.export import export_localizer
from wsol.inference.localizer import Localizer
from wsol.localizers import create_localizer, list_localizers
from wsol.localizers._forward import has_classes, observe
from wsol.localizers._layers import last_stage
from wsol.models import create_network
from wsol.models.create import imagenet_classes, published_classes
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict

from ..hub_stand_in import Hub

SHALLOW: dict[str, dict[str, Any]] = {
    "convnext_tiny.dinov3_lvd1689m": {"depths": (1, 1, 1, 1)},
    "convnextv2_atto.fcmae": {"depths": (1, 1, 1, 1)},
    "eva02_tiny_patch14_224": {"depth": 2},
    "hiera_tiny_224.mae": {"stages": (1, 1, 1, 1)},
    "resnet50_clip": {},
    "sam2_hiera_tiny": {"stages": (1, 1, 2, 1)},
    "vit_base_patch16_224.mae": {"depth": 1},
    "vit_base_patch16_clip_224.openai": {"depth": 1},
    "vit_base_patch16_siglip_224": {"depth": 1},
    "vit_small_patch14_dinov2": {"depth": 2},
    "vit_small_patch16_224.dino": {"depth": 2},
    "vit_small_patch16_dinov3": {"depth": 2},
    "vit_xsmall_patch16_clip_224.tinyclip_yfcc15m": {"depth": 2},
}
"""Networks of timm without a classifier, and options that make them fast."""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return an image of a bright disc."""
    rows, columns = np.mgrid[:80, :120]
    disc = (rows - 40) ** 2 + (columns - 70) ** 2 < 400
    pixels = np.where(disc[..., None], [250, 220, 40], [40, 60, 50]).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "disc.png")
    return tmp_path / "disc.png"


@pytest.fixture
def random_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let timm make networks with fewer layers, and without a download."""
    use_shallow(monkeypatch, pretrained=False)


def use_shallow(monkeypatch: pytest.MonkeyPatch, **fixed: bool) -> None:
    """Let timm make networks with fewer layers."""
    make = timm.create_model

    def create(name: str, **options: Any) -> nn.Module:
        torch.manual_seed(0)
        return make(name, **(options | SHALLOW.get(name, {}) | fixed))

    monkeypatch.setattr(timm, "create_model", create)


def _torchvision() -> nn.Module:
    model = torchvision.models.shufflenet_v2_x0_5()
    model.fc = nn.Identity()
    return model


def _base_model() -> nn.Module:
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=112, patch_size=14
    )
    return Dinov2Model(config)


FREE = (
    *("attention_rollout", "ddt", "eigencam", "feature_norm", "maskcut", "ncut"),
    "prototypes",
)
"""Localizers that need no classes."""

GIVEN: list[Callable[[], nn.Module]] = [
    _torchvision,
    _base_model,
    lambda: timm.create_model("test_resnet", num_classes=0),
    lambda: timm.create_model("test_vit", num_classes=0, dynamic_img_size=True),
]


@pytest.mark.parametrize("name", sorted(SHALLOW))
@pytest.mark.usefixtures("random_weights")
def test_a_backbone_without_classes_finds_objects(name: str, photo: Path) -> None:
    """By its name alone, with the default localizer; no class of ImageNet's is among its own."""
    size = 56 if "patch14" in name else 64
    locate = Localizer(backbone=name, image_size=size, device="cpu", precision="fp32")
    assert locate.classes == ("object",)
    assert not has_classes(locate.model)
    (found,) = locate([photo])
    assert (found.label, found.class_index, found.error) == ("object", 0, None)
    assert len(found.boxes) == 1
    assert found.score == 1
    assert not set(imagenet_classes()) & set(locate.info(photo.parent).classes)


@pytest.mark.parametrize("make", GIVEN)
@pytest.mark.parametrize("localizer", ["feature_norm", "ddt", "eigencam", None])
def test_a_given_network_without_classes_finds_objects(
    make: Callable[[], nn.Module], localizer: str | None, photo: Path
) -> None:
    """Under the name that it is given, or as an object."""
    model = make()
    (found,) = Localizer(model, localizer=localizer, image_size=112, device="cpu")([photo])
    assert (found.label, len(found.boxes)) == ("object", 1)
    (found,) = Localizer(model, localizer=localizer, image_size=112, classes=("disc",))([photo])
    assert found.label == "disc"
    with pytest.raises(ConfigError, match="2 names"):
        Localizer(model, localizer=localizer, image_size=112, classes=("disc", "square"))


@pytest.mark.parametrize("make", GIVEN)
def test_what_needs_a_class_names_what_does_not(make: Callable[[], nn.Module]) -> None:
    """In one line, for localizers and for labels."""
    model = make()
    for localizer in ("cam", "gradcam", "scorecam", "ddt*cam"):
        with pytest.raises(ConfigError, match=r"feature_norm") as caught:
            Localizer(model, localizer=localizer, image_size=112)
        assert "\n" not in str(caught.value)
        assert "layercam" not in str(caught.value)
    with pytest.raises(ConfigError, match="labels"):
        Localizer(model, labels=("dog",), image_size=112)


@pytest.mark.parametrize("make", GIVEN)
def test_classes_cannot_be_asked_for(make: Callable[[], nn.Module], photo: Path) -> None:
    """Neither the likeliest ones nor one for an image."""
    locate = Localizer(make(), image_size=112, localizer="feature_norm")
    with pytest.raises(ConfigError, match="classes"):
        list(locate.classify([photo]))
    with pytest.raises(ConfigError, match="dog"):
        list(locate([photo], label="dog"))


@pytest.mark.parametrize("name", FREE)
def test_localizers_without_a_class_make_maps(name: str) -> None:
    """Of networks without classes."""
    model = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
    localizer, images = create_localizer(name, model, image_size=112), torch.rand(2, 3, 112, 112)
    localizer.fit([images])
    assert localizer(images).shape == (2, 112, 112)


@pytest.mark.parametrize("name", sorted({*list_localizers()} - {*FREE}))
def test_localizers_of_a_class_name_those_without(name: str) -> None:
    """And none of the others."""
    model = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
    with pytest.raises(ConfigError) as caught:
        create_localizer(name, model, image_size=112)
    named = re.findall(r"\w+", str(caught.value).partition("use one of")[2])
    assert {*FREE} <= {*named}
    assert name not in named


def test_attention_needs_no_class(photo: Path) -> None:
    """That of a transformer shows what its class token looks at."""
    model = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True)
    (found,) = Localizer(model, localizer="attention_rollout", image_size=112)([photo])
    assert found.label == "object"


@pytest.mark.parametrize("make", GIVEN)
def test_a_pass_says_whether_there_are_classes(make: Callable[[], nn.Module]) -> None:
    """Without them it has one logit that is the same everywhere."""
    images = torch.rand(3, 3, 112, 112)
    preprocessing = observe(make(), images)
    assert not preprocessing.has_classes
    assert preprocessing.logits.tolist() == [[0.0]] * 3
    assert observe(timm.create_model("test_resnet"), images).has_classes


def test_maps_are_those_of_the_same_network_with_classes() -> None:
    """What belongs to no class does not depend on a classifier."""
    model = timm.create_model("test_resnet").eval()
    images = torch.rand(2, 3, 96, 96)
    expected = create_localizer("feature_norm", model)(images)
    model.reset_classifier(0)
    torch.testing.assert_close(create_localizer("feature_norm", model)(images), expected)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("resnet18.a1_in1k", "tench, Tinca tinca"),
        ("tf_efficientnetv2_s.in21k", "organism, being"),
        ("focalnet_huge_fl3.ms_in22k", "tench, Tinca tinca"),
        ("convnext_nano.in12k", "benthos"),
    ],
)
def test_classes_are_those_of_the_weights(name: str, first: str) -> None:
    """ImageNet has editions of 1,000 and of more classes."""
    config = timm.get_pretrained_cfg(name)
    classes = published_classes(config)
    assert (len(classes), classes[0]) == (config.num_classes, first)


@pytest.mark.usefixtures("random_weights")
def test_augmentations_of_patches_of_14_pixels_fit_them(photo: Path) -> None:
    """Scales are rounded to sizes that the network takes, and other sizes are refused."""
    name = "vit_small_patch14_dinov2"
    (found,) = Localizer(
        backbone=name, image_size=84, scales=(1, 1.3), localizer="ncut", device="cpu"
    )([photo])
    assert len(found.boxes) == 1
    with pytest.raises(ConfigError, match="14") as caught:
        Localizer(backbone=name, image_size=96, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("random_weights")
def test_transformers_are_read_at_their_last_block() -> None:
    """Also those without a separate module of blocks, as DINOv3's."""
    for name in ("eva02_tiny_patch14_224", "vit_small_patch16_dinov3", "vit_small_patch14_dinov2"):
        network = create_network(name, num_classes=0, pretrained=False)
        assert last_stage(network, 224).startswith("blocks")


@pytest.mark.parametrize("name", ["resnet50_clip", "vit_small_patch14_dinov2"])
@pytest.mark.usefixtures("random_weights")
def test_a_head_is_made_for_the_classes_of_a_data_set(name: str) -> None:
    """Also for as many as an embedding has numbers, which are no classes."""
    torch.manual_seed(0)
    network = create_network(name, num_classes=1024, size=224)
    assert has_classes(network)
    assert network.head.linear.out_features == 1024
    body = network.state_dict().keys()
    assert not any(key.startswith(("body.head.", "body.fc.")) for key in body)


@pytest.mark.parametrize(
    ("name", "size"),
    [("eva02_tiny_patch14_224", 56), ("vit_xsmall_patch16_clip_224.tinyclip_yfcc15m", 64)],
)
def test_published_weights_come_from_the_hub(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, name: str, size: int, photo: Path
) -> None:
    """All of the body's, in a network that comes with an embedding or with features alone."""
    use_shallow(monkeypatch)
    published = timm.create_model(name)
    for weight in published.parameters():
        nn.init.normal_(weight, std=0.05)
    weights = {key: value.contiguous() for key, value in published.state_dict().items()}
    hub.add(timm.get_pretrained_cfg(name).hf_hub_id, {"model.safetensors": save(weights)})
    locate = Localizer(backbone=name, image_size=size, device="cpu", precision="fp32")
    assert hub.downloaded() == {"model.safetensors"}
    found = locate.model.body.state_dict()
    assert set(found) == {key for key in weights if not key.startswith(("head.", "fc_norm."))}
    assert all(torch.equal(found[key], weights[key]) for key in found)
    (result,) = locate([photo])
    assert (result.label, result.error) == ("object", None)


@pytest.mark.usefixtures("random_weights")
def test_a_prediction_names_no_class_of_imagenet(photo: Path, tmp_path: Path) -> None:
    """In any format, nor in the report."""
    config = PredictConfig(
        images=[photo],
        out=tmp_path / "out",
        backbone="convnextv2_atto.fcmae",
        localizer="ncut",
        image_size=64,
        format=tuple(FORMATS),
        num_workers=0,
        device="cpu",
    )
    assert predict(config) == {"ok": 1}
    texts = [
        path.read_text(encoding="utf-8")
        for path in (tmp_path / "out").rglob("*")
        if path.suffix in {".csv", ".json", ".html", ".txt", ".xml", ".yaml", ".jsonl"}
    ]
    assert sum("object" in text for text in texts) >= 5
    synonyms = [name for name in imagenet_classes() if ", " in name]
    assert not [name for name in synonyms if any(name in text for text in texts)]


def test_a_graph_of_a_network_without_classes_finds_the_same(photo: Path, tmp_path: Path) -> None:
    """Under the same name."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=0)
    locate = Localizer(model, localizer="feature_norm", image_size=64)
    export_localizer(locate, tmp_path / "model.onnx")
    exported = Localizer(tmp_path / "model.onnx")
    assert exported.classes == ("object",)
    (expected,), (found,) = locate([photo]), exported([photo])
    assert (found.label, found.score) == ("object", 1)
    np.testing.assert_allclose(found.heat_map, expected.heat_map, atol=1e-2)


@pytest.mark.usefixtures("random_weights")
def test_the_app_shows_objects(photo: Path) -> None:
    """And raises a one-line error if a class is requested."""
    pool = LocalizerCache(AppConfig(backbone="convnextv2_atto.fcmae", image_size=64, device="cpu"))
    assert pool.classify(photo) == [(0, 1.0)]
    found, _ = pool.localize(photo, "a", Choice(localizer="ncut", label=0))
    assert (found.label, len(found.boxes)) == ("object", 1)
    with pytest.raises(ConfigError, match="ncut"):
        pool.localize(photo, "a", Choice(localizer="cam"))
