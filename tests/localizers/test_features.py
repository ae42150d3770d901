"""DDT's component is the principal one over all images, whatever the batches."""

import numpy as np
import pytest
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers._forward import observe
from wsol.localizers.features import DDT
from wsol.models import create_network


def test_maps_are_projections_on_the_first_component(images: Tensor) -> None:
    """Against a singular value decomposition of all features, mean taken out."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer = DDT(network, interpolation="bilinear")
    localizer.fit([images[:2], images[2:]])
    features = observe(network, images, localizer.layers).features[localizer.layers[0]]
    points = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1]).double().numpy()
    mean = points.mean(0)
    component = np.linalg.svd(points - mean, full_matrices=False)[2][0]
    expected = ((points - mean) @ component).reshape(3, *features.shape[2:])
    lengths = np.linalg.norm(points, axis=1).reshape(expected.shape)
    expected *= np.sign(np.corrcoef(expected.ravel(), lengths.ravel())[0, 1])
    found = localizer.score_maps(observe(network, images, localizer.layers), torch.zeros(3))[0]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4 * np.abs(expected).max())


def test_a_state_of_other_layers_is_refused(images: Tensor) -> None:
    """So is asking before fitting, and fitting on nothing."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    fitted, other = DDT(network), DDT(network, layers=["layer3"])
    fitted.fit([images])
    with pytest.raises(ConfigError, match="fitted at other layers than layer3"):
        other.load_state(fitted.state())
    with pytest.raises(ConfigError, match="call fit"):
        other(images)
    with pytest.raises(ConfigError, match="at least one batch"):
        other.fit([])


def test_points_that_are_not_finite_are_left_out(images: Tensor) -> None:
    """Where none is finite, maps are no numbers either."""
    network = create_network("test_resnet", num_classes=4, pretrained=False)
    localizer, other = DDT(network), DDT(network)
    localizer.fit([images[:2], torch.full_like(images, torch.nan), images[2:]])
    other.fit([images])
    torch.testing.assert_close(localizer(images), other(images))
    other.fit([torch.full_like(images, torch.inf)])
    assert other(images).isnan().all()
