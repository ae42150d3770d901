"""Any timm network becomes a body with feature maps and a linear head that reads them."""

import pytest
import timm
import torch

from wsol.errors import ConfigError
from wsol.methods.network import create_pretrained_network
from wsol.models import Network, create_network, list_backbones
from wsol.models.create import load_bundled_weights

FAMILIES = {
    "resnet18": (64, 16, 512),
    "mobilenetv3_small_050": (64, 32, 288),
    "convnext_atto": (64, 16, 320),
    "vit_tiny_patch16_224": (224, 16, 192),
    "test_efficientnet": (64, 16, 256),
    "test_mambaout": (64, 32, 64),
    "test_nfnet": (64, 16, 192),
    "densenet121": (64, 32, 1024),
}
"""Backbone to input size, input pixels per feature pixel, channels."""


def create(backbone: str, output_stride: int | None = 16) -> Network:
    """Return a network of three classes without pretrained weights."""
    torch.manual_seed(0)
    return create_network(backbone, num_classes=3, output_stride=output_stride, pretrained=False)


@pytest.mark.parametrize("backbone", FAMILIES)
def test_every_family_gives_feature_maps_and_trains_whole(backbone: str) -> None:
    """Features are (N, C, h, w), and the loss reaches every weight: none is trained in vain."""
    size, stride, channels = FAMILIES[backbone]
    network = create(backbone).train()
    images = torch.randn(2, 3, size, size)
    logits, features, _ = network(images)
    assert logits.shape == (2, 3)
    assert features.shape == (2, channels, size // stride, size // stride)
    logits.logsumexp(1).sum().backward()
    missing = [name for name, weight in network.named_parameters() if weight.grad is None]
    assert missing == []


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_mambaout"])
def test_features_lie_where_the_image_has_them(backbone: str) -> None:
    """A change at the image's lower left changes the features most at their lower left.

    The three hold their features as maps, as tokens and with channels last.
    """
    size = 160
    network = create(backbone, output_stride=None).eval()
    images = torch.zeros(2, 3, size, size)
    side = size // 2
    images[1, :, side:, :side] = torch.randn(3, side, side)
    with torch.inference_mode():
        features = network(images).features
    change = (features[1] - features[0]).square().sum(0)
    half = change.shape[0] // 2
    quarters = {
        (v, h): float(part.mean())
        for v, rows in zip("ul", (change[:half], change[-half:]), strict=True)
        for h, part in zip("lr", (rows[:, :half], rows[:, -half:]), strict=True)
    }
    assert max(quarters, key=lambda name: quarters[name]) == ("l", "l")


@pytest.mark.parametrize(("stride", "side"), [(None, 3), (32, 3), (16, 6), (8, 12)])
def test_output_stride_sets_the_size_of_the_maps(stride: int | None, side: int) -> None:
    """The last maps have one pixel for so many pixels of the input; None is as published."""
    network = create("resnet18", stride).eval()
    assert network(torch.zeros(1, 3, 96, 96)).features.shape[-2:] == (side, side)


def test_output_stride_keeps_the_weights() -> None:
    """Another stride changes neither names nor shapes, so weights go from one to the other."""
    fine, coarse = (create("test_resnet", stride).state_dict() for stride in (8, 32))
    assert {k: v.shape for k, v in fine.items()} == {k: v.shape for k, v in coarse.items()}


@pytest.mark.parametrize("backbone", ["mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_a_stride_that_a_network_lacks_is_left_out(
    backbone: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where there is no choice of stride, the network is as published, and the log says so."""
    size, stride, _ = FAMILIES[backbone]
    with caplog.at_level("INFO", "wsol"):
        network = create(backbone, output_stride=8).eval()
    assert caplog.messages == [f"{backbone} has a fixed output stride"]
    assert network(torch.zeros(1, 3, size, size)).features.shape[-1] == size // stride


def test_bundled_weights_give_the_logits_of_timm() -> None:
    """With its 1,000 classes the network computes what timm's does with the same weights."""
    reference = timm.create_model("tf_efficientnet_lite0", output_stride=16)
    load_bundled_weights(reference)
    network = create_network("tf_efficientnet_lite0", num_classes=1000)
    assert all(module.training for module in network.modules())
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = reference.eval()(images), network.eval()(images).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert expected.std() > 0.5
    assert (network.mean, network.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_other_classes_get_a_new_head_on_the_pretrained_body() -> None:
    """With other classes the body keeps its weights, and the head is new."""
    network = create_network("tf_efficientnet_lite0", num_classes=7)
    reference = timm.create_model("tf_efficientnet_lite0")
    load_bundled_weights(reference)
    body, expected = network.body.state_dict(), reference.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in body.items())
    assert expected.keys() - body.keys() == {"classifier.weight", "classifier.bias"}
    assert network.head.linear.weight.shape == (7, 1280)


def test_normalisation_is_that_of_the_weights() -> None:
    """Mean and deviation of the input are those timm states for the network."""
    config = timm.create_model("resnet18").pretrained_cfg
    network = create("resnet18")
    assert (network.mean, network.std) == (tuple(config["mean"]), tuple(config["std"]))


def test_creation_leaves_training_mode_and_batch_statistics() -> None:
    """Looking at the network while making it has not moved its running averages."""
    network = create("test_resnet")
    assert all(module.training for module in network.modules())
    fresh = timm.create_model("test_resnet").state_dict()
    for name, value in network.body.state_dict().items():
        if "running" in name or "tracked" in name:
            assert torch.equal(value, fresh[name]), name


def test_unknown_backbone_names_the_nearest() -> None:
    """A misspelt backbone is an error with the nearest name."""
    with pytest.raises(ConfigError, match="no backbone 'resnet81': did you mean 'resnet"):
        create_network("resnet81", num_classes=2, pretrained=False)


def test_weights_that_cannot_be_had_name_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed download is one line that names the bundled network and --pretrained."""
    make = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        if pretrained:
            raise OSError("no route to host\nand more")
        return make(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError) as caught:
        create_network("resnet18", num_classes=2, pretrained=True)
    message = str(caught.value)
    assert "no route to host" in message
    assert "tf_efficientnet_lite0" in message
    assert "pretrained false" in message
    assert "\n" not in message
    # Prediction has no such option.
    with pytest.raises(ConfigError, match="tf_efficientnet_lite0") as caught:
        create_pretrained_network("resnet18")
    assert "pretrained false" not in str(caught.value)


@pytest.mark.parametrize("name", ["wsolevaluation/vgg16", "tensorpack/vgg_gap"])
def test_networks_of_the_papers_have_no_published_classifier(name: str) -> None:
    """Their new head would give classes by chance."""
    with pytest.raises(ConfigError, match=name):
        create_pretrained_network(name)


def test_the_list_of_backbones_is_that_of_timm() -> None:
    """Every listed name is one that timm knows, in order, and none is listed twice."""
    names = list_backbones()
    assert names == sorted(set(names))
    assert set(FAMILIES) <= set(names)
    assert all(timm.is_model(name) for name in names[::50])


@pytest.mark.parametrize("backbone", ["xcit_nano_12_p16_224", "hrnet_w18_small"])
def test_a_list_of_layers_stays(backbone: str) -> None:
    """Children that are iterated over, not called, are part of the network."""
    network = create(backbone).eval()
    assert network(torch.zeros(1, 3, 64, 64)).features.ndim == 4


def test_a_backbone_without_feature_maps_is_refused() -> None:
    """A network whose features cannot be put on a grid is refused in one line."""
    with pytest.raises(ConfigError, match="PoolingVisionTransformer") as caught:
        create("pit_ti_224")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("backbone", "stride"), [("test_vit", 16), ("swin_tiny_patch4_window7_224", 32)]
)
def test_transformers_take_any_size_where_timm_offers_it(backbone: str, stride: int) -> None:
    """Sizes beside the published one work, and the weights' shapes stay."""
    network = create(backbone).eval()
    assert network(torch.zeros(1, 3, 96, 128)).features.shape[-2:] == (96 // stride, 128 // stride)
    published = timm.create_model(backbone, num_classes=0).state_dict()
    assert {name: value.shape for name, value in network.body.state_dict().items()} == {
        name: value.shape for name, value in published.items()
    }


def test_a_network_is_made_for_a_size_or_refused() -> None:
    """Where weights depend on the size, it is given to timm; where there is no choice, refused."""
    made = create_network("mixer_s16_224", num_classes=2, pretrained=False, size=96)
    assert made.eval()(torch.zeros(1, 3, 96, 96)).features.shape[-2:] == (6, 6)
    with pytest.raises(ConfigError, match=r"test_vit .* 50 x 50"):
        create_network("test_vit", num_classes=2, pretrained=False, size=50)


@pytest.mark.parametrize(
    ("backbone", "size", "options"),
    [
        ("resnet18", 32, {"output_stride": 32}),
        ("wsolevaluation/vgg16", 16, {}),
    ],
)
def test_feature_maps_of_one_pixel_are_refused(
    backbone: str, size: int, options: dict[str, int]
) -> None:
    """No place in them stands out; the error names the size."""
    with pytest.raises(ConfigError, match=f"one pixel from images of {size} x {size} pixels"):
        create_network(backbone, num_classes=2, pretrained=False, size=size, **options)
