"""Hide-and-Seek as a training method."""

from torch import Tensor

from wsol.methods.base import Method
from wsol.methods.has.config import Config
from wsol.methods.has.patches import hide_patches


class HaSMethod(Method):
    """Plain training on pictures with hidden patches."""

    changes_images = True

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Hide patches of a normalised batch ``(N, 3, H, W)``; the labels stay."""
        return hide_patches(images, self.config.grid_sizes, self.config.drop_rate), labels
