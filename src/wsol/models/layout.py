"""Detection of feature map layouts, and conversion to ``(N, C, h, w)``."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.random import fork_rng

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.models.utils import device_of, evaluating, find_output, forward, input_spec

MOST_PREFIX_TOKENS = 8
"""Maximum number of class, distillation and register tokens before a transformer's patches."""


def prefix_tokens(tokens: int, images: Tensor, model: nn.Module) -> int | None:
    """Return the number of class and register tokens before the grid of patches.

    Small grids can be ambiguous: 9 tokens are 3 x 3, or 2 x 2 after 5. Then the model decides, by
    its ``num_prefix_tokens`` or by the size of its patches.

    Args:
        tokens: number of all tokens.
        images: network input, ``(N, 3, H, W)``.
        model: network.

    Returns:
        The number, or None if the tokens are not a grid, or are ambiguous.

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
        # If the patch size does not divide a side, the aspect ratio is only approximate.
        found = list(grids)
    # Networks that merge patches in later layers, such as Swin, have no prefix.
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
    """Return the divisor of accepted image sizes: 32, or the patch size.

    Patches of 14 pixels need it; patches of 8, 16 and 32 pixels divide 32.

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


def to_feature_maps(features: Tensor, body: nn.Module, images: Tensor) -> Tensor:
    """Return features as ``(N, C, h, w)``.

    Channels-last maps are transposed, and tokens are arranged on their grid without the class and
    register tokens, by the attributes of timm networks.

    Args:
        features: ``(N, C, h, w)``, ``(N, h, w, C)`` or tokens ``(N, L, C)``.
        body: module that computed them, with ``num_features`` and ``num_prefix_tokens``.
        images: network input, ``(N, 3, H, W)``; the grid has its aspect ratio.

    Raises:
        ConfigError: the tokens are not a grid of patches.

    >>> import torch
    >>> body = nn.Module()
    >>> body.num_features, body.num_prefix_tokens = 192, 1
    >>> to_feature_maps(torch.rand(2, 1 + 4 * 8, 192), body, torch.rand(2, 3, 64, 128)).shape
    torch.Size([2, 192, 4, 8])
    """
    if features.ndim == 3:
        count, height, width = features.shape[1], *images.shape[-2:]
        prefix = getattr(body, "num_prefix_tokens", None)
        if prefix is None or math.prod(grid_size(count - prefix, height, width)) != count - prefix:
            prefix = prefix_tokens(count, images, body)
        if prefix is None:
            raise ConfigError(
                f"{count} tokens of {type(body).__name__} are not a grid of patches; set "
                "num_prefix_tokens of the body to the number of tokens before the patches"
            )
        grid = grid_size(count - prefix, height, width)
        return features[:, prefix:].transpose(1, 2).reshape(features.shape[0], -1, *grid)
    channels = getattr(body, "num_features", features.shape[1])
    if features.shape[1] != channels and features.shape[-1] == channels:
        return features.permute(0, 3, 1, 2)
    return features


def feature_maps(layer: str, outputs: Mapping[str, Any], body: nn.Module, images: Tensor) -> Tensor:
    """Return the output of a module inside a body as maps ``(N, C, h, w)``.

    Args:
        layer: module name.
        outputs: module outputs by name.
        body: network that contains the module; timm networks declare channels-last layouts.
        images: network input, ``(N, 3, H, W)``.

    Raises:
        ConfigError: the output is missing or is not feature maps.

    >>> outputs = {"a": torch.rand(2, 8, 4, 4)}
    >>> feature_maps("a", outputs, nn.Module(), torch.rand(2, 3, 16, 16)).shape
    torch.Size([2, 8, 4, 4])
    """
    output = outputs.get(layer)
    if not isinstance(output, Tensor) or output.ndim not in (3, 4):
        raise ConfigError(f"layer {layer!r}: the output is not feature maps; use another layer")
    if output.ndim == 4 and getattr(body, "output_fmt", None) == "NHWC":
        return output.permute(0, 3, 1, 2)
    return output if output.ndim == 4 else to_feature_maps(output, body, images)


def probe_images(body: nn.Module) -> Tensor:
    """Return one black image at a network's input size, float32 ``(1, 3, H, W)``.

    >>> probe_images(nn.Conv2d(3, 4, 1)).shape
    torch.Size([1, 3, 224, 224])
    """
    return torch.zeros(1, *input_spec(body).size, device=device_of(body))


class Layout(NamedTuple):
    """Layout of feature maps in the output of a module.

    Attributes:
        ndim: 4 for maps ``(N, C, h, w)`` or ``(N, h, w, C)``, 3 for tokens ``(N, L, C)``.
        channels_last: whether maps are ``(N, h, w, C)``.
        prefix: number of class and register tokens before the tokens of the grid.
        rectified: whether the features come from ReLU or similar; None if unknown.

    >>> tokens, tail = torch.zeros(1, 5, 8), Layout(ndim=3, prefix=1)
    >>> tail.change(tokens, lambda maps: maps + 1)[0, :, 0]
    tensor([0., 1., 1., 1., 1.])
    """

    ndim: int = 4
    channels_last: bool = False
    prefix: int = 0
    rectified: bool | None = None

    def told_by(self, shape: tuple[int, ...]) -> "Layout | None":
        """Return the layout of square maps: the two equal sides are the map's.

        Args:
            shape: four dimensions; if all are equal, the layout is this one.

        Returns:
            None if no two adjacent map sides are equal.

        >>> Layout().told_by((2, 7, 7, 768)).channels_last
        True
        """
        _, a, b, c = shape
        if a == b == c:
            return self
        return Layout(channels_last=a == b) if a == b or b == c else None

    def pixels(self, features: Tensor) -> int:
        """Return the number of pixels of feature maps in this layout.

        >>> Layout(channels_last=True).pixels(torch.zeros(1, 2, 3, 768))
        6
        """
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


RECTIFIED = -0.5
"""Lower bound of rectified features: ReLU has minimum 0; SiLU, GELU and similar have minima between
-0.17 and -0.38."""


def find_layouts(model: nn.Module, layers: Sequence[str]) -> list[Layout]:
    """Return the layouts of the outputs of named modules.

    One square image of the network's declared size (default: 224 pixels) is sent through the
    network. If the network rejects it, the layout is the one it declares as a timm network, or maps
    ``(N, C, h, w)``. Token layouts are only detected in timm networks.

    Args:
        model: any network.
        layers: names of its submodules, as in ``model.named_modules()``.

    Raises:
        ConfigError: the module does not exist, does not run exactly once per forward pass, or its
            output is not feature maps or has one pixel.

    >>> import timm
    >>> find_layouts(timm.create_model("test_vit"), ["blocks.3"])[0][:3]
    (3, False, 1)
    """
    modules = [find_output(model, layer) for layer in layers]
    declared = Layout(channels_last=getattr(model, "output_fmt", None) == "NHWC")
    outputs = _outputs(model, modules)
    if outputs is None:
        return [declared] * len(layers)
    prefixes = {getattr(model, "num_prefix_tokens", None) or 0, 0} if _is_timm(model) else set()
    return [
        _layout(layer, outputs[module], prefixes, declared)
        for layer, module in zip(layers, modules, strict=True)
    ]


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


def _is_timm(model: nn.Module) -> bool:
    return bool(getattr(model, "pretrained_cfg", None))


def _outputs(model: Any, modules: Sequence[nn.Module]) -> dict[nn.Module, list[Any]] | None:
    """Return all outputs of modules for one image, None if the forward pass fails."""
    channels, height, width = input_spec(model).size
    if height != width:
        return None
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(1, channels, height, width, generator=chance).to(device_of(model))
    outputs: dict[nn.Module, list[Any]] = {module: [] for module in modules}

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        outputs[module].append(output)

    handles = [module.register_forward_hook(keep) for module in outputs]
    try:
        devices = [noise.device] if noise.is_cuda else []
        with evaluating(model), torch.no_grad(), fork_rng(devices):
            forward(model, noise)
            return outputs
    # A network that rejects the image may raise any error.
    except Exception as error:
        raise_if_out_of_memory(error)
        return None
    finally:
        for handle in handles:
            handle.remove()


def tensor_of(output: Any) -> Tensor | None:
    """Return the tensor in a module's output, or the first of several; None without tensors.

    >>> import torch
    >>> tensor_of((torch.zeros(2), None)).shape
    torch.Size([2])
    """
    if isinstance(output, tuple | list) and output:
        output = output[0]
    return output if isinstance(output, Tensor) else None


def find_layout(output: Tensor, images: Tensor, model: nn.Module) -> Layout | None:
    """Return the layout of feature maps in a tensor, inferred from the images' aspect ratio.

    Args:
        output: output of a module in the model.
        images: network input, ``(N, 3, H, W)``.
        model: network; timm networks resolve ambiguous shapes by their attributes.

    Returns:
        The layout, or None if the tensor is not feature maps of more than one pixel.

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
        # Prefer the grid with the image's aspect ratio, then the declared one.
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
            output: argument of ``find_layout``.
            layout: result of ``find_layout``.
            images: network input, ``(N, 3, H, W)``.

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
