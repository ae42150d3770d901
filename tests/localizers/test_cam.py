"""Class activation maps are the head's weights on the last features, resized as published."""

import cv2
import numpy as np
import pytest
import torch

from wsol.localizers.base import resized
from wsol.localizers.cam import CAM
from wsol.models import create_network


def test_maps_are_weights_times_features() -> None:
    """The map is the sum of channels by the label's weights, enlarged by bicubic interpolation."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    images, labels = torch.randn(2, 3, 64, 96), torch.tensor([3, 1])
    maps = CAM(network)(images, labels)
    with torch.inference_mode():
        features = network.eval().body.forward_features(images)
    assert features.shape[-2:] == (4, 6)
    weights = network.head.linear.weight.detach()[labels].double()
    small = (features.double() * weights[:, :, None, None]).sum(1).numpy()
    for found, expected in zip(maps.numpy(), small, strict=True):
        large = cv2.resize(expected, (96, 64), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(found, large, atol=1e-5 * np.abs(large).max())


@pytest.mark.parametrize("side", [7, 14, 28])
def test_maps_are_resized_as_the_published_code_does(side: int) -> None:
    """Enlarging equals OpenCV's bicubic interpolation, which the published evaluation uses."""
    small = torch.randn(2, side, side, generator=torch.Generator().manual_seed(side))
    found = resized(small, (224, 224)).numpy()
    for one, expected in zip(found, small.numpy(), strict=True):
        large = cv2.resize(expected, (224, 224), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(one, large, atol=1e-4)


def test_low_precision_ends_before_the_resize() -> None:
    """Maps of a low precision are enlarged in float32."""
    assert resized(torch.ones(1, 4, 4).bfloat16(), (8, 8)).dtype == (torch.float32)
