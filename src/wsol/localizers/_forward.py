"""Forward passes that record layer outputs and attention, the input of all localizers."""

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
    """Recorded forward pass of one batch.

    Attributes:
        model: classifier.
        images: normalised images, ``(N, 3, H, W)``.
        output: return value of the classifier.
        has_classes: whether the classifier has classes; without them, it has one constant logit.
        logits: logits, float32 ``(N, classes)``.
        features: feature maps of each layer, float32 ``(N, C, h, w)``.
        attentions: attention of each transformer layer in order, float32 ``(N, heads, L, L)``.
        augmented: further forward passes of the same images, flipped or resized; None if it is the
            pass of the images alone.
        source: the images before they were flipped or resized.
    """

    augmented: Sequence["ForwardPass"] | None = None

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        output: Any,
        tapped: Mapping[str, Tensor],
        attentions: Sequence[Tensor],
    ) -> None:
        """Store the recorded tensors."""
        self.model, self.images, self.output = model, images, output
        self.source = images
        self.has_classes = has_classes(model)
        no_logits = images.new_zeros(images.shape[0], 1)
        self._logits = find_logits(output, model) if self.has_classes else no_logits
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
        """Return the gradients of the labels' logits at layers, float32 ``(N, C, h, w)`` each."""
        found = self._derive(labels, [self._tapped[layer] for layer in layers], " or ".join(layers))
        return [self._maps(layer, gradient) for layer, gradient in zip(layers, found, strict=True)]

    def attention_gradients(self, labels: Tensor) -> list[Tensor]:
        """Return the gradients of the labels' logits at each attention, float32."""
        found = self._derive(labels, self._attentions, "attention")
        return [gradient.float() for gradient in found]

    def _derive(self, labels: Tensor, inputs: Sequence[Tensor], what: str) -> list[Tensor]:
        found: Sequence[Tensor | None] = ()
        if self._logits.requires_grad:
            # Images are independent in evaluation mode, so one sum has all their gradients.
            with torch.inference_mode(False), torch.enable_grad():
                chosen = self._logits.float().gather(1, labels[:, None]).sum()
            try:
                found = torch.autograd.grad(chosen, inputs, retain_graph=True, allow_unused=True)
            except CheckpointError as error:
                raise ConfigError(
                    f"gradients at {what}: the network does not keep the activations; turn its "
                    "gradient checkpointing off (in timm, set_grad_checkpointing(False))"
                ) from error
        if all(gradient is None for gradient in found):
            raise ConfigError(
                f"gradients at {what}: the logits do not depend on it; use another layer, or a "
                "localizer without gradients, such as feature_norm"
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
                f"layer {layer!r}: the output is {shape}, not feature maps; use another layer"
            )
        return to_maps(output, layout, self.images).float()


class StoredForwardPass(ForwardPass):
    """Forward pass computed earlier, with stored features ``(N, C, h, w)`` of its layers.

    It replaces a batch of images of a height and width: the classifier is not run again. It has no
    gradients, no attention and no other layers.
    """

    def __init__(
        self, model: nn.Module, size: tuple[int, int], output: Any, features: dict[str, Tensor]
    ) -> None:
        """Store the features."""
        logits = find_logits(output, model)
        # The pixels are never read, so they take no memory.
        images = logits.new_empty(1).expand(len(logits), 3, *size)
        super().__init__(model, images, output, {}, ())
        self._stored = features

    @property
    def features(self) -> dict[str, Tensor]:
        """The maps of each layer, float32 ``(N, C, h, w)``."""
        return self._stored

    def select(self, rows: Sequence[int]) -> "StoredForwardPass":
        """Return the forward pass of a subset of the images, by their indices."""
        chosen = list(rows)
        output = type(self.output)(*(part[chosen] for part in self.output[:2]))
        features = {layer: maps[chosen] for layer, maps in self._stored.items()}
        height, width = self.shape[-2:]
        return StoredForwardPass(self.model, (height, width), output, features)


Images = Tensor | ForwardPass
"""Batch of normalised images ``(N, 3, H, W)``, or its forward pass."""


def layer_root(model: nn.Module) -> nn.Module:
    """Return the module that layer names are relative to: a network's body, or the model itself."""
    model = unwrapped(model)
    if isinstance(model, TwoOutcomes):
        return layer_root(model.model)
    return model.body if isinstance(model, Network) else model


class TwoOutcomes(nn.Module):
    """Binary classifier with logits z ``(N, 1)`` as one of two classes, negative and positive.

    The two logits are -z/2 and z/2, whose softmax is sigmoid(-z) and sigmoid(z).
    """

    def __init__(self, model: nn.Module) -> None:
        """Store the classifier."""
        super().__init__()
        self.model, self.training = model, model.training

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(N, 2)`` of images ``(N, 3, H, W)``."""
        logit = find_logits(forward(self.model, images), self.model)
        return torch.cat((-logit, logit), 1) / 2


def find_logits(output: Any, model: nn.Module) -> Tensor:
    """Return the logits in the output of any classifier.

    The output is a tensor, a tuple that starts with it, or an object with ``logits``, as returned
    by Hugging Face classifiers.

    Raises:
        ConfigError: the output has no logits ``(N, classes)``, two tensors could be the logits, or
            the model has no classes.
    """
    name = type(layer_root(model)).__name__
    if not has_classes(model):
        raise ConfigError(
            f"{name}: the output is features, as it has no classes; use a localizer without "
            "classes, such as feature_norm, or add a classifier (in timm, num_classes=...)"
        )
    found = output.get("logits") if isinstance(output, Mapping) else None
    parts = getattr(output, "logits", output) if found is None else found
    found = tensor_of(parts)
    if found is None or found.ndim != 2 or not found.is_floating_point():
        given = type(output).__name__ if found is None else tuple(found.shape)
        raise ConfigError(
            f"{name}: the output is {given}, not logits (N, classes); wrap the model in a module "
            "that returns its logits"
        )
    if isinstance(parts, tuple | list):
        shapes = [tuple(each.shape) for each in parts if isinstance(each, Tensor)]
        if sum(len(shape) == 2 for shape in shapes) > 1:
            raise ConfigError(
                f"{name}: the output has tensors {shapes}, several of which may be the logits; "
                "wrap the model in a module that returns its logits only"
            )
    return found


_HEADS = ("fc", "head", "heads", "classifier")
"""Names of the last layer in torchvision, timm and Hugging Face's transformers."""


def has_classes(model: nn.Module) -> bool:
    """Return whether a network has a classifier, or returns features only.

    timm models and networks of this package have this information. In other models the last layer
    is an ``Identity``, and a Hugging Face network is its own base model.
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
    """Run a batch through a classifier and record the outputs of its layers.

    The autograd graph is recorded from the first layer on, not before. The classifier's mode and
    the gradients of its weights are unchanged.

    Args:
        model: any classifier.
        images: normalised images, ``(N, 3, H, W)``; a forward pass is returned unchanged.
        layers: names of its modules (of a network's body), each of which must run.
        gradients: allow gradients of logits at layers or attention.
        attentions: record the attention of all layers.

    Raises:
        ConfigError: a layer does not exist or does not run, or there is no attention.
    """
    if isinstance(images, ForwardPass):
        return images
    layers = list(dict.fromkeys(layers))
    forward_pass = _observe(model, images, layers, gradients, attentions, always=False)
    if gradients and not forward_pass.has_gradients:
        # Networks that disable gradients do so before the layer; their mode is restored after it.
        try:
            forward_pass = _observe(model, images, layers, gradients, attentions, always=True)
        except RuntimeError as error:
            # A graph that cannot be recorded from the start is an error when gradients are used.
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
    """Run a batch; record the autograd graph always, or from the first layer on."""
    tapped: dict[str, Tensor] = {}
    recorder = Attentions(gradients)
    with evaluating(model), ExitStack() as stack:
        # Leaving inference mode enables gradients, which exported models cannot contain.
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.set_grad_enabled(always))
        for layer in layers:
            module = find_output(layer_root(model), layer)
            stack.enter_context(changed_output(module, keeper(tapped, layer, gradients)))
        if attentions:
            stack.enter_context(recorder)
        output = forward(model, images)
    for layer in layers:
        if layer not in tapped:
            raise ConfigError(f"layer {layer!r}: the output is not feature maps; use another layer")
    return ForwardPass(model, images, output, tapped, recorder.found)


def keeper(tapped: dict[str, Tensor], layer: str, gradients: bool) -> Callable[[Tensor], Tensor]:
    """Return a function that stores a layer's output, to be called with each."""

    def keep(features: Tensor) -> Tensor:
        # A layer that runs more than once counts at its last position.
        tapped.pop(layer, None)
        if not features.is_floating_point():
            return features
        tapped[layer] = recorded(features) if gradients else features
        # Later modules may change their input in place, as many activations do.
        return tapped[layer].clone()

    return keep


def recorded(features: Tensor) -> Tensor:
    """Return features that gradients can be taken of, and record all later operations.

    Recording starts here if it is off, even in a network that disables it.
    """
    if not features.requires_grad:
        features = features.detach().requires_grad_()
        torch.set_grad_enabled(True)
    return features


@contextmanager
def changed_output(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Change the output of a module, in the current thread only.

    ``change`` is a function of the output if it is a tensor, or of the first tensor in a tuple;
    other outputs are unchanged.
    """
    mine = get_ident()

    def hook(_: nn.Module, inputs: object, output: Any) -> Any:
        tensor = tensor_of(output)
        if get_ident() != mine or tensor is None:
            return output
        changed = change(tensor)
        if isinstance(output, Tensor):
            return changed
        # Named tuples have a different constructor.
        return getattr(output, "_make", type(output))((changed, *output[1:]))

    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
