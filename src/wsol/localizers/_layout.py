"""Feature maps from the output of any module, whatever library it comes from."""

from typing import Any

from torch import Tensor, nn

from wsol.models.layout import Layout
from wsol.models.tokens import grid_size, is_exact, is_grid, prefix_tokens


def tensor_of(output: Any) -> Tensor | None:
    """Return the tensor that a module gave, or the first of several; None where there is none.

    >>> import torch
    >>> tensor_of((torch.zeros(2), None)).shape
    torch.Size([2])
    """
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def find_layout(output: Tensor, images: Tensor, model: nn.Module) -> Layout | None:
    """Return how a tensor holds feature maps of images, told by their aspect ratio.

    Args:
        output: of a module inside the model.
        images: the model's input, ``(N, 3, H, W)``.
        model: timm's networks say of themselves what the shape leaves open.

    Returns:
        The layout, or None where the tensor is no feature maps of more than one pixel.

    >>> import torch
    >>> images, model = torch.zeros(2, 3, 64, 128), nn.Identity()
    >>> find_layout(torch.zeros(2, 8, 4, 8), images, model)[:3]
    (4, False, 0)
    >>> find_layout(torch.zeros(2, 4, 8, 20), images, model)[:3]
    (4, True, 0)
    >>> find_layout(torch.zeros(2, 33, 16), images, model)[:3]
    (3, False, 1)
    >>> find_layout(torch.zeros(2, 16), images, model) is None
    True
    """
    height, width = images.shape[-2:]
    if output.shape[0] != images.shape[0] or not output.is_floating_point():
        return None
    if output.ndim == 4:
        _, a, b, c = output.shape
        last = getattr(model, "output_fmt", None) == "NHWC"
        grids = {False: (b, c), True: (a, b)}
        # Of two grids the one with the image's own aspect ratio, then the declared one.
        for fits in (is_exact, is_grid):
            for channels_last in (last, not last):
                if fits(*grids[channels_last], height, width):
                    return Layout(channels_last=channels_last)
    if output.ndim == 3:
        prefix = prefix_tokens(output.shape[1], images, model)
        return None if prefix is None else Layout(ndim=3, prefix=prefix)
    return None


def to_maps(output: Tensor, layout: Layout, images: Tensor) -> Tensor:
    """Return the output of a module as feature maps ``(N, C, h, w)``.

    Args:
        output: as ``find_layout`` was given it.
        layout: what it found.
        images: the model's input, ``(N, 3, H, W)``.

    >>> import torch
    >>> images, tokens = torch.zeros(2, 3, 64, 128), torch.zeros(2, 33, 16)
    >>> to_maps(tokens, Layout(ndim=3, prefix=1), images).shape
    torch.Size([2, 16, 4, 8])
    """
    if layout.ndim == 3:
        patches = output[:, layout.prefix :]
        rows, columns = grid_size(patches.shape[1], *images.shape[-2:])
        return patches.transpose(1, 2).reshape(patches.shape[0], -1, rows, columns)
    return output.permute(0, 3, 1, 2) if layout.channels_last else output
