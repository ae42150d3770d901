"""Default taps are where features are rectified maps, for the networks that say their stages."""

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.adl.taps import default_taps
from wsol.models import create_network


@pytest.mark.parametrize(
    "backbone", ["test_resnet", "resnet18", "regnetx_002", "test_byobnet", "tf_efficientnet_lite0"]
)
def test_taps_give_rectified_feature_maps(backbone: str) -> None:
    """Features at the taps are maps that are never negative and not all zero."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=3, pretrained=False)
    taps, seen = default_taps(network.body), []

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output)

    for tap in taps:
        network.body.get_submodule(tap).register_forward_hook(look)
    network(torch.randn(2, 3, 64, 64))
    assert len(seen) == len(taps) == 2
    for features in seen:
        assert features.ndim == 4
        assert 0 == features.min() < features.max()


def test_networks_with_linear_projections_are_tapped_before_them() -> None:
    """In inverted residuals the tap is the layer whose output the projection takes."""
    for backbone in ("tf_efficientnet_lite0", "mobilenetv2_050"):
        modules = dict(timm.create_model(backbone).named_modules())
        for tap in default_taps(timm.create_model(backbone)):
            block, _, name = tap.rpartition(".")
            assert name == "bn2"
            assert modules[tap].num_features == modules[f"{block}.conv_pwl"].in_channels


def test_a_network_without_stages_asks_for_taps() -> None:
    """Where no stages are named, the error says which option to give."""
    with pytest.raises(ConfigError, match=r"Sequential does not name its stages.*--method\.taps"):
        default_taps(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize("backbone", ["test_vit", "test_mambaout"])
@pytest.mark.xfail(reason="default taps of tokens and of channels-last maps are no (N, C, h, w)")
def test_default_taps_have_channels_where_the_layer_looks(backbone: str) -> None:
    """At the default taps the second dimension is the channels, or the network is refused."""
    network = create_network(backbone, num_classes=3, pretrained=False)
    try:
        taps = default_taps(network.body)
    except ConfigError:
        return
    channels = {stage["num_chs"] for stage in network.body.feature_info}

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        assert output.ndim == 4
        assert output.shape[1] in channels

    for tap in taps:
        network.body.get_submodule(tap).register_forward_hook(look)
    network(torch.randn(1, 3, 160, 160))
