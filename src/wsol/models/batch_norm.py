"""Fusion of batch normalisation into the preceding convolutions, for inference."""

from contextlib import ExitStack
from typing import Any

import torch
from timm.layers.norm_act import BatchNormAct2d, SyncBatchNormAct
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

_PLAIN = (nn.BatchNorm2d, BatchNormAct2d, nn.SyncBatchNorm, SyncBatchNormAct)

TOLERANCE = 1e-3
"""Maximum difference of the outputs before and after, relative to the largest."""


def fuse_batch_norms(model: nn.Module, images: Tensor) -> int:
    """Fuse batch normalisations into the preceding convolutions, and return how many were fused.

    The model computes the same outputs in fewer steps. Modules keep their names and, except for the
    convolutions, their outputs. If the outputs for the images change, all fusions are reverted.

    Args:
        model: network in evaluation mode that will not be trained again; changed in place.
        images: normalised images, ``(N, 3, H, W)``.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    >>> fuse_batch_norms(model, torch.rand(1, 3, 8, 8))
    1
    >>> model
    Sequential(
      (0): Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    with torch.no_grad():
        expected = _tensor(model(images))
        pairs = _pairs(model, images)
        before = [(conv.weight, conv.bias, model.get_submodule(name)) for conv, name in pairs]
        for conv, name in pairs:
            _fuse(model, conv, name)
        if (_tensor(model(images)) - expected).abs().max() <= TOLERANCE * expected.abs().max():
            return len(pairs)
        for (conv, name), (weight, bias, norm) in zip(pairs, before, strict=True):
            conv.weight, conv.bias = weight, bias
            model.set_submodule(name, norm)
    return 0


def _pairs(model: nn.Module, images: Tensor) -> list[tuple[nn.Conv2d, str]]:
    """Return each convolution that is followed by a batch normalisation, and the latter's name."""
    given: dict[int, tuple[Tensor, nn.Conv2d]] = {}
    pairs: list[tuple[nn.Conv2d, str]] = []
    calls: dict[nn.Module, int] = {}

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[module] = calls.get(module, 0) + 1
        if isinstance(module, nn.Conv2d):
            # The tensor is stored too, so that its id is not reused.
            given[id(output)] = output, module
        elif id(inputs[0]) in given:
            pairs.append((given[id(inputs[0])][1], names[module]))

    names = {
        module: name
        for name, module in model.named_modules()
        if type(module) in _PLAIN and module.running_var is not None
    }
    with ExitStack() as hooks:
        for module in model.modules():
            if isinstance(module, nn.Conv2d) or module in names:
                hooks.callback(module.register_forward_hook(keep).remove)
        model(images)
    parts = dict(model.named_modules())
    return [pair for pair in pairs if calls[pair[0]] == calls[parts[pair[1]]] == 1]


def _fuse(model: nn.Module, conv: nn.Conv2d, name: str) -> None:
    norm: Any = model.get_submodule(name)
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    after = nn.Sequential(norm.drop, norm.act) if hasattr(norm, "act") else nn.Identity()
    model.set_submodule(name, after)


def _tensor(output: Any) -> Tensor:
    # A network without classes has empty logits, so compare its features.
    found: Tensor = (
        output if isinstance(output, Tensor) else next(part for part in output if part.numel())
    )
    return found.float()
