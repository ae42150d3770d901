"""The papers' networks: what loads, what is refused, what learns how fast, and their geometry."""

import logging
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import resnet50

from wsol.errors import ConfigError
from wsol.models import create_network, list_backbones
from wsol.models.published import published_names

METHODS = ("none", "cam", "adl", "acol", "spg")


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Return torchvision's ResNet50 with three classes."""
    torch.manual_seed(1)
    return dict(resnet50(num_classes=3).state_dict())


def make(method: str = "none", **options: Any) -> Any:
    """Return the re-evaluation's ResNet50 of three classes."""
    return create_network("wsolevaluation/resnet50", num_classes=3, method=method, **options)


@pytest.mark.parametrize("name", published_names())
@pytest.mark.parametrize("method", METHODS)
def test_every_network_takes_every_method(name: str, method: str) -> None:
    """Features of stride 16, logits and a map for each label."""
    assert name in list_backbones()
    network = create_network(name, num_classes=3, method=method).eval()
    with torch.inference_mode():
        output = network(torch.randn(1, 3, 64, 64))
        maps = network.head.output_maps(output, torch.tensor([1]))
    assert output.logits.shape == (1, 3)
    assert maps.shape == (1, 4, 4)


def test_the_large_feature_map_is_stride_8() -> None:
    """By either name."""
    images, label = torch.randn(1, 3, 64, 64), torch.tensor([0])
    for options in ({"large_feature_map": True}, {"output_stride": 8}):
        assert make(**options).eval().score_maps(images, label).shape == (1, 8, 8)


def test_torchvisions_weights_load_and_are_used(weights: dict[str, Tensor]) -> None:
    """With stride put back, the network is torchvision's; its classifier is kept."""
    network, theirs = make(), resnet50(num_classes=3)
    theirs.load_state_dict(weights)
    network.load_published(weights)
    network.body.layer4[0].conv2.stride = network.body.layer4[0].downsample[0].stride = (2, 2)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(images).logits, theirs.eval()(images))


@pytest.mark.parametrize("method", ["acol", "spg"])
def test_other_heads_stay_new(
    weights: dict[str, Tensor], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The body is loaded, the branches are not in such files, and one line says so."""
    network = make(method)
    with caplog.at_level(logging.INFO, "wsol"):
        network.load_published(weights)
    assert torch.equal(network.body.conv1.weight, weights["conv1.weight"])
    assert len([text for text in caplog.messages if "initialized: head." in text]) == 1


def test_a_classifier_of_another_size_stays_new(
    weights: dict[str, Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that is missing; the rest is loaded."""
    weights["fc.weight"], weights["fc.bias"] = torch.zeros(7, 2048), torch.zeros(7)
    network = make()
    before = network.head.linear.weight.clone()
    with caplog.at_level(logging.INFO, "wsol"):
        network.load_published(weights)
    assert caplog.messages == ["not in the published weights, newly initialized: head.linear"]
    assert torch.equal(network.head.linear.weight, before)
    assert torch.equal(network.body.bn1.weight, weights["bn1.weight"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"layer1.0.conv1.weight": None}, "layer1.0.conv1.weight is missing"),
        ({"layer1.0.conv1.weight": torch.zeros(1)}, r"conv1.weight has shape \(1,\) instead of"),
        ({"layer9.0.weight": torch.zeros(1)}, "'layer9.0.weight' is no part of this network"),
    ],
)
def test_weights_that_do_not_fit_are_refused_whole(
    weights: dict[str, Tensor], change: dict[str, Tensor | None], reason: str
) -> None:
    """One typed line names the entry, and no weight has changed."""
    weights |= {name: value for name, value in change.items() if value is not None}
    for name, value in change.items():
        if value is None:
            del weights[name]
    network = make()
    before = network.body.conv1.weight.clone()
    with pytest.raises(ConfigError, match=reason):
        network.load_published(weights)
    assert torch.equal(network.body.conv1.weight, before)


def test_same_padding_puts_the_extra_pixel_at_the_bottom_right() -> None:
    """The first convolution of stride 2 on an even size reads one more row below than above."""
    conv = create_network("tensorpack/resnet50_se", num_classes=2).body.conv1
    torch.nn.init.ones_(conv.weight)
    spots = torch.zeros(2, 3, 8, 8)
    spots[0, 0, 0, 0] = spots[1, 0, 7, 7] = 1
    reached = (conv(spots)[:, 0] > 0).sum((1, 2)).tolist()
    assert reached == [4, 4]
    seen = [place.tolist() for place in (conv(spots)[1, 0] > 0).nonzero()]
    assert seen == [[2, 2], [2, 3], [3, 2], [3, 3]]


def test_positions_are_places_of_adl() -> None:
    """Numbers of the authors' code attach ADL with the paper's threshold; others are refused."""
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.manual_seed(0)
        plain = create_network("tensorpack/vgg_gap", num_classes=2)
        torch.manual_seed(0)
        changed = create_network("tensorpack/vgg_gap", num_classes=2, adl_positions=(53,))
        assert torch.equal(plain.eval()(images).logits, changed.eval()(images).logits)
        assert not torch.equal(plain.train()(images).logits, changed.train()(images).logits)
    with pytest.raises(ConfigError, match="tensorpack/vgg_gap has no ADL position 6"):
        create_network("tensorpack/vgg_gap", num_classes=2, adl_positions=(6,))


def test_new_layers_learn_as_fast_as_the_head() -> None:
    """VGG's added convolution and ResNet's last stage are among the fast weights, others not."""
    vgg = create_network("wsolevaluation/vgg16", num_classes=2)
    assert {id(weight) for weight in vgg.body.conv6.parameters()} <= {
        id(weight) for weight in vgg.fast_parameters()
    }
    assert len(vgg.fast_parameters()) + len(vgg.slow_parameters()) == len(list(vgg.parameters()))
    slow = {id(weight) for weight in make().slow_parameters()}
    assert len(slow) == 129


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("wsolevaluation/vgg16", {"adl_positions": (3,)}, "no option 'adl_positions'"),
        ("wsolevaluation/vgg16", {"method": "acol", "treshold": 1}, "did you mean 'threshold'"),
        ("tensorpack/vgg_gap", {"large_feature_map": True}, "large feature map"),
        ("tensorpack/vgg_gap", {"pretrained": True}, "no weights to download"),
        ("tensorpack/vgg_gab", {}, "did you mean 'tensorpack/vgg_gap'"),
    ],
)
def test_wrong_names_and_options_are_refused(
    name: str, options: dict[str, Any], reason: str
) -> None:
    """Each with one line that says what to do."""
    with pytest.raises(ConfigError, match=reason):
        create_network(name, num_classes=2, **options)
