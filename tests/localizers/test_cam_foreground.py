"""The foreground map of a network's own head."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.models import Network, create_network


@pytest.mark.parametrize("method", ["trilite", "c2am"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_the_map_is_that_of_the_head(method: str, backbone: str) -> None:
    """At the size of the head's grid it is what the head makes of the same features."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=3, pretrained=False, method=method).eval()
    images = torch.randn(2, 3, 160, 160)
    with torch.inference_mode():
        features, tapped = network.layer_features(images, network.head.layers)
        expected = network.head.foreground(features, tapped)
    height, width = expected.shape[1:]
    localizer = create_localizer("foreground", network, interpolation="bilinear")
    found = localizer(images)[:, :: 160 // height, :: 160 // width]
    assert 0 <= found.min() < found.max() <= 1
    both = torch.stack([found.flatten(), expected.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.5
    torch.testing.assert_close(found.mean(), expected.mean(), atol=0.05, rtol=0)


def test_other_networks_and_layers_are_refused(tiny: Callable[[str], Network]) -> None:
    """A plain head, a torchvision classifier, and a layer that the head was not trained on."""
    for model in (tiny("cam"), timm.create_model("test_resnet")):
        with pytest.raises(ConfigError, match="--method trilite or c2am"):
            create_localizer("foreground", model)
    with pytest.raises(ConfigError, match="layer3"):
        create_localizer("foreground", tiny("foreground"), layers=["layer2"])


def test_multiple_labels_share_the_map(tiny: Callable[[str], Network], images: Tensor) -> None:
    """Each place belongs to the label whose class map is highest there."""
    network = tiny("foreground")
    alone = create_localizer("foreground", network)(images)
    labels = torch.tensor([[0, 1], [2, 3], [1, -1]])
    maps = create_localizer("foreground", network, several=True)(images, labels)
    assert maps.shape == (3, 2, *alone.shape[1:])
    assert torch.equal(maps[:2].amin(1), torch.zeros_like(alone[:2]))
