"""The foreground map of a head that was trained to make one."""

from typing import Any

from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.localizers._forward import Look
from wsol.localizers.base import ScoreMaps
from wsol.models import Network
from wsol.models.foreground import ForegroundHead
from wsol.models.utils import evaluating


class Foreground(ScoreMaps):
    """The foreground map of networks that methods ``trilite`` and ``c2am`` have trained.

    Args:
        model: the network.
        options: as of ``ScoreMaps``. The taps are those that the head was trained on.

    Raises:
        ConfigError: the model has no such head, or other taps are given.

    Source: Sabaghi & Oramas, CVPR 2026 (arXiv 2602.23120); Xie et al., CVPR 2022, section 3.1.

    >>> import torch
    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False, method="c2am")
    >>> Foreground(network)(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    sees_classes = False

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Check the network's head."""
        super().__init__(model, *arguments, **options)
        if self.taps != self.default_taps():
            raise ConfigError(
                f"tap: the foreground map was trained on {', '.join(self.default_taps())}; use no "
                "other tap"
            )

    @property
    def head(self) -> ForegroundHead:
        """The head that makes the map.

        Raises:
            ConfigError: the model has none.
        """
        head = self.model.head if isinstance(self.model, Network) else None
        if isinstance(head, ForegroundHead):
            return head
        raise ConfigError(
            "foreground: the network has no head with a foreground map; use a run that was trained "
            "with --method trilite or c2am"
        )

    def default_taps(self) -> tuple[str, ...]:
        """Return the taps that the head was trained on."""
        return self.head.taps

    def score_maps(self, look: Look, labels: Tensor) -> list[Tensor]:
        """Return one map ``(N, h, w)`` in [0, 1], the same for all labels."""
        seen, head = look.features, self.head
        with evaluating(head):
            tapped = [seen[tap] for tap in self.taps]
            return [head.foreground(look.output.features.float(), tapped)]
