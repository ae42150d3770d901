"""CutMix as a training method."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from wsol.methods.base import Method
from wsol.methods.cutmix.config import Config
from wsol.methods.cutmix.mix import cutmix
from wsol.models import Network


class CutMixMethod(Method):
    """Training on mixed pictures with mixed labels.

    The loss is the plain one: cross-entropy with the mixed labels is the mean of both pictures'
    losses, weighted with their shares, for one label of a picture or several.
    """

    changes_images = True

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def attach(self, network: Network) -> None:
        """Look how many classes there are; the network stays as it is."""
        self.num_classes = network.head.num_classes

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mix a normalised batch and its labels, in some of the steps.

        Args:
            images: ``(N, 3, H, W)``.
            labels: ``(N,)``, or ``(N, classes)`` where pictures have several.

        Returns:
            Mixed images and probabilities ``(N, classes)``, or both arguments in the other steps.
        """
        # The draw stays on the CPU: a draw on the GPU would make the host wait for the device.
        if float(torch.rand(())) >= self.config.prob:
            return images, labels
        of_classes = labels if self.several_labels else one_hot(labels, self.num_classes).float()
        return cutmix(images, of_classes, self.config.beta)
