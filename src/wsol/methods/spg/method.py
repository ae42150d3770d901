"""SPG as a training method."""

import logging

from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.base import Method
from wsol.methods.spg.config import Config
from wsol.methods.spg.guidance import distance, enlarged
from wsol.methods.spg.head import SPGHead
from wsol.models import Network, Output
from wsol.models.heads import scaled_maps

log = logging.getLogger("wsol")

GUIDE_CHANNELS = 512
"""Channels of branches B1 and B2 where nothing else is chosen."""


class SPGMethod(Method):
    """Training of a classifier whose own maps supervise earlier layers."""

    acts_through_body = True

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def head(self, network: Network) -> SPGHead:
        """Return the classifier and the guided branches for the network."""
        taps = self.config.taps or network.choices.get("spg", ()) or _default_taps(network.body)
        log.info("SPG's guided branches at taps %s", ", ".join(taps))
        old = network.head
        channels = self.config.channels or network.guide_channels or GUIDE_CHANNELS
        return SPGHead(old.channels, old.num_classes, taps, network.channels_at(taps), channels)

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


def _default_taps(body: nn.Module) -> tuple[str, ...]:
    """Return the third and second last stage of a network of timm."""
    info = getattr(body, "feature_info", None) or ()
    stages = [stage["module"] for stage in info]
    if len(stages) < 3:
        raise ConfigError(
            f"{type(body).__name__} does not name three stages: give two taps, --method.taps A,B"
        )
    return stages[-3], stages[-2]
