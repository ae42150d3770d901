"""ADL on any network: forward hooks at named taps, so state-dict keys never change."""

from collections.abc import Sequence
from functools import partial
from types import TracebackType

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from wsol.errors import ConfigError
from wsol.methods.adl.layer import attention_dropout
from wsol.models.taps import find_tap


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
            features ``(N, C, h, w)``.
        drop_rate: probability of the drop mask; otherwise the importance map is applied.
        threshold: gamma, share of the strongest attention above which a pixel is dropped.

    Returns:
        The attachment; ``remove()`` detaches it. The layer acts while ``model`` is in
        training mode, and state-dict keys stay as they were.

    Raises:
        ConfigError: no tap given, or no such module.

    Source: Choe & Shim, CVPR 2019, section 3.

    >>> model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    >>> keys = list(model.state_dict())
    >>> attachment = attach_adl(model, taps=["1"])
    >>> keys == list(model.state_dict())
    True
    """
    if not taps:
        raise ConfigError("ADL needs at least one tap")
    hook = partial(_apply, model, drop_rate=drop_rate, threshold=threshold)
    modules = [find_tap(model, tap) for tap in taps]
    return Attachment([module.register_forward_hook(hook) for module in modules])


def _apply(
    model: nn.Module,
    module: nn.Module,
    inputs: object,
    output: Tensor,
    *,
    drop_rate: float,
    threshold: float,
) -> Tensor:
    # The model's mode, not the tapped module's: batch normalisation may be held in evaluation
    # mode while the model trains.
    if not model.training:
        return output
    if output.ndim != 4:
        raise ConfigError(
            f"ADL needs feature maps (N, C, h, w), but {type(module).__name__} gives "
            f"{tuple(output.shape)}: choose another tap"
        )
    return attention_dropout(output, drop_rate, threshold)
