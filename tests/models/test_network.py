"""A network's maps and logits are one and the same, seen before and after the mean."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wsol.models import LinearHead, Network, create_network


@settings(deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 9),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 1000),
)
def test_mean_of_the_map_and_bias_is_the_logit(
    count: int, channels: int, height: int, width: int, seed: int
) -> None:
    """For any label of any image: the map's mean plus the bias is the logit."""
    torch.manual_seed(seed)
    head = LinearHead(channels, 5).double()
    features = torch.randn(count, channels, height, width, dtype=torch.float64)
    labels = torch.randint(0, 5, (count,))
    maps = head.score_maps(features, labels)
    assert maps.shape == (count, height, width)
    logits = maps.mean((1, 2)) + head.linear.bias[labels]
    torch.testing.assert_close(logits, head(features)[torch.arange(count), labels])


def test_a_map_is_the_weighted_sum_of_channels() -> None:
    """Each image's map uses the weights of its label, channel by channel."""
    torch.manual_seed(0)
    head, features = LinearHead(3, 4), torch.randn(2, 3, 5, 6)
    maps = head.score_maps(features, torch.tensor([2, 0]))
    for image, label in enumerate((2, 0)):
        by_hand = torch.zeros(5, 6)
        for channel in range(3):
            by_hand += head.linear.weight[label, channel] * features[image, channel]
        torch.testing.assert_close(maps[image], by_hand)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_score_maps_of_images_explain_their_logits(backbone: str) -> None:
    """From images too, the map's mean plus the bias is the logit, for maps, tokens and others."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=4, pretrained=False).eval()
    images, labels = torch.randn(2, 3, 160, 160), torch.tensor([3, 1])
    with torch.inference_mode():
        maps, logits = network.score_maps(images, labels), network(images).logits
    found = maps.mean((1, 2)) + network.head.linear.bias[labels]
    torch.testing.assert_close(found, logits[[0, 1], [3, 1]], rtol=1e-4, atol=1e-5)


def test_any_module_can_be_a_body() -> None:
    """A body without forward_features is simply called, and its hooks run."""
    body, seen = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), []

    def preprocessing(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output)

    body.register_forward_hook(preprocessing)
    network, images = Network(body, LinearHead(4, 2)), torch.randn(1, 3, 8, 8)
    output = network(images)
    assert torch.equal(output.features, seen[0])
    assert torch.equal(output.logits, network.head(body(images)))
