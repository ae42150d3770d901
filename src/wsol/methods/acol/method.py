"""ACoL as a training method."""

from torch import Tensor

from wsol.methods.acol.config import Config
from wsol.methods.acol.head import ACoLHead
from wsol.methods.base import Method
from wsol.models import Network, Output


class ACoLMethod(Method):
    """Training of two branches that look at complementary regions."""

    def __init__(self, config: Config) -> None:
        """Keep the options."""
        self.config = config

    def head(self, network: Network) -> ACoLHead:
        """Return the two branches for the network's features."""
        old = network.head
        return ACoLHead(old.channels, old.num_classes, self.config.channels, self.config.threshold)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the sum of both branches' classification losses.

        Source: Zhang et al., CVPR 2018, algorithm 1.
        """
        _, second = output.branches
        first = self.classification_loss(output.logits, labels)
        return first + self.classification_loss(second, labels)
