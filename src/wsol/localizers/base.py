"""The interface of localizers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import ForwardPass, Images, layer_root, observe
from wsol.localizers._layers import choose_layers
from wsol.models.heads import scaled_maps
from wsol.models.utils import find_layer, full_precision, unwrapped

Interpolation = Literal["bicubic", "bilinear"]

Labels = Tensor | Callable[[Tensor], Tensor] | None
"""Classes to make maps of: int64 ``(N,)``, or ``(N, K)`` with -1 where an image has fewer than K;
a function that returns either of logits ``(N, classes)``; or None for the network's first choice.
"""


class Localized(NamedTuple):
    """What a localizer says of a batch.

    Attributes:
        logits: float32 ``(N, classes)``.
        labels: int64 ``(N,)``, the classes that the maps belong to; ``(N, K)`` where images have
            several, with -1 where one has fewer than K.
        maps: float32 ``(N, H, W)`` or ``(N, K, H, W)``, raw score maps at the input's size; of no
            meaning where the label is -1.
    """

    logits: Tensor
    labels: Tensor
    maps: Tensor


class ScoreMaps:
    """Base of localizers: a callable from images to score maps.

    A localizer says what it needs of a pass through the classifier, and makes maps of what the pass
    has seen: most change ``layer_maps`` alone.

    Args:
        model: a classifier; it is left as it was.
        layers: names of the modules whose outputs are read (of a network's body); default: the last
            one whose features decide the logits. The maps of several layers are each scaled to
            [0, 1], enlarged and averaged.
        interpolation: how maps are enlarged: ``bicubic`` by default, ``bilinear`` as ADL's
            authors did.
        size: side in pixels of the image that shows the layers where none are given; default: what
            the model says it takes.

    Attributes:
        needs_gradients: whether the pass must record gradients.
        needs_attention: whether it must keep attentions.
        needs_fit: whether ``fit`` must be called first, with a collection of images.
        needs_views: whether images are flipped or resized, which takes passes of its own.
        sees_classes: whether the maps of one image's classes differ.
        separates_labels: whether the maps of several labels of one image show different objects;
            where they do not, each place is given to one label.
        needs_classes: whether the network must have classes.
        extra_layers: modules that are looked at besides.
        affinity_layer: the one of them that gives the maps their outlines alone, if any.

    Raises:
        ConfigError: no such layer, or none can be found.
    """

    needs_gradients = False
    needs_attention = False
    needs_fit = False
    needs_views = False
    sees_classes = True
    separates_labels = True
    needs_classes = True
    extra_layers: tuple[str, ...] = ()
    affinity_layer: str | None = None

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str] = (),
        *,
        interpolation: Interpolation = "bicubic",
        size: int | None = None,
    ) -> None:
        """Keep the classifier and find its layers."""
        model = unwrapped(model)
        if isinstance(layer_root(model), torch.jit.ScriptModule):
            raise ConfigError(
                "the layers of a scripted or traced network cannot be read: give the network that "
                "it was made from"
            )
        for layer in layers:
            find_layer(layer_root(model), layer)
        self.model, self.interpolation, self.size = model, interpolation, size
        self.layers = tuple(layers) or self.default_layers()

    @property
    def described_by(self) -> tuple[str, ...]:
        """The layers whose features tell a head what is where: all but that of the outlines."""
        layers = dict.fromkeys((*self.extra_layers, *self.layers))
        return tuple(layer for layer in layers if layer != self.affinity_layer)

    def default_layers(self) -> tuple[str, ...]:
        """Return the layers to read where none are given."""
        return (choose_layers(self.model, self.size),)

    def why_not_exportable(self) -> str:
        """Return what is in the way of a graph of one pass that makes the maps; empty: nothing."""
        return "needs gradients" if self.needs_gradients else ""

    def fit(self, batches: Iterable[Images]) -> None:
        """Look at a collection of images, where the localizer needs one.

        Args:
            batches: of normalised images ``(N, 3, H, W)``.
        """

    def state(self) -> dict[str, Tensor]:
        """Return what ``fit`` found, as tensors by name; most localizers have none."""
        return {}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take what an earlier ``fit`` found.

        Args:
            state: as ``state`` returned it.

        Raises:
            ConfigError: it does not fit this localizer.
        """

    def __call__(self, images: Images, labels: Labels = None) -> Tensor:
        """Return raw score maps, float32 ``(N, H, W)`` at the input's size.

        Args:
            images: normalised, ``(N, 3, H, W)``.
            labels: see ``Labels``; with several an image the result is ``(N, K, H, W)``.
        """
        return self.locate(images, labels).maps

    def locate(self, images: Images, labels: Labels = None) -> Localized:
        """Return logits, labels and maps from one pass.

        Args:
            images: normalised, ``(N, 3, H, W)``.
            labels: see ``Labels``.
        """
        return locate_all([self], images, labels)[0]

    def read(
        self, forward_pass: ForwardPass, labels: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Return maps ``(N, H, W)`` or ``(N, K, H, W)`` from what a pass has seen.

        Args:
            forward_pass: what the pass has seen.
            labels: int64 ``(N,)`` or ``(N, K)``.
            size: height and width; default: the input's.
        """
        if labels.ndim == 1:
            return self.read_label(forward_pass, labels, size)
        columns = labels.clamp(min=0).unbind(1)
        return torch.stack([self.read_label(forward_pass, column, size) for column in columns], 1)

    def read_label(
        self, forward_pass: ForwardPass, labels: Tensor, size: tuple[int, int] | None = None
    ) -> Tensor:
        """Return maps ``(N, H, W)`` of one label an image.

        Args:
            forward_pass: what the pass has seen.
            labels: int64 ``(N,)``.
            size: height and width; default: the input's.

        Raises:
            ConfigError: a map of one pixel, which ranks no place above another.
        """
        height, width = size or forward_pass.images.shape[-2:]
        # The network may work in a low precision, but its maps are made in float32.
        with torch.no_grad(), full_precision(forward_pass.images.device):
            small = self.score_maps(forward_pass, labels)
            check_grids(small, forward_pass.images)
            if len(small) == 1:
                return resized(small[0], (height, width), self.interpolation)
            maps = [scaled_maps(each) for each in small]
            large = [resized(each, (height, width), self.interpolation) for each in maps]
            return torch.stack(large).mean(0)

    def score_maps(self, forward_pass: ForwardPass, labels: Tensor) -> list[Tensor]:
        """Return the raw maps ``(N, h, w)`` of each layer.

        Args:
            forward_pass: what the pass has seen.
            labels: int64 ``(N,)``.
        """
        features = forward_pass.features
        if not self.needs_gradients:
            return [self.layer_maps(features[layer], torch.empty(0)) for layer in self.layers]
        gradients = forward_pass.gradients(labels, self.layers)
        return [
            self.layer_maps(features[layer], gradient)
            for layer, gradient in zip(self.layers, gradients, strict=True)
        ]

    def layer_maps(self, features: Tensor, gradients: Tensor) -> Tensor:
        """Return the raw maps ``(N, h, w)`` of one layer.

        Args:
            features: float32 ``(N, C, h, w)``.
            gradients: of the labels' logits, of the same shape; empty where none are needed.
        """
        raise NotImplementedError


def locate_all(
    localizers: Sequence[ScoreMaps], images: Images, labels: Labels = None
) -> list[Localized]:
    """Return what several localizers of one classifier say, from one pass.

    Args:
        localizers: of the same model.
        images: normalised, ``(N, 3, H, W)``.
        labels: see ``Labels``.

    Raises:
        ConfigError: they have different models, or one flips or resizes images.

    >>> from wsol.localizers import create_localizer
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> both = [create_localizer(name, network) for name in ("gradcam", "feature_norm")]
    >>> [found.maps.shape[1:] for found in locate_all(both, torch.rand(2, 3, 64, 64))]
    [torch.Size([64, 64]), torch.Size([64, 64])]
    """
    if any(each.needs_views for each in localizers):
        raise ConfigError(
            "a localizer that flips or resizes images cannot share a pass: call it alone"
        )
    forward_pass = observe_for(localizers, images)
    chosen = chosen_labels(labels, forward_pass.logits)
    return [
        Localized(forward_pass.logits, chosen, each.read(forward_pass, chosen))
        for each in localizers
    ]


def chosen_labels(labels: Labels, logits: Tensor) -> Tensor:
    """Return the classes to make maps of.

    Args:
        labels: see ``Labels``.
        logits: float32 ``(N, classes)``.

    Raises:
        ConfigError: the labels are not integers, their number is not that of the images, or the
            classifier has no such class.

    >>> chosen_labels(None, torch.tensor([[0.1, 0.9]]))
    tensor([1])
    """
    if labels is None:
        return logits.argmax(1)
    chosen = labels if isinstance(labels, Tensor) else labels(logits)
    # An exported graph has no such checks: its labels are its own.
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
    """Return the classes that a classifier of several labels sees in images, the likeliest first.

    Args:
        logits: float32 ``(N, classes)``, of which each is a class's own.
        least: probability; the likeliest class of an image is taken whatever its own.

    Returns:
        int64 ``(N, K)``, -1 where an image has fewer than K.

    >>> likely_labels(torch.tensor([[1.0, 2.0, -1.0], [-3.0, -2.0, -1.0]]))
    tensor([[ 1,  0],
            [ 2, -1]])
    """
    counts = (logits.sigmoid() >= least).sum(1, keepdim=True).clamp(min=1)
    order = logits.argsort(1, descending=True)[:, : int(counts.max())]
    beyond = torch.arange(order.shape[1], device=order.device) >= counts
    return order.masked_fill(beyond, -1)


def observe_for(localizers: Sequence[ScoreMaps], images: Images) -> ForwardPass:
    """Return what one pass sees of all that several localizers of one classifier need.

    Args:
        localizers: of the same model.
        images: normalised, ``(N, 3, H, W)``.

    Raises:
        ConfigError: they have different models.
    """
    model = localizers[0].model
    if any(each.model is not model for each in localizers):
        raise ConfigError("localizers of different models cannot share a pass")
    return observe(
        model,
        images,
        [layer for each in localizers for layer in (*each.layers, *each.extra_layers)],
        gradients=any(each.needs_gradients for each in localizers),
        attentions=any(each.needs_attention for each in localizers),
    )


def check_grids(maps: Iterable[Tensor], images: Tensor) -> None:
    """Refuse maps of one pixel, which rank no place above another.

    Args:
        maps: ``(..., h, w)`` each.
        images: the input that they are of, ``(N, 3, H, W)``.

    Raises:
        ConfigError: one of the maps has one pixel.

    >>> check_grids([torch.zeros(2, 7, 7)], torch.zeros(2, 3, 224, 224))
    """
    if any(each.shape[-2:].numel() == 1 for each in maps):
        rows, columns = images.shape[-2:]
        raise ConfigError(
            f"score maps have one pixel for an input of {columns} x {rows} pixels: use a larger "
            "size or another layer"
        )


def resized(
    maps: Tensor, size: tuple[int, int], interpolation: Interpolation = "bicubic"
) -> Tensor:
    """Resize maps ``(N, h, w)`` to a height and width, before any scaling.

    Source: ``docs/protocol.md``.

    >>> resized(torch.rand(2, 14, 14), (28, 56)).shape
    torch.Size([2, 28, 56])
    """
    return interpolate(maps[:, None].float(), size, mode=interpolation, align_corners=False)[:, 0]
