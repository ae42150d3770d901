"""Base classes of training methods and their options."""

from __future__ import annotations

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar

from wsol.options import Options

if TYPE_CHECKING:
    from torch import Tensor

    from wsol.models import Head, Network, Output


@dataclass(frozen=True)
class MethodConfig(Options):
    """Options of a training method: one dataclass for Python, YAML and the command line.

    Attributes:
        localizer: default localizer of runs trained with the method.
        method_class: full name of the method class, so that options can be parsed without importing
            torch.
    """

    section: ClassVar[str] = "method."
    localizer: ClassVar[str] = "cam"
    method_class: ClassVar[str] = "wsol.methods.base.Method"

    name: str

    def create(self) -> Method:
        """Create the method with these options."""
        method: Method = resolve_name(self.method_class)(self)
        return method


class Method:
    """Plain training with cross-entropy, and the hooks that a method can override.

    Args:
        config: options of the method.

    Attributes:
        config: options of the method.
        is_multi_label: whether images have multiple labels; set by the trainer before training.
            Labels are then float32 ``(N, classes)``, 1 for each label of an image.
        acts_through_body: whether the method only affects the body's weights, so that it has no
            effect if all of them are frozen.
        changes_images: whether ``prepare`` changes the images, so that features cannot be cached.

    >>> import torch
    >>> images, labels = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    >>> Method().prepare(images, labels)[0] is images
    True
    """

    is_multi_label = False
    acts_through_body = False
    changes_images = False

    config: Any

    def __init__(self, config: MethodConfig | None = None) -> None:
        """Store the options; plain training has none."""
        self.config = config

    def prepare(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Transform a normalised batch before the network, without modifying the arguments.

        Args:
            images: ``(N, 3, H, W)``.
            labels: ``(N,)``, or ``(N, classes)`` for multi-label images.

        Returns:
            Images of the same shape, and the labels or probabilities ``(N, classes)``.
        """
        return images, labels

    def head(self, network: Network) -> Head:
        """Return the network's head, which is also saved with runs of the method."""
        return network.head

    def attach(self, network: Network) -> None:
        """Modify the network for training; called once before training."""

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """Return the scalar loss of the network's output for the labels from ``prepare``.

        Args:
            output: output of the network.
            labels: ``(N,)``, or probabilities ``(N, classes)``.
        """
        return self.classification_loss(output.logits, labels)

    def classification_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean cross-entropy of a batch, in float32.

        For multi-label images the classes are independent: the loss is the sum over the classes of
        the binary cross-entropies.

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
