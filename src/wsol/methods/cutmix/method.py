"""CutMix training method."""

import math

import torch
from torch import Tensor
from torch.distributions import Beta
from torch.nn.functional import one_hot

from wsol.methods.base import Method
from wsol.methods.cutmix import Config
from wsol.models import Network


def cutmix(images: Tensor, targets: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Return images with one box from another image of the batch, and their mixed targets.

    Args:
        images: ``(N, C, H, W)``; not modified.
        targets: probabilities ``(N, classes)``.
        beta: both parameters of the beta distribution of the fraction of an image that is kept.

    Returns:
        Images ``(N, C, H, W)`` and targets ``(N, classes)``. The box is the same in all images; its
        content comes from one random permutation of the batch. Targets are mixed by area.

    Draws come from torch's global generator on the CPU.

    Raises:
        ConfigError: beta is out of range.

    Source: Yun et al., ICCV 2019, equation 1.

    >>> _ = torch.manual_seed(4)
    >>> images = torch.tensor([1.0, 2.0]).view(2, 1, 1, 1).expand(2, 1, 3, 6)
    >>> mixed, targets = cutmix(images, torch.eye(2), beta=1.0)
    >>> mixed[0, 0]
    tensor([[1., 1., 2., 2., 2., 2.],
            [1., 1., 2., 2., 2., 2.],
            [1., 1., 1., 1., 1., 1.]])
    >>> targets[0]
    tensor([0.5556, 0.4444])
    """
    Config(beta=beta)
    height, width = images.shape[-2:]
    # In float64, as with a small beta the fraction is often too close to 0 for float32.
    share = float(Beta(*torch.full((2,), beta, dtype=torch.float64)).sample())
    centre = int(torch.randint(width, ())), int(torch.randint(height, ()))
    order = torch.randperm(len(images)).to(images.device)
    x0, y0, x1, y1 = cut_box(share, centre, (width, height))
    mixed = images.clone()
    mixed[:, :, y0:y1, x0:x1] = images[order, :, y0:y1, x0:x1]
    other = (x1 - x0) * (y1 - y0) / (width * height)
    return mixed, targets.lerp(targets[order], other)


def cut_box(
    share: float, centre: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return the box that leaves a fraction of an image, clipped to the image.

    Args:
        share: fraction of the image that is left by a box inside it, lambda in [0, 1].
        centre: x and y of the box center in pixels.
        size: width and height of the image in pixels.

    Returns:
        x0 y0 x1 y1 in pixels, x1 and y1 one past the last. Its sides are those of the image
        times the square root of ``1 - share``, rounded down to even numbers.

    Source: Yun et al., ICCV 2019, equation 2; rounding as in the PyTorch re-evaluation.

    >>> cut_box(0.75, centre=(10, 90), size=(100, 100))
    (0, 65, 35, 100)
    """
    root = math.sqrt(1 - share)
    (x, y), (width, height) = centre, size
    half_width, half_height = int(width * root) // 2, int(height * root) // 2
    return (
        max(x - half_width, 0),
        max(y - half_height, 0),
        min(x + half_width, width),
        min(y + half_height, height),
    )


class CutMixMethod(Method):
    """Training on mixed images with mixed labels.

    The loss is the plain one: cross-entropy with the mixed labels is the mean of both images'
    losses, weighted by area, for single-label and multi-label images.
    """

    changes_images = True

    config: Config

    def attach(self, network: Network) -> None:
        """Read the number of classes; the network is not modified."""
        self.num_classes = network.head.num_classes

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a batch and its labels with the configured probability, or return them unchanged."""
        # The draw stays on the CPU: a draw on the GPU would make the host wait for the device.
        if float(torch.rand(())) >= self.config.prob:
            return images, labels
        of_classes = labels if self.is_multi_label else one_hot(labels, self.num_classes).float()
        return cutmix(images, of_classes, self.config.beta)
