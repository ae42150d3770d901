"""Detection of feature map layouts, and conversion to ``(N, C, h, w)``."""

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.random import fork_rng

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.models.utils import (
    device_of,
    evaluating,
    find_output,
    forward,
    input_spec,
    recorded_outputs,
)

MOST_PREFIX_TOKENS = 8
"""Maximum number of class, distillation and register tokens before a transformer's patches."""


def prefix_tokens(tokens: int, images: Tensor, model: nn.Module) -> int | None:
    """Return the number of class and register tokens before the grid of patches.

    Small grids can be ambiguous: 9 tokens are 3 x 3, or 2 x 2 after 5. Then the model decides, by
    its ``num_prefix_tokens`` or by the size of its patches. The result is None if the tokens are
    not a grid, or are ambiguous.
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
    patches = _patch_grid(images, model)
    for prefix, grid in grids.items():
        if grid == patches:
            return prefix
    found = [prefix for prefix, grid in grids.items() if is_exact(*grid, height, width)]
    if not found and height != width:
        # If the patch size does not divide a side, the aspect ratio is only approximate.
        found = list(grids)
    # Networks that merge patches in later layers, such as Swin, have no prefix.
    return found[0] if len(found) == 1 or (found and patches) else None


def _patch_grid(images: Tensor, model: nn.Module) -> tuple[int, int] | None:
    """Return the size of the output of the model's first convolution; None if it has none."""
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
    """Return the divisor of accepted image sizes: 32, or a patch size that does not divide 32.

    >>> side_step(nn.Conv2d(3, 8, 14, 14)), side_step(nn.Conv2d(3, 8, 16, 16))
    (14, 32)
    """
    first = next((each for each in model.modules() if isinstance(each, nn.Conv2d)), None)
    return 32 if first is None or 32 % first.stride[0] == 0 else first.stride[0]


def grid_size(patches: int, height: int, width: int) -> tuple[int, int]:
    """Return rows and columns of a grid of patches with the aspect ratio of the image.

    >>> grid_size(196, 224, 224), grid_size(98, 112, 224)
    ((14, 14), (7, 14))
    """
    rows = max(round((max(patches, 0) * height / width) ** 0.5), 1)
    return rows, max(patches, 0) // rows


def is_exact(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has the aspect ratio of the image."""
    return is_grid(rows, columns, height, width) and rows * width == columns * height


def is_grid(rows: int, columns: int, height: int, width: int) -> bool:
    """Whether a grid has more than one cell, at most one per pixel, and nearly square cells."""
    if rows * columns <= 1 or rows > height or columns > width:
        return False
    return abs(rows - columns * height / width) <= 1 and abs(columns - rows * width / height) <= 1


class Layout(NamedTuple):
    """Layout of feature maps in the output of a module.

    Attributes:
        ndim: 4 for maps ``(N, C, h, w)`` or ``(N, h, w, C)``, 3 for tokens ``(N, L, C)``.
        channels_last: whether maps are ``(N, h, w, C)``.
        prefix: number of class and register tokens before the tokens of the grid.
        rectified: whether the features come from ReLU or similar; None if unknown.
    """

    ndim: int = 4
    channels_last: bool = False
    prefix: int = 0
    rectified: bool | None = None

    def told_by(self, shape: tuple[int, ...]) -> "Layout | None":
        """Return the layout of square maps of a shape: the two equal sides are the map's.

        The result is this layout if all sides are equal, and None if no two adjacent ones are.

        >>> Layout().told_by((2, 7, 7, 768)).channels_last
        True
        """
        _, a, b, c = shape
        if a == b == c:
            return self
        return Layout(channels_last=a == b) if a == b or b == c else None

    def pixels(self, features: Tensor) -> int:
        """Return the number of pixels of feature maps in this layout."""
        if self.ndim == 3:
            return features.shape[1] - self.prefix
        sides = features.shape[1:3] if self.channels_last else features.shape[2:]
        return sides.numel()

    def change(self, features: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function of maps ``(N, C, h, w)`` to features in this layout.

        Tokens are passed as maps of one column, ``(N, C, L, 1)``.
        """
        if self.ndim == 3:
            first, grid = features[:, : self.prefix], features[:, self.prefix :]
            changed = function(grid.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2)
            return torch.cat((first, changed), dim=1)
        if self.channels_last:
            return function(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return function(features)


def to_maps(output: Tensor, layout: Layout, images: Tensor) -> Tensor:
    """Return the output of a module as feature maps ``(N, C, h, w)``.

    >>> images, tokens = torch.zeros(2, 3, 64, 128), torch.zeros(2, 33, 16)
    >>> to_maps(tokens, Layout(ndim=3, prefix=1), images).shape
    torch.Size([2, 16, 4, 8])
    """
    if layout.ndim == 3:
        patches = output[:, layout.prefix :]
        rows, columns = grid_size(patches.shape[1], *images.shape[-2:])
        return patches.transpose(1, 2).reshape(patches.shape[0], -1, rows, columns)
    return output.permute(0, 3, 1, 2) if layout.channels_last else output


def to_feature_maps(features: Tensor, body: nn.Module, images: Tensor) -> Tensor:
    """Return the last features of a body, maps or tokens, as ``(N, C, h, w)``.

    The layout is found by the body's ``num_features`` and ``num_prefix_tokens``, as in timm.

    Raises:
        ConfigError: the tokens are not a grid of patches.
    """
    if features.ndim != 3:
        channels = getattr(body, "num_features", features.shape[1])
        last = features.shape[1] != channels and features.shape[-1] == channels
        return to_maps(features, Layout(channels_last=last), images)
    tokens, height, width = features.shape[1], *images.shape[-2:]
    prefix = getattr(body, "num_prefix_tokens", None)
    if prefix is None or math.prod(grid_size(tokens - prefix, height, width)) != tokens - prefix:
        prefix = prefix_tokens(tokens, images, body)
    if prefix is None:
        raise ConfigError(
            f"{tokens} tokens of {type(body).__name__} are not a grid of patches; set "
            "num_prefix_tokens of the body to the number of tokens before the patches"
        )
    return to_maps(features, Layout(ndim=3, prefix=prefix), images)


RECTIFIED = -0.5
"""Lower bound of rectified features: ReLU has minimum 0; SiLU, GELU and similar have minima between
-0.17 and -0.38."""


def find_layouts(model: nn.Module, layers: Sequence[str]) -> list[Layout]:
    """Return the layouts of the outputs of named modules.

    One square image of the network's declared size (default: 224 pixels) is sent through the
    network. If the network rejects it, the layout is the one it declares as a timm network, or maps
    ``(N, C, h, w)``. Token layouts are only detected in timm networks.

    Raises:
        ConfigError: the module does not exist, does not run exactly once per forward pass, or its
            output is not feature maps or has one pixel.

    >>> import timm
    >>> find_layouts(timm.create_model("test_vit"), ["blocks.3"])[0][:3]
    (3, False, 1)
    """
    modules = [find_output(model, layer) for layer in layers]
    declared = Layout(channels_last=declares_channels_last(model))
    outputs = _outputs(model, modules)
    if outputs is None:
        return [declared] * len(layers)
    is_timm = bool(getattr(model, "pretrained_cfg", None))
    prefixes = {getattr(model, "num_prefix_tokens", None) or 0, 0} if is_timm else set()
    return [
        _layout(layer, outputs[module], prefixes, declared)
        for layer, module in zip(layers, modules, strict=True)
    ]


def declares_channels_last(model: nn.Module) -> bool:
    """Return whether a timm network declares channels-last maps."""
    return getattr(model, "output_fmt", None) == "NHWC"


def _layout(layer: str, outputs: list[Any], prefixes: Collection[int], declared: Layout) -> Layout:
    """Infer the layout from the output for a square image: the two equal sides are the map's."""
    if len(outputs) > 1:
        raise ConfigError(
            f"layer {layer!r} runs {len(outputs)} times in one pass; use a module that runs once, "
            "such as the enclosing block"
        )
    output = outputs[0] if outputs else None
    shape = tuple(output.shape) if isinstance(output, Tensor) else None
    layout = None
    if shape is not None and len(shape) == 4:
        layout = declared.told_by(shape)
    elif shape is not None and len(shape) == 3:
        # Some networks add the class token after their last blocks.
        fitting = [p for p in sorted(prefixes, reverse=True) if _is_square(shape[1] - p)]
        if fitting:
            layout = Layout(ndim=3, prefix=fitting[0])
    if layout is None or output is None:
        given = "nothing" if output is None else shape or type(output).__name__
        raise ConfigError(
            f"layer {layer!r}: the output is {given}, not feature maps; use another layer"
        )
    if layout.pixels(output) == 1:
        raise ConfigError(f"layer {layer!r} has feature maps of one pixel; use another layer")
    return layout._replace(rectified=output.min().item() > RECTIFIED)


def _is_square(number: int) -> bool:
    return number > 0 and math.isqrt(number) ** 2 == number


def _outputs(model: nn.Module, modules: Sequence[nn.Module]) -> dict[nn.Module, list[Any]] | None:
    """Return all outputs of modules for one image, None if the forward pass fails."""
    channels, height, width = input_spec(model).size
    if height != width:
        return None
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, height, width, generator=chance).to(device_of(model))
    devices = [noise.device] if noise.is_cuda else []
    try:
        with (
            recorded_outputs(modules) as outputs,
            evaluating(model),
            torch.no_grad(),
            fork_rng(devices),
        ):
            forward(model, noise)
            return outputs
    # A network that rejects the image may raise any error.
    except Exception as error:
        raise_if_out_of_memory(error)
        return None


def tensor_of(output: Any) -> Tensor | None:
    """Return the tensor in a module's output, or the first of several; None without tensors."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def find_layout(output: Tensor, images: Tensor, model: nn.Module) -> Layout | None:
    """Return the layout of a module's output, inferred from the images' aspect ratio.

    Attributes of timm networks decide ambiguous shapes. The result is None if the tensor is not
    feature maps of more than one pixel.

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
        last = declares_channels_last(model)
        grids = {False: (b, c), True: (a, b)}
        # Prefer the grid with the image's aspect ratio, then the declared one.
        for fits in (is_exact, is_grid):
            for channels_last in (last, not last):
                if fits(*grids[channels_last], height, width):
                    return Layout(channels_last=channels_last)
    if output.ndim == 3:
        prefix = prefix_tokens(output.shape[1], images, model)
        return None if prefix is None else Layout(ndim=3, prefix=prefix)
    return None
