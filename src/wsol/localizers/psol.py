"""Boxes from a head that has learnt them: pseudo supervised object localization."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from wsol.errors import ConfigError
from wsol.localizers.base import ScoreMaps
from wsol.localizers.box_head import BoxHead
from wsol.localizers.look import Look

PREFIX = "psol."
"""What the names of the head's weights begin with in the localizer's state."""


class PSOL(ScoreMaps):
    """Pseudo Supervised Object Localization: a head that has learnt a teacher's boxes.

    The map of a picture is its one box, filled: any threshold between 0 and 1 gives it back.
    ``wsol distill`` makes runs whose localizer this is.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``. Features of several taps are brought to the grid of the last.

    Attributes:
        head: sees the boxes; None where nothing has been learnt.

    Source: Zhang, Cao & Wu, Rethinking the Route Towards Weakly Supervised Object Localization,
    CVPR 2020, section 3; there the regressor is a network of its own, here it is a head on the
    classifier, so that one pass gives class and box.

    >>> from wsol.models import create_network
    >>> network = create_network("test_resnet", num_classes=5, pretrained=False)
    >>> localizer = PSOL(network, taps=["layer4"])
    >>> localizer.head = BoxHead(channels=96)
    >>> localizer(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 64, 64])
    """

    needs_fit = True
    sees_classes = False

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Keep the classifier."""
        super().__init__(model, *arguments, **options)
        self.head: BoxHead | None = None

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Refuse: boxes are not learnt from pictures alone.

        Raises:
            ConfigError: always.
        """
        self._ready_head()

    def state(self) -> dict[str, Tensor]:
        """Return the head's weights by name."""
        head = self._ready_head().state_dict()
        return {PREFIX + name: value for name, value in head.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a head that has learnt.

        Raises:
            ConfigError: there are none, or they do not fit together.
        """
        own = {
            name.removeprefix(PREFIX): value
            for name, value in state.items()
            if name.startswith(PREFIX)
        }
        try:
            width, channels = own["mix.weight"].shape[:2]
            head = BoxHead(channels, width)
            head.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"not the weights of a psol head: {reason}") from error
        self.head = head

    def read_label(self, look: Look, labels: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """Return the filled boxes ``(N, H, W)``; they are the same for all labels.

        Args:
            look: what the pass has seen.
            labels: int64 ``(N,)``.
            size: height and width; default: the input's.
        """
        height, width = size or look.images.shape[-2:]
        head = self._ready_head().to(look.images.device)
        with torch.no_grad(), torch.autocast(look.images.device.type, enabled=False):
            return filled(head(self.features(look)), height, width)

    def features(self, look: Look) -> Tensor:
        """Return what the head sees, float32 ``(N, C, h, w)``: all taps, on the grid of the last.

        Args:
            look: what the pass has seen.
        """
        seen = look.features
        height, width = seen[self.taps[-1]].shape[-2:]
        return torch.cat(
            [adaptive_avg_pool2d(seen[tap], (height, width)) for tap in self.taps], dim=1
        )

    def _ready_head(self) -> BoxHead:
        if self.head is None:
            raise ConfigError(
                "psol has learnt no boxes: make a run that has with wsol distill RUN --out NEW, "
                "and read that one as it is"
            )
        return self.head


def filled(boxes: Tensor, height: int, width: int) -> Tensor:
    """Return maps ``(N, H, W)`` of the share of each pixel that lies in a box.

    Where a box leaves no pixel free, the first one is made so: a map that is the same everywhere
    has no object.

    Args:
        boxes: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
        height: of the maps in pixels.
        width: of the maps in pixels.

    >>> filled(torch.tensor([[0.25, 0.0, 0.625, 0.5]]), 2, 4).tolist()
    [[[0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]
    """
    rows = _covered(boxes[:, 1] * height, boxes[:, 3] * height, height)
    columns = _covered(boxes[:, 0] * width, boxes[:, 2] * width, width)
    maps = rows[:, :, None] * columns[:, None, :]
    maps[maps.amin((1, 2)) > 0, 0, 0] = 0
    return maps


def _covered(start: Tensor, end: Tensor, count: int) -> Tensor:
    """Return the share of each of ``count`` pixels in a row between two points, ``(N, count)``."""
    left = torch.arange(count, device=start.device)
    return (end[:, None].minimum(left + 1) - start[:, None].maximum(left)).clamp(min=0)
