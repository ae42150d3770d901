"""ADL on any network: forward hooks at named taps, so state-dict keys never change."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wsol.errors import ConfigError
from wsol.methods.adl.layer import attention_dropout
from wsol.models.layout import Layout, find_layouts
from wsol.models.taps import find_tap

log = logging.getLogger("wsol")


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
    model: nn.Module, taps: Sequence[str], drop_rate: float = 0.75, threshold: float = 0.9
) -> Attachment:
    """Attach the Attention-based Dropout Layer to the outputs of named modules.

    Args:
        model: any network.
        taps: names of submodules, as in ``model.named_modules()``; their outputs are rectified
            features ``(N, C, h, w)``. In networks of timm they may be ``(N, h, w, C)`` or tokens
            ``(N, L, C)`` too, of which class and register tokens are left as they are.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: gamma, share of the strongest attention above which a pixel is dropped.

    Returns:
        The attachment; ``remove()`` detaches it. The layer acts while ``model`` is in
        training mode, and state-dict keys stay as they were.

    Raises:
        ConfigError: no tap given, no such module, or one whose output is no feature maps.

    Source: Choe & Shim, CVPR 2019, section 3.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> keys = list(model.state_dict())
    >>> attachment = attach_adl(model, taps=["1"])
    >>> keys == list(model.state_dict())
    True
    """
    if isinstance(taps, str) or not taps:
        raise ConfigError(f"ADL needs a list of at least one tap, but is given {taps!r}")
    layouts = find_layouts(model, taps)
    for tap, layout in zip(taps, layouts, strict=True):
        if layout.rectified is False:
            log.warning(
                "ADL at %s: the features there are not rectified, so their mean over channels is "
                "a weak attention map; a tap after an activation is better",
                tap,
            )
    change = partial(attention_dropout, drop_rate=drop_rate, threshold=threshold)
    return Attachment(
        [
            find_tap(model, tap).register_forward_hook(partial(_apply, model, layout, change))
            for tap, layout in zip(taps, layouts, strict=True)
        ]
    )


def _apply(
    model: nn.Module,
    layout: Layout,
    change: Callable[[Tensor], Tensor],
    module: nn.Module,
    inputs: object,
    output: Tensor,
) -> Tensor:
    # The model's mode, not the tapped module's: batch normalisation may be held in evaluation
    # mode while the model trains.
    if not model.training:
        return output
    if output.ndim != layout.ndim:
        raise ConfigError(
            f"ADL needs feature maps (N, C, h, w), but {type(module).__name__} gives "
            f"{tuple(output.shape)}: choose another tap"
        )
    return layout.change(output, change)
