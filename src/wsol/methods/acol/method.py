"""ACoL training method and head."""

from torch import Tensor, nn

from wsol.methods.acol import Config
from wsol.methods.base import Method
from wsol.models import Network
from wsol.models.heads import Head, Output, init_new_layers, maps_of, scaled_maps


def erase(features: Tensor, attention: Tensor, threshold: float) -> Tensor:
    """Set features ``(N, C, h, w)`` to zero where the attention reaches a fraction of its range.

    The raw attention ``(N, h, w)`` carries no gradient.

    Source: Zhang et al., CVPR 2018, section 3.2.

    >>> import torch
    >>> erase(torch.ones(1, 1, 1, 3), torch.tensor([[[0.0, 6.0, 10.0]]]), 0.6)
    tensor([[[[1., 0., 0.]]]])
    """
    kept = scaled_maps(attention.detach()) < threshold
    return features * kept[:, None]


class ACoLHead(Head):
    """Two branches of three convolutions with a map per class; the second sees erased features.

    ``Output.branches`` are the maps of the first branch and, in training, the logits of the
    second. The hidden layers have ``hidden`` channels.

    Source: Zhang et al., CVPR 2018, section 3 and figure 3.

    >>> import torch
    >>> head, features = ACoLHead(8, 3, hidden=16, threshold=0.7), torch.rand(2, 8, 4, 4)
    >>> output = head.train().output(features, torch.tensor([0, 2]))
    >>> [tuple(branch.shape) for branch in output.branches]
    [(2, 3, 4, 4), (2, 3)]
    """

    classifiers = ("first.4", "second.4")

    def __init__(self, channels: int, num_classes: int, hidden: int, threshold: float) -> None:
        """Create the branches."""
        super().__init__()
        self.channels, self.num_classes, self.threshold = channels, num_classes, threshold
        self.first = _branch(channels, hidden, num_classes)
        self.second = _branch(channels, hidden, num_classes)
        init_new_layers(self)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits ``(N, classes)`` of the first branch."""
        maps: Tensor = self.first(features)
        return maps.mean((2, 3))

    def output(
        self, features: Tensor, labels: Tensor | None = None, tapped: tuple[Tensor, ...] = ()
    ) -> Output:
        """Return the first branch's logits and maps and, in training, the second one's logits."""
        maps: Tensor = self.first(features)
        logits = maps.mean((2, 3))
        if not self.training:
            return Output(logits, features, (maps,))
        labels = logits.argmax(1) if labels is None else labels
        second = self.second(erase(features, maps_of(maps, labels), self.threshold))
        return Output(logits, features, (maps, second.mean((2, 3))))

    def score_maps(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the maximum of both branches' maps ``(N, h, w)``, each scaled to [0, 1].

        Source: Zhang et al., CVPR 2018, section 3.2: the maximum of the two maps.
        """
        return self._fused(features, self.first(features), labels)

    def output_maps(self, output: Output, labels: Tensor) -> Tensor:
        """Return the score maps, reusing the first branch's maps of an output."""
        return self._fused(output.features, output.branches[0], labels)

    def _fused(self, features: Tensor, maps: Tensor, labels: Tensor) -> Tensor:
        first = maps_of(maps, labels)
        second = maps_of(self.second(erase(features, first, self.threshold)), labels)
        return scaled_maps(first).maximum(scaled_maps(second))


def _branch(channels: int, hidden: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(hidden, num_classes, 1),
    )


class ACoLMethod(Method):
    """Training of two branches on complementary regions."""

    config: Config

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
