"""What localizers share whose head has learnt from another localizer, in ``wsol distill``."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from wsol.errors import ConfigError
from wsol.localizers._forward import Images, Look
from wsol.localizers.base import ScoreMaps
from wsol.types import Normalization


class Head(nn.Module):
    """Base of heads: brings the channels of features to one scale, and mixes them.

    Args:
        channels: of the features.
        width: channels inside.

    Attributes:
        mean: of each channel over what the head learns from, float32 ``(C,)``.
        std: the same for the standard deviation.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, width: int = 64) -> None:
        """Start with channels as they are."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.mix = nn.Conv2d(channels, width, 1)

    def mixed(self, features: Tensor) -> Tensor:
        """Return float32 ``(N, width, h, w)``.

        Args:
            features: float32 ``(N, C, h, w)``.
        """
        shape = (1, -1, 1, 1)
        found: Tensor = self.mix((features - self.mean.view(shape)) / self.std.view(shape))
        return found

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        """Return how far the head is from what it is to say.

        Args:
            features: float32 ``(N, C, h, w)``.
            targets: ``(N, ...)``, as the localizer's ``target`` makes them.
        """
        raise NotImplementedError


class Learnt(ScoreMaps):
    """Base of localizers that a run of ``wsol distill`` has, and no other.

    Args:
        model: the classifier.
        options: as of ``ScoreMaps``.

    Attributes:
        name: of the localizer; names in its state begin with it.
        normalization: how its maps are scaled to [0, 1]; minmax leaves it to the threshold.
        head_type: of the head.
        head: what has learnt; None where nothing has.
    """

    needs_fit = True
    sees_classes = False
    name: str
    normalization: Normalization = "minmax"
    head_type: type[Head]

    def __init__(self, model: nn.Module, *arguments: Any, **options: Any) -> None:
        """Keep the classifier."""
        super().__init__(model, *arguments, **options)
        self.head: Head | None = None

    def fit(self, batches: Iterable[Images]) -> None:
        """Refuse: nothing is learnt from pictures alone.

        Raises:
            ConfigError: always.
        """
        self.ready_head()

    def state(self) -> dict[str, Tensor]:
        """Return the head's weights by name."""
        head = self.ready_head().state_dict()
        return {f"{self.name}.{name}": value for name, value in head.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take the weights of a head that has learnt.

        Raises:
            ConfigError: there are none, or they do not fit together.
        """
        prefix = f"{self.name}."
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        try:
            head = self.head_like(own)
            head.load_state_dict(own)
        except (KeyError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"not the weights of a {self.name} head: {reason}") from error
        self.head = head

    def new_head(self, channels: int, num_classes: int) -> Head:
        """Return a head that has learnt nothing.

        Args:
            channels: of its features.
            num_classes: classes of the classifier; most heads see none.
        """
        return self.head_type(channels)

    def head_like(self, weights: dict[str, Tensor]) -> Head:
        """Return a head whose weights have the shapes of others.

        Args:
            weights: by name.
        """
        width, channels = weights["mix.weight"].shape[:2]
        return self.head_type(channels, width)

    def ready_head(self, device: torch.device | None = None) -> Head:
        """Return the head.

        Args:
            device: to bring it to, if it is elsewhere.

        Raises:
            ConfigError: nothing has been learnt.
        """
        if self.head is None:
            raise ConfigError(
                f"{self.name} has learnt nothing: make a run that has with wsol distill RUN "
                f"--out NEW --student {self.name}, and keep its localizer, tap and affinity"
            )
        if device is not None and self.head.mean.device != device:
            self.head.to(device)
        return self.head

    def features(self, look: Look) -> Tensor:
        """Return what the head sees, float32 ``(N, C, h, w)``: all taps, on one grid.

        Args:
            look: what the pass has seen.
        """
        seen = look.features
        maps = [seen[tap] for tap in self.taps]
        grid = self.grid([(each.shape[2], each.shape[3]) for each in maps])
        return torch.cat([on_grid(each, grid) for each in maps], dim=1)

    def grid(self, sizes: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Return height and width of the grid that the features of all taps are brought to.

        Args:
            sizes: height and width of each tap's features.
        """
        raise NotImplementedError

    def target(
        self, heat_map: NDArray[Any], threshold: float, grid: tuple[int, int]
    ) -> NDArray[Any] | None:
        """Return what the head is to say of a picture; None where there is nothing to learn.

        Args:
            heat_map: the teacher's, float32 ``(H, W)`` in [0, 1].
            threshold: share of its maximum above which a pixel belongs to the object.
            grid: height and width of the features.
        """
        raise NotImplementedError

    def mirrored(self, target: NDArray[Any]) -> NDArray[Any]:
        """Return what the head is to say of the mirror image.

        Args:
            target: as ``target`` returned it.
        """
        raise NotImplementedError


def on_grid(features: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return features at another size: means of places that become one, else bilinear.

    Args:
        features: float32 ``(N, C, h, w)``.
        grid: height and width.

    >>> on_grid(torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]]), (1, 1)).tolist()
    [[[[4.0]]]]
    >>> on_grid(torch.rand(2, 8, 7, 7), (14, 14)).shape
    torch.Size([2, 8, 14, 14])
    """
    if features.shape[2] >= grid[0] and features.shape[3] >= grid[1]:
        return adaptive_avg_pool2d(features, grid)
    return interpolate(features, grid, mode="bilinear", align_corners=False)
