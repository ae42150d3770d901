"""Where the class of a label is, by the linear classifier on the last features."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import Look, has_classes, observe, tapped_part
from wsol.localizers._layers import choose_tap, probe
from wsol.localizers.base import resized
from wsol.models import Network
from wsol.models.heads import scaled_maps
from wsol.models.utils import evaluating

POOLING_POWER = 4
"""Of the seed, as weights of the places that the classes of an image are told from."""

SAME = {torch.bfloat16: 2e-2, torch.float16: 2e-3}
"""Largest difference, as a share of the largest logit, of logits that are the same, by the type
they are computed in; 1e-3 for all others."""


class LinearLayer(NamedTuple):
    """A linear classifier on the mean of feature maps, which can be asked of each place.

    Attributes:
        module: linear, or a convolution of one pixel.
        tap: the layer that gives the feature maps; empty: the network's own.
    """

    module: nn.Linear | nn.Conv2d
    tap: str = ""

    def features(self, look: Look) -> Tensor:
        """Return the feature maps, float32 ``(N, C, h, w)``."""
        if self.tap:
            return look.features[self.tap]
        features: Tensor = look.output.features
        return features.detach().float()

    def weight(self) -> Tensor:
        """Return the weights, float32 ``(classes, C)``."""
        # In training mode a parametrization may change its state when its weight is read.
        with evaluating(self.module):
            return self.module.weight.detach().flatten(1).float()

    def bias(self) -> Tensor:
        """Return the biases, float32 ``(classes,)``."""
        weight, bias = self.weight(), self.module.bias
        return weight.new_zeros(len(weight)) if bias is None else bias.detach().float()


def find_linear_layer(model: nn.Module, size: int | None = None) -> LinearLayer | None:
    """Return the linear classifier of a network on the mean of its last features, if it has one.

    Args:
        model: any classifier; its mode is left as it was.
        size: side of the input in pixels; default: what the model says it takes.

    >>> import timm
    >>> find_linear_layer(timm.create_model("resnet18")).tap
    'layer4'
    >>> find_linear_layer(timm.create_model("test_vit")) is None
    True
    """
    if not has_classes(model):
        return None
    if isinstance(model, Network):
        name, *others = model.head.classifiers
        module = model.head.get_submodule(name)
        if others or not isinstance(module, nn.Linear | nn.Conv2d):
            return None
        return LinearLayer(module)
    try:
        tap = choose_tap(model, size)
    except ConfigError:
        return None
    look = observe(model, probe(model, size), [tap])
    pooled = look.features[tap].mean((2, 3))
    shape = (look.logits.shape[1], pooled.shape[1])
    for module in reversed(list(tapped_part(model).modules())):
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        layer = LinearLayer(module, tap)
        if layer.weight().shape != shape:
            continue
        same = SAME.get(module.weight.dtype, 1e-3)
        logits = pooled @ layer.weight().T + layer.bias()
        if (logits - look.logits).abs().max() <= same * look.logits.abs().max():
            return layer
    return None


def class_evidence(layer: LinearLayer, look: Look, labels: Tensor, seed: Tensor) -> Tensor:
    """Return the class activation map of a label and of the classes that the network takes for it.

    The classes are weighed by their probability in the image, told from the places of the seed,
    and by how much their weights point the same way as the label's. The mean of all classes'
    weights is taken out, as the softmax does not see it.

    Args:
        layer: the classifier.
        look: what the pass has seen.
        labels: int64 ``(N,)``.
        seed: float32 ``(N, h, w)`` in [0, 1].

    Returns:
        float32 ``(N, h, w)`` in [0, 1]; ones where no place speaks for the class.
    """
    features, weight = layer.features(look), layer.weight()
    grid = (features.shape[2], features.shape[3])
    places = resized(seed, grid).clamp(min=0) ** POOLING_POWER
    # Where the seed is zero everywhere, all places count alike.
    places = torch.where(places.sum((1, 2), keepdim=True) > 0, places, 1)
    places = places / places.sum((1, 2), keepdim=True)
    logits = torch.einsum("nchw,nhw->nc", features, places) @ weight.T + layer.bias()
    centred = weight - weight.mean(0)
    directions = normalize(centred, dim=1)
    alike = (directions[labels] @ directions.T).clamp(min=0)
    # The label's own likeness may be zero where a network has one class.
    shares = (logits + alike.clamp(min=1e-12).log()).softmax(1)
    maps = torch.einsum("nchw,nc->nhw", features, shares @ centred).relu()
    evidence = scaled_maps(resized(scaled_maps(maps), (seed.shape[1], seed.shape[2]))).clamp(min=0)
    return torch.where(evidence.amax((1, 2), keepdim=True) > 0, evidence, 1)
