"""The default layer is the last feature maps, for the networks that say their stages."""

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.adl.method import default_layers
from wsol.models import create_network


@pytest.mark.parametrize(
    "backbone",
    ["test_resnet", "resnet18", "regnetx_002", "tf_efficientnet_lite0", "mobilenetv2_050"],
)
def test_the_layer_gives_the_features_that_the_head_takes(backbone: str) -> None:
    """What passes the layer is what is pooled: maps that are never negative and not all zero."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=3, pretrained=False)
    (layer,) = default_layers(network.body)
    seen: list[Tensor] = []
    module = network.body.get_submodule(layer)
    module.register_forward_hook(lambda module, inputs, output: seen.append(output))
    output = network(torch.randn(2, 3, 64, 64))
    assert torch.equal(seen[0], output.features)
    assert 0 == seen[0].min() < seen[0].max()


def test_a_network_without_stages_asks_for_layers() -> None:
    """Where no stages are named, the error says which option to give."""
    with pytest.raises(ConfigError, match=r"Sequential.*--method\.layers"):
        default_layers(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("vgg16", "features.29"),
        ("test_vit", "blocks.5"),
        ("inception_v3", "Mixed_7c"),
        ("swin_tiny_patch4_window7_224", "layers.3"),
    ],
)
def test_a_pool_is_no_stage(backbone: str, layer: str) -> None:
    """The last stage of several families, none of them a pooling layer."""
    assert default_layers(timm.create_model(backbone)) == (layer,)


def test_the_stride_does_not_move_the_layer() -> None:
    """Dilated stages stay stages, though their maps have one size."""
    for stride in (8, 16, 32):
        assert default_layers(timm.create_model("resnet18", output_stride=stride)) == ("layer4",)
