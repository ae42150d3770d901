"""ADL as a training method, and its attachment to any network."""

import logging
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wsol.errors import ConfigError
from wsol.methods.adl import Config
from wsol.methods.adl.layer import attention_dropout
from wsol.methods.base import Method
from wsol.models import Network
from wsol.models.layout import Layout, find_layouts
from wsol.models.utils import find_output, is_compiled


class Attachment:
    """Hooks that can be taken off again, by ``remove()`` or at the end of a ``with`` block."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        """Keep the hooks."""
        self._handles = handles

    def remove(self) -> None:
        """Take the hooks off; a second call does nothing."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "Attachment":
        """Return the attachment."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the hooks off."""
        self.remove()


def attach_adl(
    model: nn.Module, layers: Sequence[str], drop_rate: float = 0.75, threshold: float = 0.9
) -> Attachment:
    """Attach the Attention-based Dropout Layer to the outputs of named modules.

    Args:
        model: any network of which nothing is compiled yet. One image is sent through it to see
            which layout the features have, and that each layer runs once in a pass.
        layers: names of submodules, as in ``model.named_modules()``; their outputs are rectified
            features ``(N, C, h, w)`` or ``(N, h, w, C)``. In networks of timm they may be tokens
            ``(N, L, C)`` too, of which class and register tokens are left as they are.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: gamma, share of the strongest attention above which a pixel is dropped.

    Returns:
        The attachment; ``remove()`` detaches it. The layer acts once in a pass while ``model`` is
        in training mode, and state-dict keys stay as they were. Draws come from torch's global
        generator on the CPU, whether the network is compiled afterwards or not.

    Raises:
        ConfigError: no layer given, no such module, one that is named twice, has the layer already
            or runs several times in a pass, or one whose output is no feature maps or has one
            pixel; an option outside [0, 1]; a compiled network.

    Source: Choe & Shim, CVPR 2019, section 3.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> keys = list(model.state_dict())
    >>> attachment = attach_adl(model, layers=["1"])
    >>> keys == list(model.state_dict())
    True
    """
    if isinstance(layers, str) or not layers:
        raise ConfigError(f"ADL needs a list of at least one layer, but is given {layers!r}")
    Config(layers=tuple(layers), drop_rate=drop_rate, threshold=threshold)
    # What is compiled already may not see hooks that come later.
    if is_compiled(model):
        raise ConfigError(
            "the network, or a part of it, is compiled: attach ADL before torch.compile"
        )
    layouts = find_layouts(model, layers)
    modules: dict[nn.Module, str] = {}
    for layer in layers:
        module = find_output(model, layer)
        if module in modules:
            raise ConfigError(f"layers {modules[module]!r} and {layer!r} are one: name it once")
        if any(isinstance(hook, _Hook) for hook in module._forward_hooks.values()):
            raise ConfigError(
                f"layer {layer!r} has ADL already: call remove() of the earlier attachment first"
            )
        modules[module] = layer
    for layer, layout in zip(layers, layouts, strict=True):
        if layout.rectified is False:
            log.warning(
                "ADL at %s: the features there are not rectified, so their mean over channels is "
                "a weak attention map; a layer after an activation is better",
                layer,
            )
    return Attachment(
        [
            module.register_forward_hook(_Hook(model, layer, layout, drop_rate, threshold))
            for (module, layer), layout in zip(modules.items(), layouts, strict=True)
        ]
    )


class _Hook:
    """Applies the layer to the output of one module while the network trains.

    Args:
        model: the network.
        layer: name of the module.
        layout: of its output.
        drop_rate: probability of the drop mask.
        threshold: gamma.
    """

    def __init__(
        self, model: nn.Module, layer: str, layout: Layout, drop_rate: float, threshold: float
    ) -> None:
        self.model, self.layer, self.layout = model, layer, layout
        self.change = partial(attention_dropout, drop_rate=drop_rate, threshold=threshold)

    def __call__(self, module: nn.Module, inputs: object, output: Any) -> Any:
        # The model's mode, not the tapped module's: batch normalisation may be held in evaluation
        # mode while the model trains.
        if not self.model.training:
            return output
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        if not isinstance(output, Tensor) or output.ndim != self.layout.ndim:
            raise ConfigError(
                f"ADL needs feature maps (N, C, h, w), but layer {self.layer!r} gives {shape}: "
                "choose another layer"
            )
        layout = self.layout
        if layout.rectified is None and output.ndim == 4:
            # The network did not take the image that would have told.
            layout = layout.told_by(output.shape) or layout
        if layout.pixels(output) == 1:
            raise ConfigError(
                f"ADL would leave nothing of {shape} at layer {self.layer!r}, maps of one pixel: "
                "use larger images or another layer"
            )
        return layout.change(output, self.change)


POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def default_layers(body: nn.Module) -> tuple[str, ...]:
    """Return the layer for a network of timm: its last feature maps, before global pooling.

    Nothing is normalised after it, so the pretrained statistics of batch normalisation stay right
    for both branches of the layer, which scale the features differently. EfficientNet and its kin
    have a convolution after their last stage: there it is that one's activation. A pooling layer
    is no stage of its own.

    Raises:
        ConfigError: the network does not say what its stages are.

    >>> import timm
    >>> default_layers(timm.create_model("resnet18"))
    ('layer4',)
    >>> default_layers(timm.create_model("tf_efficientnet_lite0"))
    ('bn2',)
    """
    info = getattr(body, "feature_info", None)
    if not info:
        raise ConfigError(
            f"{type(body).__name__} does not name its stages: give the layers, --method.layers "
            f"[...]"
        )
    modules = dict(body.named_modules())
    if "conv_head" in modules and "bn2" in modules:
        return ("bn2",)
    stages = [stage["module"] for stage in info]
    return ([name for name in stages if not isinstance(modules.get(name), POOLS)][-1],)


log = logging.getLogger("wsol")


class ADLMethod(Method):
    """Plain training of a network to which the Attention-based Dropout Layer is attached."""

    acts_through_body = True

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def attach(self, network: Network) -> None:
        """Attach the layer at the chosen layers, or at the default ones of the network."""
        layers = (
            self.config.layers or network.choices.get("adl", ()) or default_layers(network.body)
        )
        log.info("ADL at layers %s", ", ".join(layers))
        attach_adl(network.body, layers, self.config.drop_rate, self.config.threshold)
