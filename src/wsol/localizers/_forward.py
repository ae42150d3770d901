"""One pass through a classifier, and what was seen on the way: the ground of all localizers."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError

from wsol.errors import ConfigError, raise_if_out_of_memory
from wsol.localizers._attention import Attentions
from wsol.models import Network
from wsol.models.layout import find_layout, tensor_of, to_maps
from wsol.models.utils import evaluating, find_output, forward, unwrapped


class ForwardPass:
    """What one pass of a batch has seen.

    Attributes:
        model: the classifier.
        images: normalised, ``(N, 3, H, W)``.
        output: what the classifier returned.
        has_classes: whether the classifier has classes; without, it has one constant logit.
        logits: float32 ``(N, classes)``.
        features: float32 maps ``(N, C, h, w)`` of each layer.
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
        self.has_classes = has_classes(model)
        if self.has_classes:
            self._logits = find_logits(output, model)
        else:
            self._logits = images.new_zeros(images.shape[0], 1)
        self._tapped, self._attentions = tapped, attentions

    @property
    def shape(self) -> torch.Size:
        """Shape of the images, ``(N, 3, H, W)``."""
        return self.images.shape

    @property
    def device(self) -> torch.device:
        """Device of the images."""
        return self.images.device

    @property
    def has_gradients(self) -> bool:
        """Whether gradients of the logits can be taken."""
        return self._logits.requires_grad

    @property
    def logits(self) -> Tensor:
        """The logits, float32 ``(N, classes)``."""
        return self._logits.detach().float()

    @property
    def features(self) -> dict[str, Tensor]:
        """The maps of each layer, float32 ``(N, C, h, w)``."""
        return {layer: self._maps(layer, output.detach()) for layer, output in self._tapped.items()}

    @property
    def attentions(self) -> list[Tensor]:
        """The attention of each layer, float32 ``(N, heads, L, L)``."""
        return [attention.detach().float() for attention in self._attentions]

    def gradients(self, labels: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the gradients of the labels' logits at layers, float32 ``(N, C, h, w)`` each.

        Args:
            labels: int64 ``(N,)``.
            layers: some of the pass's layers.
        """
        found = self._derive(labels, [self._tapped[layer] for layer in layers], " or ".join(layers))
        return [self._maps(layer, gradient) for layer, gradient in zip(layers, found, strict=True)]

    def attention_gradients(self, labels: Tensor) -> list[Tensor]:
        """Return the gradients of the labels' logits at each attention, float32.

        Args:
            labels: int64 ``(N,)``.
        """
        found = self._derive(labels, self._attentions, "attention")
        return [gradient.float() for gradient in found]

    def _derive(self, labels: Tensor, inputs: Sequence[Tensor], what: str) -> list[Tensor]:
        found: Sequence[Tensor | None] = ()
        if self._logits.requires_grad:
            # Images do not see each other in evaluation mode, so one sum has all their gradients.
            with torch.inference_mode(False), torch.enable_grad():
                chosen = self._logits.float().gather(1, labels[:, None]).sum()
            try:
                found = torch.autograd.grad(chosen, inputs, retain_graph=True, allow_unused=True)
            except CheckpointError as error:
                raise ConfigError(
                    f"gradients at {what} need what the network does not keep: turn its gradient "
                    "checkpointing off (in timm, set_grad_checkpointing(False))"
                ) from error
        if all(gradient is None for gradient in found):
            raise ConfigError(
                f"no gradients of the logits reach {what}: choose another layer, or a localizer "
                f"that "
                "needs no gradients, such as feature_norm"
            )
        return [
            torch.zeros_like(each) if gradient is None else gradient
            for each, gradient in zip(inputs, found, strict=True)
        ]

    def _maps(self, layer: str, output: Tensor) -> Tensor:
        layout = find_layout(self._tapped[layer], self.images, layer_root(self.model))
        if layout is None:
            shape = tuple(output.shape)
            raise ConfigError(
                f"layer {layer!r} gives no feature maps, but {shape}: choose another layer"
            )
        return to_maps(output, layout, self.images).float()


class StoredForwardPass(ForwardPass):
    """A pass that was made earlier, of which the features were kept.

    It goes wherever a batch of images goes: the classifier is not asked again. There are no
    gradients, no attentions and no other layers.

    Args:
        model: the classifier.
        size: height and width of the images.
        output: what the classifier returned.
        features: float32 maps ``(N, C, h, w)`` of each layer.

    >>> forward_pass = StoredForwardPass(nn.Identity(), (64, 48), torch.zeros(2, 5), {})
    >>> observe(nn.Identity(), forward_pass) is forward_pass, tuple(forward_pass.shape)
    (True, (2, 3, 64, 48))
    """

    def __init__(
        self, model: nn.Module, size: tuple[int, int], output: Any, features: dict[str, Tensor]
    ) -> None:
        """Keep what was kept."""
        logits = find_logits(output, model)
        # Nobody looks at the pixels, so they take no memory.
        images = logits.new_empty(1).expand(len(logits), 3, *size)
        super().__init__(model, images, output, {}, ())
        self._stored = features

    @property
    def features(self) -> dict[str, Tensor]:
        """The maps of each layer, float32 ``(N, C, h, w)``."""
        return self._stored

    def select(self, rows: Sequence[int]) -> "StoredForwardPass":
        """Return the pass of some of the images.

        Args:
            rows: their numbers in the batch.
        """
        chosen = list(rows)
        output = type(self.output)(*(part[chosen] for part in self.output[:2]))
        features = {layer: maps[chosen] for layer, maps in self._stored.items()}
        height, width = self.shape[-2:]
        return StoredForwardPass(self.model, (height, width), output, features)


Images = Tensor | ForwardPass
"""A batch of normalised images ``(N, 3, H, W)``, or a pass that has been made of one."""


def layer_root(model: nn.Module) -> nn.Module:
    """Return what the names of layers start from: a network's body, or any other classifier itself.

    >>> model = nn.Identity()
    >>> layer_root(model) is model
    True
    """
    model = unwrapped(model)
    if isinstance(model, TwoOutcomes):
        return layer_root(model.model)
    return model.body if isinstance(model, Network) else model


class TwoOutcomes(nn.Module):
    """A classifier of one logit z as one of two classes: its negative and its positive outcome.

    The two logits are -z/2 and z/2, whose softmax is sigmoid(-z) and sigmoid(z).

    Args:
        model: returns logits ``(N, 1)``.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    >>> TwoOutcomes(net)(torch.rand(2, 3, 2, 2)).shape
    torch.Size([2, 2])
    """

    def __init__(self, model: nn.Module) -> None:
        """Keep the classifier."""
        super().__init__()
        self.model, self.training = model, model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, 2)`` of images ``(N, 3, H, W)``."""
        logit = find_logits(forward(self.model, images), self.model)
        return torch.cat((-logit, logit), 1) / 2


def find_logits(output: Any, model: nn.Module) -> Tensor:
    """Return the logits of whatever a classifier returns.

    Args:
        output: a tensor, a tuple that begins with it, or something with ``logits``, as Hugging
            Face's classifiers return.
        model: the classifier.

    Raises:
        ConfigError: no logits ``(N, classes)`` are in it, two tensors could be the logits, or the
            model has no classes.

    >>> find_logits({"logits": torch.zeros(2, 5)}, nn.Identity()).shape
    torch.Size([2, 5])
    """
    name = type(layer_root(model)).__name__
    if not has_classes(model):
        raise ConfigError(
            f"{name} has no classes, its output is features: use a localizer that needs no class, "
            "such as feature_norm, or add a classifier (in timm, num_classes=...)"
        )
    found = output.get("logits") if isinstance(output, Mapping) else None
    parts = getattr(output, "logits", output) if found is None else found
    found = tensor_of(parts)
    if found is None or found.ndim != 2 or not found.is_floating_point():
        given = type(output).__name__ if found is None else tuple(found.shape)
        raise ConfigError(
            f"{name} returns no logits (N, classes), but {given}: wrap it in a module that returns "
            "its logits"
        )
    if isinstance(parts, tuple | list):
        shapes = [tuple(each.shape) for each in parts if isinstance(each, Tensor)]
        if sum(len(shape) == 2 for shape in shapes) > 1:
            raise ConfigError(
                f"{name} returns tensors {shapes}, and more than one may be the logits: wrap it in "
                "a module that returns its logits alone"
            )
    return found


_HEADS = ("fc", "head", "heads", "classifier")
"""Names of the last layer in torchvision, timm and Hugging Face's transformers."""


def has_classes(model: nn.Module) -> bool:
    """Return whether a network has a classifier, or gives features alone.

    Networks of timm and our own say so. In others the last layer is an ``Identity``, and a network
    of Hugging Face's is its own base model.

    Args:
        model: any network.

    >>> import timm
    >>> has_classes(timm.create_model("test_vit", num_classes=0))
    False
    """
    model = unwrapped(model)
    classes = getattr(model.head if isinstance(model, Network) else model, "num_classes", None)
    if isinstance(classes, int):
        return classes > 0
    if getattr(model, "base_model", None) is model:
        return False
    heads = [head for name in _HEADS if isinstance(head := getattr(model, name, None), nn.Module)]
    return not heads or any(not isinstance(head, nn.Identity) for head in heads)


def observe(
    model: nn.Module,
    images: Images,
    layers: Iterable[str] = (),
    *,
    gradients: bool = False,
    attentions: bool = False,
) -> ForwardPass:
    """Send a batch through a classifier and keep what its layers give.

    The graph for gradients is recorded from the first layer on, not before. The classifier's mode
    and its weights' gradients are left as they were.

    Args:
        model: any classifier.
        images: normalised, ``(N, 3, H, W)``; a pass that has been made is returned as it is.
        layers: names of its modules (of a network's body), each of which must be passed.
        gradients: of logits at layers, or attentions, will be asked for.
        attentions: keep the attention of all layers.

    Raises:
        ConfigError: no such layer, one that is not passed, or no attention.

    >>> from wsol.models import create_network
    >>> network = create_network("test_vit", num_classes=5, pretrained=False)
    >>> forward_pass = observe(network, torch.rand(2, 3, 160, 160), ["norm"], gradients=True)
    >>> forward_pass.gradients(torch.tensor([0, 3]), ["norm"])[0].shape
    torch.Size([2, 64, 10, 10])
    """
    if isinstance(images, ForwardPass):
        return images
    layers = list(dict.fromkeys(layers))
    forward_pass = _observe(model, images, layers, gradients, attentions, always=False)
    if gradients and not forward_pass.has_gradients:
        # The layer is where the network turns gradients off, and back to what they were after it.
        try:
            forward_pass = _observe(model, images, layers, gradients, attentions, always=True)
        except RuntimeError as error:
            # What cannot be recorded from the start is refused when gradients are asked for.
            raise_if_out_of_memory(error)
    return forward_pass


def _observe(
    model: nn.Module,
    images: Tensor,
    layers: Sequence[str],
    gradients: bool,
    attentions: bool,
    always: bool,
) -> ForwardPass:
    """Send a batch through a classifier; the graph is recorded always or from the first layer."""
    tapped: dict[str, Tensor] = {}
    recorder = Attentions(gradients)
    with evaluating(model), ExitStack() as stack:
        # Leaving it turns gradients on, which an exported graph cannot hold: only where it is on.
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(always))
        for layer in layers:
            module = find_output(layer_root(model), layer)
            stack.enter_context(changed_output(module, _keeper(tapped, layer, gradients)))
        if attentions:
            stack.enter_context(recorder)
        output = forward(model, images)
    for layer in layers:
        if layer not in tapped:
            raise ConfigError(f"layer {layer!r} gives no feature maps: choose another layer")
    return ForwardPass(model, images, output, tapped, recorder.found)


def _keeper(tapped: dict[str, Tensor], layer: str, gradients: bool) -> Callable[[Tensor], Tensor]:
    def keep(features: Tensor) -> Tensor:
        if not features.is_floating_point():
            return features
        if gradients:
            features = recorded(features)
        tapped[layer] = features
        # What follows may change its input in place, as many activations do.
        return features.clone()

    return keep


def recorded(features: Tensor) -> Tensor:
    """Return features at which gradients can be taken, and record what follows.

    Where nothing is recorded yet, recording starts here, even in a network that turns it off.

    Args:
        features: of any floating-point type.

    >>> with torch.no_grad():
    ...     (recorded(torch.ones(1)) * 2).requires_grad
    True
    """
    if not features.requires_grad:
        features = features.detach().requires_grad_()
        torch.set_grad_enabled(True)
    return features


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
