"""A smaller output stride that leaves every feature where it was."""

from math import ceil
from typing import Any

import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from wsol.models.taps import find_tap


class DenseConv2d(nn.Conv2d):
    """A convolution of stride 1 in place of one of stride 2 that had TensorFlow's SAME padding.

    That padding begins one pixel later where the stride divides the side. timm's own replacement
    pads alike on both sides: it moves all features half a cell of the old grid right and down.

    Args:
        conv: timm's replacement, whose weights are kept.

    >>> dense = nn.Conv2d(1, 1, 5, padding=2)
    >>> strided = Conv2dSame(1, 1, 5, stride=2)
    >>> _ = strided.load_state_dict(dense.state_dict())
    >>> image = torch.rand(1, 1, 8, 8)
    >>> torch.allclose(DenseConv2d(dense)(image)[..., ::2, ::2], strided(image), atol=1e-6)
    True
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        """Take over the weights."""
        height, width = conv.kernel_size
        down, right = conv.dilation
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            (height, width),
            dilation=(down, right),
            groups=conv.groups,
            bias=conv.bias is not None,
        )
        self.weight, self.bias = conv.weight, conv.bias

    def forward(self, maps: Tensor) -> Tensor:
        """Return maps ``(N, C', H, W)`` of maps ``(N, C, H, W)``."""
        above, below = self._padding(maps.shape[2], axis=0)
        left, right = self._padding(maps.shape[3], axis=1)
        padded = pad(maps, (left, right, above, below))
        return conv2d(padded, self.weight, self.bias, dilation=self.dilation, groups=self.groups)

    def _padding(self, side: int, axis: int) -> tuple[int, int]:
        """Return the padding before and after: every second pixel is where stride 2 had one."""
        kernel, dilation = self.kernel_size[axis], self.dilation[axis]
        coarse = ceil(side / dilation)
        before = max((ceil(coarse / 2) - 1) * 2 + kernel - coarse, 0) // 2 * dilation
        return before, (kernel - 1) * dilation - before


def keep_places(model: nn.Module, backbone: str) -> None:
    """Put ``DenseConv2d`` where a smaller output stride took the stride from one with SAME padding.

    Args:
        model: a timm network made with an output stride; it is changed.
        backbone: its name.
    """
    with torch.device("meta"):
        published: Any = timm.create_model(backbone)
    for name, strided in published.named_modules():
        if isinstance(strided, Conv2dSame):
            conv: Any = find_tap(model, name)
            if (strided.stride, conv.stride) == ((2, 2), (1, 1)):
                parent, _, last = name.rpartition(".")
                setattr(model.get_submodule(parent), last, DenseConv2d(conv))
