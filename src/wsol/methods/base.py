"""What a training method is: up to four small steps around a network."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from wsol.options import Options

if TYPE_CHECKING:
    from torch import Tensor

    from wsol.models import Head, Network, Output


@dataclass(frozen=True)
class MethodConfig(Options):
    """Options of a training method; the one source for Python, YAML and the command line.

    Attributes:
        localizer: name of the localizer that a run of the method has unless another is chosen.
        method_class: full name of the class that is created from the options, so that options can
            be read without importing torch.
    """

    section: ClassVar[str] = "method."
    localizer: ClassVar[str] = "cam"
    method_class: ClassVar[str] = "wsol.methods.base.Method"

    name: str

    def create(self) -> Method:
        """Return the method with these options."""
        module, _, name = self.method_class.rpartition(".")
        method: Method = getattr(import_module(module), name)(self)
        return method


class Method:
    """Plain training with cross-entropy, and the steps that a method may change.

    Attributes:
        is_multi_label: whether images have several labels; the training says so before it
            begins. What the methods work on as labels then is float32 ``(N, classes)``, 1 for each
            of an image's.
        acts_through_body: whether the method helps only by what the body's weights learn, so that
            it is of no use where all of them are frozen.
        changes_images: whether ``prepare`` changes the images, so that the network must see them
            anew in each step.

    >>> import torch
    >>> images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    >>> Method().prepare(images, labels)[0] is images
    True
    """

    is_multi_label = False
    acts_through_body = False
    changes_images = False

    def __init__(self, config: MethodConfig | None = None) -> None:
        """Take the options, of which plain training has none."""

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change a normalised batch before the network; leave the arguments as they are.

        Args:
            images: ``(N, 3, H, W)``.
            labels: ``(N,)``, or ``(N, classes)`` where images have several.

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
        return self.classification_loss(output.logits, labels)

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of a batch, in float32: cross-entropy, of all classes or of each.

        Where images have several labels, each class is a question of its own: the loss is the
        sum over the classes of the binary cross-entropies.

        Args:
            logits: ``(N, classes)``.
            labels: ``(N,)``, or probabilities ``(N, classes)``.

        >>> import torch
        >>> method, logits = Method(), torch.zeros(1, 4)
        >>> method.classification_loss(logits, torch.tensor([2])).exp()
        tensor(4.)
        >>> method.is_multi_label = True
        >>> method.classification_loss(logits, torch.tensor([[1.0, 0, 1, 0]])).exp()
        tensor(16.)
        """
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        if not self.is_multi_label:
            return cross_entropy(logits.float(), labels)
        total = binary_cross_entropy_with_logits(logits.float(), labels, reduction="sum")
        return total / len(labels)
