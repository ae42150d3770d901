"""ADL training method, and attachment of the layer to any network."""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.adl import Config
from wsol.methods.adl.layer import attention_dropout
from wsol.methods.base import Method
from wsol.models import Network
from wsol.models.layout import Layout, find_layouts
from wsol.models.utils import find_output, is_compiled, stages_of


class Attachment(ExitStack):
    """Forward hooks, removed by ``remove()`` or at the end of a ``with`` block."""

    def remove(self) -> None:
        """Remove the hooks; a second call has no effect."""
        self.close()


def attach_adl(
    model: nn.Module, layers: Sequence[str], drop_rate: float = 0.75, threshold: float = 0.9
) -> Attachment:
    """Attach the Attention-based Dropout Layer to the outputs of named modules.

    Args:
        model: any uncompiled network. One image is sent through it to detect the layout of the
            features, and to check that each layer runs once per forward pass.
        layers: names of submodules, as in ``model.named_modules()``; their outputs are rectified
            features ``(N, C, h, w)`` or ``(N, h, w, C)``. In timm networks they may also be tokens
            ``(N, L, C)``, of which class and register tokens are unchanged.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: gamma, fraction of the maximum attention above which a pixel is dropped.

    Returns:
        The attachment; ``remove()`` detaches it. The layer runs once per forward pass while
        ``model`` is in training mode, and state-dict keys are unchanged. Draws use torch's global
        CPU generator, whether the network is compiled afterwards or not.

    Raises:
        ConfigError: no layers are given; a module does not exist, is listed twice, already has the
            layer, runs more than once per forward pass, or has an output that is not feature maps
            or has one pixel; an option is outside [0, 1]; the network is compiled.

    Source: Choe & Shim, CVPR 2019, section 3.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> keys = list(model.state_dict())
    >>> attachment = attach_adl(model, layers=["1"])
    >>> keys == list(model.state_dict())
    True
    """
    if isinstance(layers, str) or not layers:
        raise ConfigError(f"ADL: layers is {layers!r}; pass a list of at least one layer")
    Config(layers=tuple(layers), drop_rate=drop_rate, threshold=threshold)
    # Hooks added after compilation may be ignored.
    if is_compiled(model):
        raise ConfigError(
            "the network, or a part of it, is compiled; attach ADL before torch.compile"
        )
    layouts = find_layouts(model, layers)
    modules: dict[nn.Module, str] = {}
    for layer in layers:
        module = find_output(model, layer)
        if module in modules:
            raise ConfigError(f"layers {modules[module]!r} and {layer!r} are the same; list one")
        if any(isinstance(hook, _Hook) for hook in module._forward_hooks.values()):
            raise ConfigError(
                f"layer {layer!r} already has ADL; call remove() of the earlier attachment first"
            )
        modules[module] = layer
    for layer, layout in zip(layers, layouts, strict=True):
        if layout.rectified is False:
            log.warning(
                "ADL at %s: the features are not rectified, so their mean over channels is a weak "
                "attention map; use a layer after an activation",
                layer,
            )
    change = partial(attention_dropout, drop_rate=drop_rate, threshold=threshold)
    attachment = Attachment()
    for (module, layer), layout in zip(modules.items(), layouts, strict=True):
        hook = module.register_forward_hook(_Hook(model, layer, layout, change))
        attachment.callback(hook.remove)
    return attachment


@dataclass(frozen=True, eq=False)
class _Hook:
    """Hook that applies the layer to the output of one module in training mode."""

    model: nn.Module
    layer: str
    layout: Layout
    change: Callable[[Tensor], Tensor]

    def __call__(self, module: nn.Module, inputs: object, output: Any) -> Any:
        # The model's mode, not the module's: batch normalisation may stay in evaluation mode while
        # the model trains.
        if not self.model.training:
            return output
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or output.ndim != self.layout.ndim:
            raise ConfigError(
                f"layer {self.layer!r}: ADL needs feature maps (N, C, h, w), not {shape}; "
                "use another layer"
            )
        layout = self.layout
        if layout.rectified is None and output.ndim == 4:
            # The network rejected the image for detecting the layout.
            layout = layout.told_by(output.shape) or layout
        if layout.pixels(output) == 1:
            raise ConfigError(
                f"layer {self.layer!r}: ADL would drop all of {shape}, maps of one pixel; "
                "use larger images or another layer"
            )
        return layout.change(output, self.change)


POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def default_layers(body: nn.Module) -> tuple[str, ...]:
    """Return the default layer of a timm network: its last feature maps, before global pooling.

    No normalisation follows it, so the pretrained batch normalisation statistics remain valid for
    both maps of the layer, which scale the features differently. EfficientNet and related networks
    have a convolution after their last stage: there it is that convolution's activation. A pooling
    layer is not a stage.

    Raises:
        ConfigError: the network does not declare its stages.

    >>> import timm
    >>> default_layers(timm.create_model("resnet18"))
    ('layer4',)
    >>> default_layers(timm.create_model("tf_efficientnet_lite0"))
    ('bn2',)
    """
    stages = stages_of(body)
    if not stages:
        raise ConfigError(
            f"{type(body).__name__} does not declare its stages; set the layers, --method.layers "
            "[...]"
        )
    modules = dict(body.named_modules())
    if "conv_head" in modules and "bn2" in modules:
        return ("bn2",)
    return ([name for name in stages if not isinstance(modules.get(name), POOLS)][-1],)


log = logging.getLogger("wsol")


class ADLMethod(Method):
    """Plain training of a network with attached Attention-based Dropout Layers."""

    acts_through_body = True

    config: Config

    def attach(self, network: Network) -> None:
        """Attach the layer at the configured layers, or at the network's default ones."""
        layers = (
            self.config.layers or network.choices.get("adl", ()) or default_layers(network.body)
        )
        log.info("ADL at layers %s", ", ".join(layers))
        attach_adl(network.body, layers, self.config.drop_rate, self.config.threshold)
