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
        for fits in (_is_exact, _is_grid):
            for channels_last in (last, not last):
                if fits(*grids[channels_last], height, width):
                    return Layout(channels_last=channels_last)
    if output.ndim == 3:
        prefix = prefix_tokens(output.shape[1], images, model)
        return None if prefix is None else Layout(ndim=3, prefix=prefix)
    return None


def prefix_tokens(tokens: int, images: Tensor, model: nn.Module) -> int | None:
    """Return how many class and register tokens precede the grid of patches.

    Several numbers may leave a grid where it is small: 9 tokens are 3 x 3, or 2 x 2 behind 5. Then
    the model decides, by what it says (``num_prefix_tokens``) or by the size of its patches.

    Args:
        tokens: number of all tokens.
        images: the model's input, ``(N, 3, H, W)``.
        model: the network.

    Returns:
        The number, or None if the tokens are not a grid, or may be several.

    >>> import torch
    >>> prefix_tokens(201, torch.zeros(1, 3, 224, 224), nn.Identity())
    5
    """
    height, width = images.shape[-2:]
    grids = {}
    for prefix in range(MOST_PREFIX_TOKENS + 1):
        grid = grid_size(tokens - prefix, height, width)
        if grid[0] * grid[1] == tokens - prefix and _is_grid(*grid, height, width):
            grids[prefix] = grid
    declared: int | None = getattr(model, "num_prefix_tokens", None)
    if declared in grids:
        return declared
    patches = patch_grid(images, model)
    for prefix, grid in grids.items():
        if grid == patches:
            return prefix
    found = [prefix for prefix, grid in grids.items() if _is_exact(*grid, height, width)]
    if not found and height != width:
        # A side that is no multiple of the patch size leaves nearly the image's aspect ratio.
        found = list(grids)
    # A network whose later layers merge patches, such as Swin, has no prefix.
    return found[0] if len(found) == 1 or (found and patches) else None


def patch_grid(images: Tensor, model: nn.Module) -> tuple[int, int] | None:
    """Return the size of the output of the model's first convolution; None if it has none.

    >>> import torch
    >>> patch_grid(torch.zeros(1, 3, 64, 96), nn.Conv2d(3, 8, 16, 16))
    (4, 6)
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == images.shape[1]:
            pads = module.padding if isinstance(module.padding, tuple) else (0, 0)
            rows, columns = (
                (side + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
                for side, pad, dilation, kernel, stride in zip(
                    images.shape[-2:],
                    pads,
                    module.dilation,
                    module.kernel_size,
                    module.stride,
                    strict=True,
                )
            )
            return rows, columns
    return None


def grid_size(patches: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a grid of patches that has the aspect ratio of the image.

    >>> grid_size(196, 224, 224), grid_size(98, 112, 224)
    ((14, 14), (7, 14))
    """
    rows = max(round((max(patches, 0) * height / width) ** 0.5), 1)
    return rows, max(patches, 0) // rows


def _is_exact(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has the aspect ratio of the image."""
    return _is_grid(rows, columns, height, width) and rows * width == columns * height


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
