"""Hide-and-Seek training method."""

from collections.abc import Sequence

import torch
from torch import Tensor

from wsol.methods.base import Method
from wsol.methods.has import Config


def hide_patches(images: Tensor, grid_sizes: Sequence[int], drop_rate: float) -> Tensor:
    """Return images with randomly hidden patches of a grid.

    A hidden patch is 0, the data set's mean in normalised images: the first layer's activations
    then have the same mean in training and evaluation (section 3.1, setting the hidden pixel
    values).

    Args:
        images: normalised images, ``(N, C, H, W)``; not modified.
        grid_sizes: sides of the patches in pixels; one is drawn per image, with equal probability.
            The grid starts at the upper left corner, so patches at the other edges may be smaller.
            0 leaves the image unchanged.
        drop_rate: probability of hiding each patch, independently.

    Returns:
        ``(N, C, H, W)``, with the dtype and memory format of the images.

    Draws come from torch's global generator on the CPU.

    Source: Kumar Singh & Lee, ICCV 2017, section 3.1.

    Raises:
        ConfigError: grid sizes or drop rate are out of range.

    >>> _ = torch.manual_seed(2)
    >>> hide_patches(torch.ones(1, 1, 3, 5), grid_sizes=[2], drop_rate=0.5)
    tensor([[[[0., 0., 1., 1., 0.],
              [0., 0., 1., 1., 0.],
              [1., 1., 1., 1., 0.]]]])
    """
    Config(grid_sizes=tuple(grid_sizes), drop_rate=drop_rate)
    height, width = images.shape[-2:]
    longest = max(height, width)
    drawn = torch.tensor(grid_sizes)[torch.randint(len(grid_sizes), (len(images),))]
    sides = torch.where(drawn == 0, longest, drawn)
    # The finest grid has the most patches; coarser grids use its first rows and columns.
    count = -(-longest // int(sides.min()))
    shown = torch.rand(len(images), count, count) >= drop_rate
    shown |= (drawn == 0)[:, None, None]
    rows, columns = (torch.arange(size) // sides[:, None] for size in (height, width))
    image = torch.arange(len(images))[:, None, None]
    mask = shown[image, rows[:, :, None], columns[:, None, :]]
    return images * mask[:, None].to(images.device)


class HaSMethod(Method):
    """Plain training on images with hidden patches."""

    changes_images = True

    config: Config

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Hide patches of a normalised batch ``(N, 3, H, W)``; labels are unchanged."""
        return hide_patches(images, self.config.grid_sizes, self.config.drop_rate), labels
