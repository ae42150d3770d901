"""One pass through a classifier, and what was seen on the way: the ground of all localizers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.localizers.attention import Attentions
from wsol.localizers.grid import find_layout, tensor_of, to_maps
from wsol.models import Network
from wsol.models.modes import evaluating
from wsol.models.taps import find_tap


class Look:
    """What one pass of a batch has seen.

    Attributes:
        model: the classifier.
        images: normalised, ``(N, 3, H, W)``.
        output: what the classifier returned.
        logits: float32 ``(N, classes)``.
        features: float32 maps ``(N, C, h, w)`` of each tap.
        attentions: float32 ``(N, heads, L, L)``, a transformer's attention, first layer first.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        output: Any,
        tapped: Mapping[str, Tensor],
        attentions: Sequence[Tensor],
    ) -> None:
        """Keep what was seen."""
        self.model, self.images, self.output = model, images, output
        self._logits = find_logits(output)
        self._tapped, self._attentions = tapped, attentions

    @property
    def logits(self) -> Tensor:
        """The logits, float32 ``(N, classes)``."""
        return self._logits.detach().float()

    @property
    def features(self) -> dict[str, Tensor]:
        """The maps of each tap, float32 ``(N, C, h, w)``."""
        return {tap: self._maps(tap, output.detach()) for tap, output in self._tapped.items()}

    @property
    def attentions(self) -> list[Tensor]:
        """The attention of each layer, float32 ``(N, heads, L, L)``."""
        return [attention.detach().float() for attention in self._attentions]

    def gradients(self, labels: Tensor, taps: Sequence[str]) -> list[Tensor]:
        """Return the gradients of the labels' logits at taps, float32 ``(N, C, h, w)`` each.

        Args:
            labels: int64 ``(N,)``.
            taps: some of the pass's taps.
        """
        found = self._derive(labels, [self._tapped[tap] for tap in taps], " or ".join(taps))
        return [self._maps(tap, gradient) for tap, gradient in zip(taps, found, strict=True)]

    def attention_gradients(self, labels: Tensor) -> list[Tensor]:
        """Return the gradients of the labels' logits at each attention, float32.

        Args:
            labels: int64 ``(N,)``.
        """
        found = self._derive(labels, self._attentions, "attention")
        return [gradient.float() for gradient in found]

    def _derive(self, labels: Tensor, inputs: Sequence[Tensor], what: str) -> list[Tensor]:
        # Pictures do not see each other in evaluation mode, so one sum has all their gradients.
        if not self._logits.requires_grad:
            raise ConfigError(f"the logits do not depend on {what}: choose another tap")
        with torch.inference_mode(False), torch.enable_grad():
            chosen = self._logits.float().gather(1, labels[:, None]).sum()
        found = torch.autograd.grad(
            chosen, inputs, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return list(found)

    def _maps(self, tap: str, output: Tensor) -> Tensor:
        layout = find_layout(self._tapped[tap], self.images, tapped_part(self.model))
        if layout is None:
            shape = tuple(output.shape)
            raise ConfigError(f"tap {tap!r} gives no feature maps, but {shape}: choose another tap")
        return to_maps(output, layout, self.images).float()


def tapped_part(model: nn.Module) -> nn.Module:
    """Return what the names of taps start from: a network's body, or any other classifier itself.

    >>> model = nn.Identity()
    >>> tapped_part(model) is model
    True
    """
    return model.body if isinstance(model, Network) else model


def find_logits(output: Any) -> Tensor:
    """Return the logits of whatever a classifier returns.

    Args:
        output: a tensor, a tuple that begins with it, or something with ``logits``, as Hugging
            Face's classifiers return.

    Raises:
        ConfigError: no logits ``(N, classes)`` are in it.

    >>> find_logits({"logits": torch.zeros(2, 5)}).shape
    torch.Size([2, 5])
    """
    found = output.get("logits") if isinstance(output, Mapping) else None
    if found is None:
        found = tensor_of(getattr(output, "logits", output))
    if found is None or found.ndim != 2:
        given = type(output).__name__ if found is None else tuple(found.shape)
        raise ConfigError(f"the model returns no logits (N, classes), but {given}")
    return found


def observe(
    model: nn.Module,
    images: Tensor,
    taps: Iterable[str] = (),
    *,
    gradients: bool = False,
    attentions: bool = False,
) -> Look:
    """Send a batch through a classifier and keep what its taps give.

    The graph for gradients is recorded from the first tap on, not before. The classifier's mode and
    its weights' gradients are left as they were.

    Args:
        model: any classifier.
        images: normalised, ``(N, 3, H, W)``.
        taps: names of its modules (of a network's body), each of which must be passed.
        gradients: of logits at taps, or attentions, will be asked for.
        attentions: keep the attention of all layers.

    Raises:
        ConfigError: no such tap, one that is not passed, or no attention.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> look = observe(network, torch.rand(2, 3, 160, 160), ["norm"], gradients=True)
    >>> look.gradients(torch.tensor([0, 3]), ["norm"])[0].shape
    torch.Size([2, 64, 10, 10])
    """
    taps = list(dict.fromkeys(taps))
    tapped: dict[str, Tensor] = {}
    recorder = Attentions(gradients)
    with evaluating(model), ExitStack() as stack:
        # Leaving it turns gradients on, which an exported graph cannot hold: only where it is on.
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for tap in taps:
            module = find_tap(tapped_part(model), tap)
            stack.enter_context(changed_output(module, _keeper(tapped, tap, gradients)))
        if attentions:
            stack.enter_context(recorder)
        output = model(images)
    for tap in taps:
        if tap not in tapped:
            raise ConfigError(f"tap {tap!r} gives no feature maps: choose another tap")
    return Look(model, images, output, tapped, recorder.found)


def _keeper(tapped: dict[str, Tensor], tap: str, gradients: bool) -> Callable[[Tensor], Tensor]:
    def keep(features: Tensor) -> Tensor:
        if gradients and not features.requires_grad:
            features = features.detach().requires_grad_()
            torch.set_grad_enabled(True)
        tapped[tap] = features
        # What follows may change its input in place, as many activations do.
        return features.clone()

    return keep


@contextmanager
def changed_output(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change what a module gives, in this thread alone.

    Args:
        module: its output is a tensor or a tuple that begins with one; others are left alone.
        change: a function of that tensor.

    >>> layer = nn.Identity()
    >>> with changed_output(layer, lambda given: given + 1):
    ...     layer(torch.zeros(1))
    tensor([1.])
    """
    mine = get_ident()

    def hook(_: nn.Module, inputs: object, output: Any) -> Any:
        tensor = tensor_of(output)
        if get_ident() != mine or tensor is None:
            return output
        changed = change(tensor)
        if isinstance(output, Tensor):
            return changed
        # Tuples with names for their parts are made in a way of their own.
        return getattr(output, "_make", type(output))((changed, *output[1:]))

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
