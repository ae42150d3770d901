"""Augmentations are averaged, localizers joined, and the image itself decides the label."""

from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers import ScoreMaps, create_localizer, locate_all
from wsol.localizers._forward import ForwardPass, observe
from wsol.models import Network
from wsol.models.heads import scaled_maps

Make = Callable[..., ScoreMaps]
Tiny = Callable[[str], Network]

LABELS = torch.tensor([2, 0, 3])


def test_the_flipped_image_is_flipped_back(images: Tensor, tiny: Tiny) -> None:
    """The map is the mean of both, each scaled to [0, 1]."""
    network = tiny("cam")
    plain = create_localizer("cam", network)
    both = scaled_maps(plain(images, LABELS)) + scaled_maps(plain(images.flip(-1), LABELS)).flip(-1)
    found = create_localizer("cam", network, flip=True)(images, LABELS)
    torch.testing.assert_close(found, both / 2, atol=1e-4, rtol=0)
    # So it is the same for the image and its mirror image.
    mirrored = create_localizer("cam", network, flip=True)(images.flip(-1), LABELS).flip(-1)
    torch.testing.assert_close(found, mirrored, atol=1e-4, rtol=0)


def test_a_larger_augmentation_is_seen_larger(images: Tensor, tiny: Tiny) -> None:
    """A single scale is the map of the enlarged image, brought back."""
    network = tiny("cam")
    large = interpolate(images, (128, 192), mode="bilinear")
    maps = scaled_maps(create_localizer("cam", network)(large, LABELS))
    expected = interpolate(maps[:, None], (64, 96), mode="bicubic")[:, 0]
    found = create_localizer("cam", network, scales=(2,))(images, LABELS)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_several_localizers_are_joined(images: Tensor, tiny: Tiny) -> None:
    """The geometric mean of their maps, and one pass for all of them."""
    network, passes = tiny("cam"), []
    names = ("cam", "feature_norm", "gradcam")
    maps = [scaled_maps(create_localizer(name, network)(images, LABELS)) for name in names]
    localizer = create_localizer("*".join(names), network)
    handle = network.register_forward_hook(lambda *_: passes.append(1))
    found = localizer(images, LABELS)
    handle.remove()
    assert len(passes) == 1
    expected = (maps[0] * maps[1] * maps[2]).double() ** (1 / 3)
    torch.testing.assert_close(found.double(), expected, atol=1e-3, rtol=0)


def test_maps_follow_features(images: Tensor, tiny: Tiny) -> None:
    """Against loops over pairs of places, at the grid of the features that are followed."""
    network = tiny("cam")
    forward_pass = observe(network, images, ["layer2", "layer4"])
    features, own = (
        forward_pass.features["layer2"].double(),
        forward_pass.features["layer4"].norm(dim=1),
    )
    height, width = features.shape[2:]
    large = interpolate(own[:, None], (height, width), mode="bicubic")[:, 0]
    base = scaled_maps(scaled_maps(large)).double()
    alike = torch.zeros_like(base)
    for n in range(len(images)):
        mean = features[n].mean((1, 2))
        for y in range(height):
            for x in range(width):
                others = features[n] - mean[:, None, None]
                here = others[:, y, x]
                cosine = torch.einsum("chw,c->hw", others, here)
                cosine = (cosine / (others.norm(dim=0) * here.norm())).clamp(min=0)
                alike[n, y, x] = (cosine * base[n]).sum() / cosine.sum()
    expected = (base * scaled_maps(alike)).sqrt()
    found = create_localizer("feature_norm", network, affinity="layer2")
    small = found.read(found_look(network, images), LABELS, (height, width))
    torch.testing.assert_close(small.double(), expected, atol=1e-3, rtol=0)
    assert found(images, LABELS).shape == (3, 64, 96)
    with pytest.raises(ConfigError, match="no layer 'layer9'"):
        create_localizer("cam", network, affinity="layer9")


def found_look(network: Network, images: Tensor) -> ForwardPass:
    """Return a pass that has seen both layers."""
    return observe(network, images, ["layer2", "layer4"])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gradcam*feature_norm", {}),
        ("attention_rollout", {"affinity": "blocks.2"}),
        ("feature_norm", {"affinity": "blocks.2"}),
        ("feature_norm", {"several": True}),
    ],
)
def test_a_pass_is_shared_with_others(name: str, options: dict[str, object]) -> None:
    """Whatever the localizers inside, the features that are followed and the classes need of it."""
    network = timm.create_model("test_vit", num_classes=4)
    images = torch.randn(3, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    labels = torch.tensor([[1, 3], [2, 0], [0, 1]])
    localizer = create_localizer(name, network, **options)
    plain = create_localizer("feature_norm", network, layers=["blocks.0"])
    found, _ = locate_all([localizer, plain], images, labels)
    torch.testing.assert_close(found.maps, localizer(images, labels))


@pytest.mark.parametrize("options", [{"flip": True}, {"scales": (1, 2)}, {"scales": (2,)}])
def test_passes_of_other_augmentations_are_not_shared(
    images: Tensor, tiny: Tiny, options: dict[str, object]
) -> None:
    """Rather than to make the map of the plain image."""
    with pytest.raises(ConfigError, match="flip or scales"):
        locate_all([create_localizer("cam", tiny("cam"), **options)], images)
    one = create_localizer("cam", tiny("cam"), scales=(1,))
    assert locate_all([one], images)[0].maps.shape == (3, 64, 96)


@pytest.mark.parametrize("options", [{"flip": True}, {"scales": (2,)}, {"scales": (1, 2)}])
def test_passes_of_all_augmentations_serve_other_labels(
    images: Tensor, tiny: Tiny, options: dict[str, object]
) -> None:
    """The maps are those of separate calls, without running the network again."""
    localizer = create_localizer("cam", tiny("cam"), **options)
    labels = [torch.tensor([0, 1, 2]), torch.tensor([2, 0, 1])]
    separate = [localizer(images, each) for each in labels]
    forward_pass = localizer.observe(images)
    localizer.model.register_forward_pre_hook(lambda *_: pytest.fail("runs again"))
    for expected, each in zip(separate, labels, strict=True):
        assert torch.equal(localizer(forward_pass, each), expected)


def test_the_first_augmentation_decides_the_label(images: Tensor, tiny: Tiny) -> None:
    """Logits and labels are those of the image as it is."""
    network = tiny("cam")
    plain = create_localizer("cam", network).locate(images)
    found = create_localizer("cam", network, flip=True, scales=(1, 2)).locate(images)
    torch.testing.assert_close(found.logits, plain.logits)
    assert torch.equal(found.labels, plain.labels)


def test_localizers_are_fitted_to_all_augmentations(images: Tensor, tiny: Tiny) -> None:
    """A fit reaches the localizers inside, and its state makes another one equal."""
    network = tiny("cam")
    localizer = create_localizer("cam * ddt", network, flip=True)
    assert localizer.needs_fit
    with pytest.raises(ConfigError, match="not fitted"):
        localizer(images)
    localizer.fit([images[:1], images[1:]])
    alone = create_localizer("ddt", network)
    alone.fit([images, images.flip(-1)])
    for name, value in alone.state().items():
        torch.testing.assert_close(localizer.state()[name], value, atol=1e-4, rtol=1e-4)
    other = create_localizer("cam*ddt", network, flip=True)
    other.load_state(localizer.state())
    torch.testing.assert_close(other(images, LABELS), localizer(images, LABELS))


def test_wrong_scales_and_names_are_refused(tiny: Tiny) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match="scales: "):
        create_localizer("cam", tiny("cam"), scales=(1, -1))
    with pytest.raises(ConfigError, match="no localizer 'dtt': did you mean 'ddt'"):
        create_localizer("cam*dtt", tiny("cam"))


def test_positions_of_multiple_labels(tiny: Tiny, images: Tensor) -> None:
    """Maps that see no class are shared out; together they are the map of one label."""
    network = tiny("feature_norm")
    localizer = create_localizer("feature_norm", network, affinity="auto", several=True)
    labels = torch.tensor([[1, 3], [2, -1], [0, 1]])
    maps = localizer(images, labels)
    assert maps.shape == (3, 2, 64, 96)
    alone = localizer(images, labels[:, 0])
    torch.testing.assert_close(maps.amax(1).clamp(min=0), alone.clamp(min=0))
    assert ((maps != 0).sum(1) <= 1).all()
    assert not maps[1, 1].any()
    cams = create_localizer("cam", network)(images, labels)
    inside = maps[0, 0] > 0
    assert (cams[0, 0] >= cams[0, 1])[inside].all()


def test_class_maps_of_multiple_labels(tiny: Tiny, images: Tensor) -> None:
    """Each is the map that the label has alone, mirrored images included."""
    localizer = create_localizer("gradcam", tiny("gradcam"), flip=True, several=True)
    labels = torch.tensor([[1, 3], [2, 0], [0, 1]])
    maps = localizer(images, labels)
    for column in (0, 1):
        torch.testing.assert_close(maps[:, column], localizer(images, labels[:, column]))


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([1]),
        torch.tensor([1, 99]),
        torch.tensor([1, -1]),
        torch.tensor([[1, 99], [0, -1]]),
        torch.tensor([1.0, 0.0]),
    ],
)
def test_labels_that_are_no_classes_are_refused(tiny: Tiny, labels: torch.Tensor) -> None:
    """One for each image, and none that the network does not have."""
    for options in ({}, {"flip": True}):
        localizer = create_localizer("cam", tiny("cam"), **options)
        with pytest.raises(ConfigError, match="labels: "):
            localizer(torch.rand(2, 3, 64, 64), labels)


@pytest.mark.parametrize(
    "options", [{"scales": (1, float("nan"))}, {"layers": [1]}, {"flip": 1}, {"affinity": None}]
)
def test_wrong_arguments_of_a_localizer_are_named(tiny: Tiny, options: dict[str, Any]) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match=f"{next(iter(options))}: "):
        create_localizer("cam", tiny("cam"), **options)
