"""Every localizer gives one raw map per image, of the class asked for, and leaves no trace."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers import ScoreMaps, create_localizer, list_localizers, locate_all
from wsol.models import Network, create_network

Make = Callable[..., ScoreMaps]
Tiny = Callable[[str], Network]

ALL = list_localizers()

ATTENTION = ("attention_rollout", "gradient_rollout", "tscam")
"""Localizers of transformers alone."""

AGNOSTIC = (
    *("attention_rollout", "ddt", "eigencam", "feature_norm", "foreground"),
    *("maskcut", "ncut", "pixels", "psol"),
)
"""Localizers whose maps belong to no class."""


@pytest.mark.parametrize("name", ALL)
def test_maps_have_the_size_of_the_input(make: Make, images: Tensor, name: str) -> None:
    """Maps are float32 at the input's size, finite, and those of the call without more."""
    labels = torch.tensor([2, 0, 3])
    localizer = make(name)
    found = localizer.locate(images, labels)
    assert found.maps.shape == (3, 64, 96)
    assert found.maps.dtype == found.logits.dtype == torch.float32
    assert found.maps.isfinite().all()
    assert found.maps.amax((1, 2)).gt(found.maps.amin((1, 2))).any()
    assert not found.maps.requires_grad
    assert torch.equal(found.labels, labels)
    torch.testing.assert_close(localizer(images, labels), found.maps)


@pytest.mark.parametrize("name", ALL)
def test_first_choice_is_the_default_label(make: Make, images: Tensor, name: str) -> None:
    """Without labels the maps are those of the highest logit; maps of a class depend on it."""
    localizer = make(name)
    chosen = localizer.locate(images)
    with torch.inference_mode():
        logits = localizer.model.eval()(images).logits
    torch.testing.assert_close(chosen.logits, logits)
    assert torch.equal(chosen.labels, logits.argmax(1))
    torch.testing.assert_close(chosen.maps, localizer(images, logits.argmax(1)))
    others = localizer(images, logits.argmin(1))
    assert torch.equal(chosen.maps, others) == (name in AGNOSTIC)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_the_network_is_left_as_it_was(
    make: Make, images: Tensor, name: str, training: bool, tiny: Tiny
) -> None:
    """Mode, weights, batch statistics, gradients and hooks are those from before."""
    network = tiny(name).train(training)
    network.body.get_submodule("norm" if name in ATTENTION else "layer4").train(not training)
    network(images).logits.sum().backward()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    gradients = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    modes = [module.training for module in network.modules()]
    make(name, network)(images)
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    after = [weight.grad for weight in network.parameters() if weight.grad is not None]
    assert all(map(torch.equal, after, gradients))
    assert len(after) == len(gradients)
    assert all(weight.requires_grad for weight in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", ALL)
def test_a_image_is_located_by_itself(make: Make, images: Tensor, name: str) -> None:
    """An image's map does not depend on its batch."""
    localizer, labels = make(name), torch.tensor([2, 0, 3])
    together = localizer(images, labels)
    alone = torch.cat([localizer(images[i : i + 1], labels[i : i + 1]) for i in range(3)])
    scale = together.abs().max().item()
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("name", ALL)
def test_inference_mode_outside_is_no_hindrance(make: Make, images: Tensor, name: str) -> None:
    """A caller may have switched gradients off."""
    localizer, labels = make(name), torch.tensor([2, 0, 3])
    expected = localizer(images, labels)
    with torch.inference_mode():
        found = localizer(images.clone(), labels)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", ALL)
def test_autocast_changes_little(make: Make, images: Tensor, name: str) -> None:
    """Under autocast to bfloat16 the maps are float32 and look alike."""
    localizer, labels = make(name), torch.tensor([2, 0, 3])
    expected = localizer(images, labels)
    with torch.autocast("cpu", torch.bfloat16):
        found = localizer(images, labels)
    assert found.dtype == torch.float32
    both = torch.stack((found.flatten(), expected.flatten()))
    assert torch.corrcoef(both)[0, 1] > 0.9


@pytest.mark.parametrize("name", ALL)
def test_features_that_are_no_numbers_are_no_error(make: Make, images: Tensor, name: str) -> None:
    """The image's map has no object, and those of the others are what they were."""
    localizer, labels = make(name), torch.tensor([2, 0, 3])
    expected = localizer(images, labels)
    images[1] = torch.nan
    found = localizer(images, labels)
    assert found[1].isnan().any() or found[1].amin() == found[1].amax()
    torch.testing.assert_close(found[::2], expected[::2])


@pytest.mark.parametrize("bias", [200, -200])
def test_ablation_counts_what_is_lost(make: Make, images: Tensor, tiny: Tiny, bias: float) -> None:
    """Whatever the score itself is: below zero, or too large for a pass in a low precision."""
    network, labels = tiny("ablationcam"), torch.tensor([2, 1, 3])
    layer = network.head.linear
    torch.nn.init.normal_(layer.weight)
    localizer = make("ablationcam", network)
    with torch.autocast("cpu", torch.bfloat16):
        expected = localizer(images, labels)
        torch.nn.init.constant_(layer.bias, bias)
        found = localizer(images, labels)
    assert expected.amax((1, 2)).min() > 0
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.01 * expected.max().item())


def test_several_localizers_share_one_pass(make: Make, images: Tensor, tiny: Tiny) -> None:
    """Together they say what each says alone, and the network is passed once."""
    network = tiny("cam")
    names = ("cam", "gradcam", "feature_norm", "layercam")
    labels, passes = torch.tensor([2, 0, 3]), []
    localizers = [make(name, network) for name in names]
    alone = [localizer(images, labels) for localizer in localizers]
    handle = network.register_forward_hook(lambda *_: passes.append(1))
    together = locate_all(localizers, images, labels)
    handle.remove()
    assert len(passes) == 1
    for found, expected in zip(together, alone, strict=True):
        torch.testing.assert_close(found.maps, expected)
    with pytest.raises(ConfigError, match="different models"):
        locate_all([localizers[0], make("cam")], images)


def test_maps_of_several_layers_are_scaled_and_averaged(
    make: Make, images: Tensor, tiny: Tiny
) -> None:
    """Each map lies in [0, 1] before they are averaged."""
    network, labels = tiny("cam"), torch.tensor([2, 0, 3])
    options = {"interpolation": "bilinear"}
    layers = ["layer3", "layer4"]
    single = [
        make("feature_norm", network, layers=[layer], **options)(images, labels) for layer in layers
    ]
    least = [maps.amin((1, 2), keepdim=True) for maps in single]
    scaled = [
        (maps - low) / (maps.amax((1, 2), keepdim=True) - low)
        for maps, low in zip(single, least, strict=True)
    ]
    found = make("feature_norm", network, layers=layers, **options)(images, labels)
    assert found.min() >= 0
    assert found.max() <= 1
    # Enlarging does not always keep the extremes, so the two scales differ a little.
    torch.testing.assert_close(found, sum(scaled) / 2, atol=0.15, rtol=0)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_network_without_attention_says_so(images: Tensor, name: str, tiny: Tiny) -> None:
    """A localizer of transformers refuses a convolutional network in one line."""
    with pytest.raises(ConfigError, match="no attention; use another localizer"):
        create_localizer(name, tiny("cam"))(images)


def test_a_layer_that_is_missing_or_no_map_says_so(images: Tensor, tiny: Tiny) -> None:
    """An unknown layer is refused at once, one without maps when it is seen."""
    network = tiny("cam")
    with pytest.raises(ConfigError, match="no layer 'layer5' in"):
        create_localizer("gradcam", network, layers=["layer5"])
    network = create_network("test_vit", num_classes=4, pretrained=False)
    with pytest.raises(ConfigError, match=r"layer 'blocks.0.attn.attn_drop'"):
        create_localizer("gradcam", network, layers=["blocks.0.attn.attn_drop"])(images)


def test_a_layer_after_which_nothing_counts_says_so(images: Tensor, tiny: Tiny) -> None:
    """A layer on which the logits do not depend has no gradients."""
    network = tiny("cam")
    network.body.add_module("aside", torch.nn.Conv2d(3, 8, 1))
    forward = network.body.forward_features
    network.body.forward_features = lambda images: (network.body.aside(images), forward(images))[1]
    with pytest.raises(ConfigError, match="aside"):
        create_localizer("gradcam", network, layers=["aside"])(images)


def test_unknown_localizer_names_the_nearest(tiny: Tiny) -> None:
    """A localizer that does not exist is an error with the nearest name."""
    with pytest.raises(ConfigError, match="no localizer 'camm': did you mean 'cam'"):
        create_localizer("camm", tiny("cam"))
    assert "cam" in list_localizers()
    assert sorted(list_localizers()) == list_localizers()
