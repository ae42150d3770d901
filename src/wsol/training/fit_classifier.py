"""The last layer of a classifier, fitted to features that do not change."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, multilabel_soft_margin_loss
from torch.optim import LBFGS, Optimizer

from wsol.errors import DataError
from wsol.models import Network

WEIGHT_DECAY = 0.01
"""Of weights of features with a standard deviation of 1."""

MAX_ITERATIONS = 200


def fit_classifier(features: Tensor, targets: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Return weights ``(classes, C)`` and biases ``(classes,)`` of logistic regression, float32.

    The loss is convex and nothing is drawn by chance, so the same features give the same weights.

    Args:
        features: float32 ``(N, C)``; each is brought to a standard deviation of 1, and back. Rows
            with numbers that are not finite are left out.
        targets: int64 ``(N,)``, one class for each, or float32 ``(N, classes)``, 1 for each class.
        num_classes: number of classes.

    Raises:
        DataError: no row is finite.

    >>> features = torch.tensor([[0.0, 5.0], [1.0, 5.0], [9.0, 5.0], [8.0, 5.0]])
    >>> weight, bias = fit_classifier(features, torch.tensor([0, 0, 1, 1]), 2)
    >>> (features @ weight.T + bias).argmax(1)
    tensor([0, 0, 1, 1])
    """
    finite = features.isfinite().all(1)
    if not finite.any():
        raise DataError(
            "the network's features of all images are infinite or not a number: compute with "
            "--precision fp32, or use another backbone"
        )
    features, targets = features[finite], targets[finite]
    mean, std = features.mean(0), features.std(0, correction=0)
    # A feature that never changes tells nothing.
    std = torch.where(std > 0, std, torch.inf)
    points = (features - mean) / std
    loss = cross_entropy if targets.ndim == 1 else multilabel_soft_margin_loss
    with torch.enable_grad():
        weight = torch.zeros(num_classes, features.shape[1], requires_grad=True)
        bias = torch.zeros(num_classes, requires_grad=True)
        optimizer: Optimizer = LBFGS(
            [weight, bias], max_iter=MAX_ITERATIONS, line_search_fn="strong_wolfe"
        )

        def closure() -> float:
            optimizer.zero_grad()
            value = loss(points @ weight.T + bias, targets)
            value = value + WEIGHT_DECAY / 2 * weight.square().sum()
            torch.autograd.backward(value)
            return value.item()

        optimizer.step(closure)
    weight, bias = weight.detach() / std, bias.detach()
    return weight, bias - weight @ mean


def set_last_layer(network: Network, weight: Tensor, bias: Tensor) -> None:
    """Give a network's only classifier the weights and biases of ``fit_classifier``."""
    (name,) = network.head.classifiers
    for parameter, value in zip(
        network.head.get_submodule(name).parameters(), (weight, bias), strict=True
    ):
        parameter.data.copy_(value.view_as(parameter))
