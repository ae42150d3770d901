"""SPG training method, heads and guidance masks."""

import logging

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate

from wsol.errors import ConfigError
from wsol.methods.base import Method
from wsol.methods.spg import Config
from wsol.models import Network
from wsol.models.heads import ConvHead, Output, init_new_layers, maps_of, scaled_maps
from wsol.models.utils import stages_of

TOP_CHANNELS = 512
"""Channels of branch C in all networks."""


class SPGHead(ConvHead):
    """Classifier A, and in training the branches B1, B2 and C.

    ``Output.branches`` are, in training, A's maps of the ground-truth classes ``(N, h, w)`` and the
    logits of B1, B2 and C, ``(N, 1, h, w)``, with different sizes. B1 and B2 read ``layers``, and
    have ``guide_channels``.

    Source: Zhang et al., ECCV 2018, section 3.1 and figure 2.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        layers: tuple[str, ...],
        layer_channels: tuple[int, ...],
        guide_channels: int,
    ) -> None:
        """Create the branches."""
        super().__init__(channels, num_classes)
        self.layers = layers
        early, late = layer_channels
        self.early = nn.Sequential(nn.Conv2d(early, guide_channels, 3, padding=1), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(late, guide_channels, 3, padding=1), nn.ReLU())
        # Shared by B1 and B2.
        self.shared = _to_one_map(guide_channels, guide_channels)
        self.top = _to_one_map(channels, TOP_CHANNELS)
        init_new_layers(self)

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return logits, features and, in training, the four branches."""
        maps: Tensor = self.maps(features)
        logits = maps.mean((2, 3))
        if not self.training:
            return Output(logits, features)
        early, late = tapped
        labels = logits.argmax(1) if labels is None else labels
        b1, b2 = self.shared(self.early(early)), self.shared(self.late(late))
        return Output(logits, features, (maps_of(maps, labels), b1, b2, self.top(features)))


def _to_one_map(channels: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, 1, 1)
    )


SIZE = 224
"""Side of the masks in pixels: the published code uses this size for any input size."""

FEWEST = 30
"""Minimum object pixels; with fewer, pixels above ``RELAXED`` of the maximum are object."""

RELAXED = 0.7


def enlarged(maps: Tensor) -> Tensor:
    """Return maps ``(N, 1, h, w)`` in float32 at the masks' size, bilinear."""
    return interpolate(maps.float(), (SIZE, SIZE), mode="bilinear", align_corners=False)


def guide(attention: Tensor, high: float, low: float) -> tuple[Tensor, Tensor]:
    """Return an object mask, and a mask of the pixels that are not ignored, bool ``(N, 1, H, W)``.

    In the attention ``(N, 1, H, W)`` in [0, 1], ``high`` is the threshold of the object, and
    ``low`` that of the background.

    Source: Zhang et al., ECCV 2018, equation 2; the relaxed rule is that of the published code.

    >>> attention = torch.linspace(0, 1, 100).reshape(1, 1, 10, 10)
    >>> [int(mask.sum()) for mask in guide(attention, high=0.6, low=0.1)]
    [40, 50]
    """
    pixels = (1, 2, 3)
    above = attention > high
    relaxed = attention > RELAXED * attention.amax(pixels, keepdim=True)
    few = above.sum(pixels, keepdim=True) < FEWEST
    background = attention < low
    found = torch.where(few, relaxed, above) & ~background
    return found, found | background


def distance(logits: Tensor, attention: Tensor, high: float, low: float) -> Tensor:
    """Return the mean binary cross-entropy of a branch over the pixels that are not ignored.

    The mask that ``guide`` makes of the attention ``(N, 1, 224, 224)`` is the target of the
    branch's logits ``(N, 1, h, w)``; the attention carries no gradient.

    >>> attention = torch.ones(1, 1, 224, 224)
    >>> distance(torch.zeros(1, 1, 7, 7), attention, 0.7, 0.1)
    tensor(0.6931)
    """
    found, counts = guide(attention.detach(), high, low)
    losses = binary_cross_entropy_with_logits(
        enlarged(logits), found.float(), weight=counts.float(), reduction="sum"
    )
    return losses / counts.sum().clamp(min=1)


log = logging.getLogger("wsol")

GUIDE_CHANNELS = 512
"""Default channels of branches B1 and B2."""


class SPGMethod(Method):
    """Training of a classifier whose maps supervise earlier layers."""

    acts_through_body = True

    config: Config

    def head(self, network: Network) -> SPGHead:
        """Return the classifier and the guided branches for the network."""
        layers = (
            self.config.layers or network.choices.get("spg", ()) or _default_layers(network.body)
        )
        log.info("SPG's guided branches at layers %s", ", ".join(layers))
        old = network.head
        channels = self.config.channels or network.guide_channels or GUIDE_CHANNELS
        return SPGHead(old.channels, old.num_classes, layers, network.channels_at(layers), channels)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the classification loss plus those of the three guided branches.

        Source: Zhang et al., ECCV 2018, section 3.2: A guides B2, B2 guides B1, and both of them
        guide C.
        """
        seen, b1, b2, c = output.branches
        attention = scaled_maps(enlarged(seen[:, None].detach()))
        seen1, seen2 = enlarged(b1.detach()).sigmoid(), enlarged(b2.detach()).sigmoid()
        first, second, third = self.config.thresholds
        return (
            self.classification_loss(output.logits, labels)
            + distance(b2, attention, *first)
            + distance(b1, seen2, *second)
            + distance(c, (seen1 + seen2) / 2, *third)
        )


def _default_layers(body: nn.Module) -> tuple[str, ...]:
    """Return the third and second to last stage of a timm network."""
    stages = stages_of(body)
    if len(stages) < 3:
        raise ConfigError(
            f"{type(body).__name__} does not declare three stages; set two layers, --method.layers "
            "A,B"
        )
    return stages[-3:-1]
