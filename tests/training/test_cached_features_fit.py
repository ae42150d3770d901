"""Logistic regression on features that do not change."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsol.errors import DataError
from wsol.training.cached_features import WEIGHT_DECAY, fit_classifier


def descended(
    points: NDArray[np.float64], targets: NDArray[np.float64], softmax: bool
) -> NDArray[np.float64]:
    """Return probabilities by plain gradient descent on the loss, in float64."""
    points = (points - points.mean(0)) / points.std(0)
    weight, bias = np.zeros((targets.shape[1], points.shape[1])), np.zeros(targets.shape[1])
    share = 1 if softmax else targets.shape[1]
    for _ in range(20_000):
        logits = points @ weight.T + bias
        if softmax:
            likely = np.exp(logits - logits.max(1, keepdims=True))
            likely /= likely.sum(1, keepdims=True)
        else:
            likely = 1 / (1 + np.exp(-logits))
        slope = (likely - targets) / (len(points) * share)
        weight -= 0.5 * (slope.T @ points + WEIGHT_DECAY * weight)
        bias -= 0.5 * slope.sum(0)
    return likely


@pytest.mark.parametrize("several", [False, True])
def test_it_is_the_minimum_of_the_loss(several: bool) -> None:
    """The same probabilities as by gradient descent, for one class an image and for several."""
    rng = np.random.default_rng(0)
    points = rng.normal(2, [1, 5, 0.1, 1], (30, 4))
    labels = (points[:, 0] + rng.normal(size=30) > 2).astype(int) + (points[:, 1] > 6)
    one_hot = np.eye(3)[labels]
    if several:
        one_hot[:, 2] = points[:, 2] > 2
    targets = torch.tensor(one_hot).float() if several else torch.tensor(labels)
    weight, bias = fit_classifier(torch.tensor(points).float(), targets, 3)
    logits = torch.tensor(points).float() @ weight.T + bias
    found = logits.sigmoid() if several else logits.softmax(1)
    np.testing.assert_allclose(found, descended(points, one_hot, not several), atol=2e-3)


def test_the_scale_of_a_feature_does_not_matter() -> None:
    """And one that never changes has no weight."""
    torch.manual_seed(0)
    features, labels = torch.randn(20, 3), torch.arange(20) % 2
    features[:, 2] = 7
    scale = torch.tensor([100.0, 0.01, 1.0])
    (weight, bias), (scaled, other) = (
        fit_classifier(each, labels, 2) for each in (features, features * scale)
    )
    torch.testing.assert_close(scaled * scale, weight, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(other, bias, atol=1e-3, rtol=1e-3)
    assert weight[:, 2].tolist() == [0, 0]


def test_images_that_are_not_finite_are_left_out() -> None:
    """And where there is no other, that is said."""
    points = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 1] * 4)
    spoiled = torch.cat((points, torch.tensor([[1.0, torch.inf, 0.0], [torch.nan, 0.0, 0.0]])))
    found = fit_classifier(spoiled, torch.cat((targets, targets[:2])), 2)
    for value, expected in zip(found, fit_classifier(points, targets, 2), strict=True):
        torch.testing.assert_close(value, expected)
    with pytest.raises(DataError, match="--precision"):
        fit_classifier(spoiled[8:], targets[:2], 2)
