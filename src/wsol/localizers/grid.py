"""Feature maps from the output of any module, whatever library it comes from."""

from typing import Any

from torch import Tensor, nn

from wsol.models.layout import Layout

MOST_PREFIX_TOKENS = 8
"""Class, distillation and register tokens that a transformer has before its patches, at most."""


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
    """Tell how a tensor holds feature maps of images, by their aspect ratio.

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
        fits = {
            last: _is_grid(rows, columns, height, width)
            for last, rows, columns in ((False, b, c), (True, a, b))
        }
        declared = getattr(model, "output_fmt", None) == "NHWC"
        if fits[declared]:
            return Layout(channels_last=declared)
        return Layout(channels_last=not declared) if fits[not declared] else None
    if output.ndim == 3:
        said = getattr(model, "num_prefix_tokens", None) or 0
        for prefix in (said, *range(MOST_PREFIX_TOKENS + 1)):
            rows, columns = grid_size(output.shape[1] - prefix, height, width)
            if rows * columns == output.shape[1] - prefix and _is_grid(
                rows, columns, height, width
            ):
                return Layout(ndim=3, prefix=prefix)
    return None


def grid_size(patches: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a grid of patches that has the aspect ratio of the picture.

    >>> grid_size(196, 224, 224), grid_size(98, 112, 224)
    ((14, 14), (7, 14))
    """
    rows = max(round((max(patches, 0) * height / width) ** 0.5), 1)
    return rows, max(patches, 0) // rows


def _is_grid(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has more than one cell, no more than pixels, and cells nearly square."""
    if rows * columns <= 1 or rows > height or columns > width:
        return False
    return abs(rows - columns * height / width) <= 1 and abs(columns - rows * width / height) <= 1


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
