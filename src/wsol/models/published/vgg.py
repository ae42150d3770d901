"""VGG16 without its classifier, with layers that can be called by name."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn
from torchvision.models.vgg import cfgs, make_layers

CHANNELS = 512
"""Of the last features."""

KEEP: Mapping[int, nn.Module | None] = {}


def vgg16(
    pools: Mapping[int, nn.Module | None] = KEEP, new: Mapping[str, tuple[int, int]] | None = None
) -> nn.Sequential:
    """Return torchvision's VGG16 features as ``conv1_1``, ``relu1_1``, ..., ``pool4``, ....

    Args:
        pools: what stands in place of a pooling layer, by its number; None leaves it out. The
            fifth is left out unless it is given.
        new: channels before and after each 3x3 convolution that is added at the end, by name.

    >>> body = vgg16({4: None}, {"conv6": (512, 1024)})
    >>> [name for name, _ in body.named_children()][-7:-2]
    ['relu5_1', 'conv5_2', 'relu5_2', 'conv5_3', 'relu5_3']
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    pools = {5: None} | dict(pools)
    stage, position = 1, 0
    for layer in make_layers(cfgs["D"]):
        if isinstance(layer, nn.MaxPool2d):
            pool = pools.get(stage, layer)
            if pool is not None:
                layers[f"pool{stage}"] = pool
            stage, position = stage + 1, 0
        elif isinstance(layer, nn.Conv2d):
            position += 1
            layers[f"conv{stage}_{position}"] = layer
        else:
            layers[f"relu{stage}_{position}"] = layer
    for name, (before, after) in (new or {}).items():
        layers[name] = nn.Conv2d(before, after, 3, padding=1)
        layers[name.replace("conv", "relu")] = nn.ReLU()
    return nn.Sequential(layers)
