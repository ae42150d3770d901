"""InceptionV3 up to its second reduction, as wsolevaluation cuts and pads it."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d
from torchvision.models import Inception3
from torchvision.models.inception import InceptionB

CHANNELS = 768
"""Of ``Mixed_6e``."""

KEPT = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1"),
    *("Conv2d_4a_3x3", "maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "maxpool3", "Mixed_6a"),
    *("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
)


class Reduction(InceptionB):
    """torchvision's first reduction with stride 1, which keeps the size of the maps.

    >>> Reduction(288).eval()(torch.rand(1, 288, 8, 8)).shape
    torch.Size([1, 768, 8, 8])
    """

    def __init__(self, channels: int) -> None:
        """Make the block and take its strides away."""
        super().__init__(channels)
        for part in (self.branch3x3, self.branch3x3dbl_3):
            _set(part, stride=(1, 1), padding=(1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the three branches of features ``(N, C, h, w)``, side by side."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, max_pool2d(x, 3, 1, padding=1)], 1)


def inception_v3(*, large: bool, added: bool, dropout: bool) -> nn.Sequential:
    """Return torchvision's layers up to ``Mixed_6e`` as a sequence.

    Args:
        large: leave out the last pooling, for maps of stride 8 instead of 16.
        added: add two 3x3 convolutions of 1024 channels, ``conv7_1`` and ``conv7_2``.
        dropout: hide half of the features before, between and after these, in training.

    >>> body = inception_v3(large=False, added=True, dropout=False)
    >>> body.eval()(torch.rand(1, 3, 64, 64)).shape
    torch.Size([1, 1024, 4, 4])
    """
    whole = Inception3(aux_logits=False, init_weights=False)
    made: dict[str, Any] = dict(whole.named_children())
    _set(made["Conv2d_1a_3x3"], padding=(1, 1))
    made["maxpool1"] = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
    made["maxpool2"] = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
    made["maxpool3"] = nn.MaxPool2d(3, 2, ceil_mode=True)
    made["Mixed_6a"] = Reduction(288)
    kept = (name for name in KEPT if not (large and name == "maxpool3"))
    layers = OrderedDict((name, made[name]) for name in kept)
    before = CHANNELS
    for number in (1, 2) if added else ():
        if dropout:
            layers[f"dropout7_{number}"] = nn.Dropout(0.5)
        layers[f"conv7_{number}"] = nn.Conv2d(before, 1024, 3, padding=1)
        layers[f"relu7_{number}"] = nn.ReLU()
        before = 1024
    if added and dropout:
        layers["dropout8"] = nn.Dropout(0.5)
    return nn.Sequential(layers)


def _set(block: Any, **geometry: tuple[int, int]) -> None:
    for name, value in geometry.items():
        setattr(block.conv, name, value)
