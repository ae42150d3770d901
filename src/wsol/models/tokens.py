"""The grid of patches that a transformer's tokens belong to."""

from torch import Tensor, nn

MOST_PREFIX_TOKENS = 8
"""Class, distillation and register tokens that a transformer has before its patches, at most."""


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
        if grid[0] * grid[1] == tokens - prefix and is_grid(*grid, height, width):
            grids[prefix] = grid
    declared: int | None = getattr(model, "num_prefix_tokens", None)
    if declared in grids:
        return declared
    patches = patch_grid(images, model)
    for prefix, grid in grids.items():
        if grid == patches:
            return prefix
    found = [prefix for prefix, grid in grids.items() if is_exact(*grid, height, width)]
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


def side_step(model: nn.Module) -> int:
    """Return a number of whose multiples a model takes images: 32, or its patches' side.

    Patches of 14 pixels need it, those of 8, 16 and 32 pixels fit 32.

    >>> side_step(nn.Conv2d(3, 8, 14, 14)), side_step(nn.Conv2d(3, 8, 16, 16))
    (14, 32)
    """
    first = next((each for each in model.modules() if isinstance(each, nn.Conv2d)), None)
    return 32 if first is None or 32 % first.stride[0] == 0 else first.stride[0]


def grid_size(patches: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a grid of patches that has the aspect ratio of the image.

    >>> grid_size(196, 224, 224), grid_size(98, 112, 224)
    ((14, 14), (7, 14))
    """
    rows = max(round((max(patches, 0) * height / width) ** 0.5), 1)
    return rows, max(patches, 0) // rows


def is_exact(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has the aspect ratio of the image."""
    return is_grid(rows, columns, height, width) and rows * width == columns * height


def is_grid(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has more than one cell, no more than pixels, and cells nearly square."""
    if rows * columns <= 1 or rows > height or columns > width:
        return False
    return abs(rows - columns * height / width) <= 1 and abs(columns - rows * width / height) <= 1
