"""Base class and interface of localizers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images, layer_root, observe
from wsol.localizers._layers import choose_layers, last_stage
from wsol.models.heads import scaled_maps
from wsol.models.utils import find_layer, full_precision, unwrapped

Interpolation = Literal["bicubic", "bilinear"]

Size = tuple[int, int]
"""Height and width."""

Labels = Tensor | Callable[[Tensor], Tensor] | None
"""Classes of the maps: int64 ``(N,)``, or ``(N, K)`` with -1 for images with fewer than K; a
function from logits ``(N, classes)`` to either; or None for the top-1 prediction.
"""


class Localized(NamedTuple):
    """Localizer output of a batch.

    Attributes:
        logits: logits, float32 ``(N, classes)``.
        labels: classes of the maps, int64 ``(N,)``; ``(N, K)`` for multiple labels per image, with
            -1 for images with fewer than K.
        maps: raw score maps at the input size, float32 ``(N, H, W)`` or ``(N, K, H, W)``;
            undefined where the label is -1.
    """

    logits: Tensor
    labels: Tensor
    maps: Tensor


class ScoreMaps:
    """Base class of localizers: a callable from images to score maps.

    A localizer declares its requirements on the forward pass, and computes maps from it: most
    override ``layer_maps`` only.

    Args:
        model: classifier; it is not modified.
        layers: names of the modules whose outputs are read (of a network's body); default: the last
            module whose features determine the logits. With multiple layers, each map is scaled to
            [0, 1] and resized, and the maps are averaged.
        interpolation: interpolation of the resized maps: ``bicubic``, or ``bilinear`` as in the ADL
            authors' code.
        image_size: side in pixels of the image used to find the default layers; default: the
            model's input size.

    Attributes:
        needs_gradients: whether the forward pass must record gradients.
        needs_attention: whether the forward pass must record attention.
        needs_fit: whether ``fit`` must be called first, with a collection of images.
        uses_augmentation: whether images are flipped or resized, which takes separate forward
            passes.
        sees_classes: whether the maps of an image differ between classes.
        separates_labels: whether the maps of multiple labels of an image show different objects;
            otherwise each position is assigned to one label.
        needs_classes: whether the network must have classes.
        extra_layers: additional modules to record.
        affinity_layer: extra layer that only refines the outlines of the maps, if any.
        unexportable: reason why the localizer cannot be exported, if there is one.

    Raises:
        ConfigError: a layer does not exist, or none can be found.
    """

    needs_gradients = False
    needs_attention = False
    needs_fit = False
    uses_augmentation = False
    sees_classes = True
    separates_labels = True
    needs_classes = True
    extra_layers: tuple[str, ...] = ()
    affinity_layer: str | None = None
    unexportable = ""

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str] = (),
        *,
        interpolation: Interpolation = "bicubic",
        image_size: int | None = None,
    ) -> None:
        """Store the classifier and find its layers."""
        model = unwrapped(model)
        if isinstance(layer_root(model), torch.jit.ScriptModule):
            raise ConfigError(
                "layers: the layers of a scripted or traced network are not accessible; use the "
                "network before scripting or tracing"
            )
        for layer in layers:
            find_layer(layer_root(model), layer)
        self.model, self.interpolation, self.image_size = model, interpolation, image_size
        self.layers = tuple(layers) or self.default_layers()

    @property
    def described_by(self) -> tuple[str, ...]:
        """Layers whose features a distilled head reads: all except the affinity layer."""
        layers = dict.fromkeys((*self.extra_layers, *self.layers))
        return tuple(layer for layer in layers if layer != self.affinity_layer)

    def default_layers(self) -> tuple[str, ...]:
        """Return the layers that are read by default: the last stage if no class is needed."""
        choose = choose_layers if self.needs_classes else last_stage
        return (choose(self.model, self.image_size),)

    def why_not_exportable(self) -> str:
        """Return the reason why the localizer cannot be exported; empty if it can."""
        return "needs gradients" if self.needs_gradients else self.unexportable

    def fit(self, batches: Iterable[Images]) -> None:
        """Fit the localizer to a collection of images, if it needs one.

        Args:
            batches: batches of normalised images ``(N, 3, H, W)``.
        """

    def state(self) -> dict[str, Tensor]:
        """Return the fitted state as tensors by name; empty for most localizers."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Load the state of an earlier ``fit``.

        Args:
            state: return value of ``state``.

        Raises:
            ConfigError: the state does not match this localizer.
        """

    def __call__(self, images: Images, labels: Labels = None) -> Tensor:
        """Return raw score maps, float32 ``(N, H, W)`` at the input's size.

        Args:
            images: normalised images, ``(N, 3, H, W)``.
            labels: see ``Labels``; with ``(N, K)`` labels the result is ``(N, K, H, W)``.
        """
        return self.locate(images, labels).maps

    def locate(self, images: Images, labels: Labels = None) -> Localized:
        """Return logits, labels and maps from one forward pass.

        Args:
            images: normalised images, ``(N, 3, H, W)``.
            labels: see ``Labels``.
        """
        return locate_all([self], images, labels)[0]

    def observe(self, images: Images) -> ForwardPass:
        """Return the forward pass of normalised images, for multiple calls of ``locate``."""
        return observe_for([self], images)

    def read(self, forward_pass: ForwardPass, labels: Tensor, size: Size | None = None) -> Tensor:
        """Compute maps from a forward pass, for labels ``(N,)`` or ``(N, K)``; default: input size.

        Raises:
            ConfigError: a map has a single pixel, so it cannot localize.
        """
        height, width = size or forward_pass.images.shape[-2:]
        maps = self.label_maps if labels.ndim == 1 else self.multi_label_maps
        # The network may use a lower precision, but maps are computed in float32.
        with torch.no_grad(), full_precision(forward_pass.images.device):
            return maps(forward_pass, labels, (height, width))

    def multi_label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the maps ``(N, K, H, W)`` of labels ``(N, K)``."""
        columns = labels.clamp(min=0).unbind(1)
        return torch.stack([self.label_maps(forward_pass, column, size) for column in columns], 1)

    def label_maps(self, forward_pass: ForwardPass, labels: Tensor, size: Size) -> Tensor:
        """Return the maps ``(N, H, W)`` of labels ``(N,)``."""
        maps = self.score_maps(forward_pass, labels)
        check_grids(maps, forward_pass.images)
        if len(maps) == 1:
            return resized(maps[0], size, self.interpolation)
        large = [resized(scaled_maps(each), size, self.interpolation) for each in maps]
        return torch.stack(large).mean(0)

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the raw maps ``(N, h, w)`` of each layer for labels ``(N,)``."""
        features = forward_pass.features
        gradients = [torch.empty(0)] * len(self.layers)
        if self.needs_gradients:
            gradients = forward_pass.gradients(labels, self.layers)
        return [
            self.layer_maps(features[layer], gradient)
            for layer, gradient in zip(self.layers, gradients, strict=True)
        ]

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the raw maps ``(N, h, w)`` of one layer.

        Args:
            features: float32 ``(N, C, h, w)``.
            gradients: gradients of the labels' logits, same shape; empty if not needed.
        """
        raise NotImplementedError


def locate_all(
    localizers: Sequence[ScoreMaps], images: Images, labels: Labels = None
) -> list[Localized]:
    """Return the output of multiple localizers of one classifier, from one forward pass.

    Args:
        localizers: localizers of the same model.
        images: normalised images, ``(N, 3, H, W)``.
        labels: see ``Labels``.

    Raises:
        ConfigError: the models differ, or a localizer flips or resizes images.

    >>> from wsol.localizers import create_localizer
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> both = [create_localizer(name, network) for name in ("gradcam", "feature_norm")]
    >>> [found.maps.shape[1:] for found in locate_all(both, torch.rand(2, 3, 64, 64))]
    [torch.Size([64, 64]), torch.Size([64, 64])]
    """
    if any(each.uses_augmentation for each in localizers):
        raise ConfigError(
            "a localizer with flip or scales cannot share a forward pass; call it separately"
        )
    forward_pass = observe_for(localizers, images)
    chosen = chosen_labels(labels, forward_pass.logits)
    return [
        Localized(forward_pass.logits, chosen, each.read(forward_pass, chosen))
        for each in localizers
    ]


def chosen_labels(labels: Labels, logits: Tensor) -> Tensor:
    """Return the classes of the maps, for logits ``(N, classes)``.

    Raises:
        ConfigError: the labels are not integers, their number differs from the images, or a class
            does not exist.
    """
    if labels is None:
        return logits.argmax(1)
    chosen = labels if isinstance(labels, Tensor) else labels(logits)
    # Exported models have no such checks: they compute their labels.
    if not torch.compiler.is_exporting():
        _check_labels(chosen, logits)
    return chosen


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    number, classes = logits.shape
    if labels.dtype != torch.int64 or labels.ndim not in (1, 2) or len(labels) != number:
        raise ConfigError(
            f"labels: a tensor of {labels.dtype} and shape {tuple(labels.shape)} is not valid; use "
            f"torch.int64 and shape ({number},) or ({number}, K)"
        )
    # One transfer from the device for both bounds.
    low, high = (-1, -1) if not labels.numel() else torch.stack(labels.aminmax()).tolist()
    least = -1 if labels.ndim == 2 else 0
    if labels.numel() and not least <= low <= high < classes:
        raise ConfigError(
            f"labels: {low} to {high} are not valid; use integers from {least} to {classes - 1}"
        )


def likely_labels(logits: Tensor, least: float = 0.5) -> Tensor:
    """Return the predicted classes of a multi-label classifier, most probable first.

    Args:
        logits: independent logits of each class, float32 ``(N, classes)``.
        least: minimum probability; the most probable class is always included.

    Returns:
        int64 ``(N, K)``, -1 for images with fewer than K.

    >>> likely_labels(torch.tensor([[1.0, 2.0, -1.0], [-3.0, -2.0, -1.0]]))
    tensor([[ 1,  0],
            [ 2, -1]])
    """
    counts = (logits.sigmoid() >= least).sum(1, keepdim=True).clamp(min=1)
    order = logits.argsort(1, descending=True)[:, : int(counts.max())]
    beyond = torch.arange(order.shape[1], device=order.device) >= counts
    return order.masked_fill(beyond, -1)


def observe_for(localizers: Sequence[ScoreMaps], images: Images) -> ForwardPass:
    """Run one forward pass with everything that multiple localizers of one classifier need.

    Raises:
        ConfigError: the models differ.
    """
    model = localizers[0].model
    if any(each.model is not model for each in localizers):
        raise ConfigError("localizers of different models cannot share a forward pass")
    return observe(
        model,
        images,
        [layer for each in localizers for layer in (*each.layers, *each.extra_layers)],
        gradients=any(each.needs_gradients for each in localizers),
        attentions=any(each.needs_attention for each in localizers),
    )


def check_grids(maps: Iterable[Tensor], images: Tensor) -> None:
    """Raise a ConfigError for maps ``(..., h, w)`` of a single pixel."""
    if any(each.shape[-2:].numel() == 1 for each in maps):
        rows, columns = images.shape[-2:]
        raise ConfigError(
            f"score maps have one pixel for an input of {columns} x {rows} pixels; use a larger "
            "image size or another layer"
        )


def resized(maps: Tensor, size: Size, interpolation: Interpolation = "bicubic") -> Tensor:
    """Resize raw maps ``(N, h, w)`` to a height and width, see ``docs/protocol.md``."""
    return interpolate(maps[:, None].float(), size, mode=interpolation, align_corners=False)[:, 0]


def without_prefix(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names start with a prefix, without it."""
    return {
        name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)
    }
