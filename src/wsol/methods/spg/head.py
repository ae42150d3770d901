"""A class map per class, and three guided branches that tell object from background."""

from torch import Tensor, nn

from wsol.models.heads import ConvHead, Output, init_new_layers, maps_of

TOP_CHANNELS = 512
"""Channels of branch C, whatever the network."""


class SPGHead(ConvHead):
    """The classifier A, and in training the branches B1, B2 and C.

    ``Output.branches`` are, in training, A's maps of the true classes ``(N, h, w)`` and the logits
    of B1, B2 and C, ``(N, 1, h, w)`` each at its own size.

    Args:
        channels: C, of the last features.
        num_classes: number of logits.
        taps: modules whose outputs B1 and B2 see.
        tapped_channels: of these outputs.
        guide_channels: of B1 and B2.

    Source: Zhang et al., ECCV 2018, section 3.1 and figure 2.
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        taps: tuple[str, ...],
        tapped_channels: tuple[int, ...],
        guide_channels: int,
    ) -> None:
        """Make the branches."""
        super().__init__(channels, num_classes)
        self.taps = taps
        early, late = tapped_channels
        self.early = nn.Sequential(nn.Conv2d(early, guide_channels, 3, padding=1), nn.ReLU())
        self.late = nn.Sequential(nn.Conv2d(late, guide_channels, 3, padding=1), nn.ReLU())
        # B1 and B2 share these.
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
