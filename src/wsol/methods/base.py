"""What a training method is: up to four small steps around a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from wsol.models import Head, Network, Output


@dataclass(frozen=True)
class MethodConfig:
    """Options of a training method; the one source for Python, YAML and the command line."""

    name: str

    def create(self) -> Method:
        """Return the method with these options."""
        return Method()


class Method:
    """Plain training with cross-entropy, and the steps that a method may change.

    >>> import torch
    >>> images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    >>> Method().prepare(images, labels)[0] is images
    True
    """

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change a normalised batch before the network; leave the arguments as they are.

        Args:
            images: ``(N, 3, H, W)``.
            labels: ``(N,)``.

        Returns:
            Images of the same shape, and the labels or probabilities ``(N, classes)``.
        """
        return images, labels

    def head(self, network: Network) -> Head:
        """Return the head that the network gets for good: a run of the method has it too."""
        return network.head

    def attach(self, network: Network) -> None:
        """Change what happens inside the network in training, once, before it begins."""

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the scalar loss of the network's output for what ``prepare`` returned as labels.

        Args:
            output: of the network.
            labels: ``(N,)``, or probabilities ``(N, classes)``.
        """
        from torch.nn.functional import cross_entropy

        return cross_entropy(output.logits.float(), labels)
