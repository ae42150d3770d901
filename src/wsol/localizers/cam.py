"""Class activation maps (CAM) and the foreground maps of methods trilite and c2am."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, has_classes, layer_root, observe
from wsol.localizers._layers import choose_layers, probe
from wsol.localizers.base import ScoreMaps, resized
from wsol.models import Network
from wsol.models.foreground import ForegroundHead
from wsol.models.heads import scaled_maps
from wsol.models.utils import evaluating


class CAM(ScoreMaps):
    """Class activation maps, for networks of this package or any classifier.

    If the logits are a linear function of the mean features, the CAM weights are the gradients of
    the logit times the number of pixels. Other classifiers have no such weights; the gradients at
    each position replace them, as in HiResCAM.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR 2016,
    equation 2; for other classifiers Draelos & Carin, Use HiResCAM instead of Grad-CAM, 2020,
    section 3.2.

    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> CAM(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Detect whether the classifier has a head that computes maps."""
        super().__init__(model, *arguments, **options)
        self.needs_gradients = bool(self.layers)

    def default_layers(self) -> tuple[str, ...]:
        """Return no layers for a network of this package, whose head has the features."""
        return () if isinstance(self.model, Network) else super().default_layers()

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the head's maps, or the maps of each layer."""
        if isinstance(self.model, Network) and not self.layers:
            features, branches = forward_pass.output.features, forward_pass.output.branches
            output = forward_pass.output._replace(
                features=features.float(), branches=tuple(branch.float() for branch in branches)
            )
            return [self.model.head.output_maps(output, labels)]
        return super().score_maps(forward_pass, labels)

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the features weighted by weights or gradients, ``(N, h, w)``."""
        pixels = features.shape[2] * features.shape[3]
        return torch.einsum("nchw,nchw->nhw", features, gradients) * pixels


class Foreground(ScoreMaps):
    """Foreground map of networks trained with the methods ``trilite`` and ``c2am``.

    The layers are those of the head's training.

    Raises:
        ConfigError: the model has no such head, or other layers are set.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120); Xie et al., CVPR 2022, section 3.1.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False, method="c2am")
    >>> Foreground(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Check the network's head."""
        super().__init__(model, *arguments, **options)
        if self.layers != self.default_layers():
            raise ConfigError(
                f"layers: the foreground map was trained on {', '.join(self.default_layers())}; "
                "use no other layer"
            )

    @property
    def head(self) -> ForegroundHead:
        """Head that computes the map; a network without one raises a ConfigError."""
        head = self.model.head if isinstance(self.model, Network) else None
        if isinstance(head, ForegroundHead):
            return head
        raise ConfigError(
            "foreground: the network has no head with a foreground map; use a run trained with "
            "--method trilite or c2am"
        )

    def default_layers(self) -> tuple[str, ...]:
        """Return the layers of the head's training."""
        return self.head.layers

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` in [0, 1], identical for all labels."""
        seen, head = forward_pass.features, self.head
        with evaluating(head):
            tapped = [seen[layer] for layer in self.layers]
            return [head.foreground(forward_pass.output.features.float(), tapped)]


POOLING_POWER = 4
"""Exponent of the seed map when it weights the positions that image classes are read from."""

SAME = {torch.bfloat16: 2e-2, torch.float16: 2e-3}
"""Tolerance for equal logits, relative to the largest logit, by the dtype of the computation; 1e-3
for all others."""


class LinearLayer(NamedTuple):
    """Linear classifier on mean feature maps, which can be applied to each position.

    Attributes:
        module: linear layer, or 1x1 convolution.
        layer: layer that outputs the feature maps; empty: the network's features.
    """

    module: nn.Linear | nn.Conv2d
    layer: str = ""

    def features(self, forward_pass: ForwardPass) -> Tensor:
        """Return the feature maps, float32 ``(N, C, h, w)``."""
        if self.layer:
            return forward_pass.features[self.layer]
        features: Tensor = forward_pass.output.features
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
    """Return the linear classifier of a network on the mean of its last features, or None.

    It is searched for with one image of the given side in pixels; default: the model's input size.
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
        name = choose_layers(model, size)
    except ConfigError:
        return None
    forward_pass = observe(model, probe(model, size), [name])
    pooled = forward_pass.features[name].mean((2, 3))
    shape = (forward_pass.logits.shape[1], pooled.shape[1])
    for module in reversed(list(layer_root(model).modules())):
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        layer = LinearLayer(module, name)
        if layer.weight().shape != shape:
            continue
        same = SAME.get(module.weight.dtype, 1e-3)
        logits = pooled @ layer.weight().T + layer.bias()
        if (logits - forward_pass.logits).abs().max() <= same * forward_pass.logits.abs().max():
            return layer
    return None


def class_evidence(
    layer: LinearLayer, forward_pass: ForwardPass, labels: Tensor, seed: Tensor
) -> Tensor:
    """Return the class activation map of a label and of the classes the network confuses with it.

    Classes are weighted by their probability in the image, computed from the positions of the seed,
    and by the cosine of their weights with the label's. The mean weight of all classes is
    subtracted, as the softmax ignores it. Seed and result are ``(N, h, w)`` in [0, 1]; the result
    is 1 if no position supports the class.
    """
    features, weight = layer.features(forward_pass), layer.weight()
    grid = (features.shape[2], features.shape[3])
    places = resized(seed, grid).clamp(min=0) ** POOLING_POWER
    # Where the seed is zero everywhere, all positions have equal weight.
    places = torch.where(places.sum((1, 2), keepdim=True) > 0, places, 1)
    places = places / places.sum((1, 2), keepdim=True)
    logits = torch.einsum("nchw,nhw->nc", features, places) @ weight.T + layer.bias()
    centred = weight - weight.mean(0)
    directions = normalize(centred, dim=1)
    alike = (directions[labels] @ directions.T).clamp(min=0)
    # The label's similarity may be zero if the network has one class.
    shares = (logits + alike.clamp(min=1e-12).log()).softmax(1)
    maps = torch.einsum("nchw,nc->nhw", features, shares @ centred).relu()
    evidence = scaled_maps(resized(scaled_maps(maps), (seed.shape[1], seed.shape[2]))).clamp(min=0)
    return torch.where(evidence.amax((1, 2), keepdim=True) > 0, evidence, 1)
