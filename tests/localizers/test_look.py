"""What modules give is changed, whatever it comes in."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from wsol.localizers import create_localizer
from wsol.localizers.look import changed_output


class Two(NamedTuple):
    """What some modules give."""

    maps: Tensor
    sizes: tuple[int, int]


class Gives(nn.Module):
    """Gives features as the first of two."""

    def __init__(self, kind: Any) -> None:
        """Keep what makes them one."""
        super().__init__()
        self.kind, self.layer = kind, nn.Conv2d(3, 8, 4, 4)

    def forward(self, images: Tensor) -> Any:
        """Return features and something else."""
        return self.kind((self.layer(images), (1, 2)))


class Classifier(nn.Module):
    """Reads them."""

    def __init__(self, kind: Any) -> None:
        """Make the parts."""
        super().__init__()
        self.body, self.head = Gives(kind), nn.Linear(8, 5)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        features, _ = self.body(images)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


@pytest.mark.parametrize("kind", [tuple, list, Two._make])
def test_the_first_of_several_is_changed(kind: Any) -> None:
    """And all stays of its kind, with names where they have some."""
    body, images = Gives(kind), torch.ones(1, 3, 8, 8)
    before = body(images)
    with changed_output(body, lambda maps: maps + 1):
        after = body(images)
    assert type(after) is type(before)
    assert torch.equal(after[0], before[0] + 1)
    assert after[1] == (1, 2)
    assert create_localizer("gradcam", Classifier(kind), taps=["body"])(images).shape == (1, 8, 8)
