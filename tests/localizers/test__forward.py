"""What modules give is changed, whatever it comes in."""

from typing import Any, NamedTuple

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.localizers._forward import changed_output, find_logits, observe


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
    assert create_localizer("gradcam", Classifier(kind), layers=["body"])(images).shape == (1, 8, 8)


def test_memory_that_runs_out_is_not_a_lack_of_gradients() -> None:
    """It is raised as it is, also where a pass is tried again with gradients from the start."""

    class Frozen(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)

        def forward(self, images: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                raise torch.OutOfMemoryError("CUDA out of memory")
            with torch.no_grad():
                features = self.conv(images)
            features = features.detach()
            logits: Tensor = self.fc(features.mean((2, 3)))
            return logits

    with pytest.raises(torch.OutOfMemoryError):
        observe(Frozen(), torch.ones(1, 3, 8, 8), ["conv"], gradients=True)


def test_a_stage_is_read_where_its_parts_are_called_one_by_one() -> None:
    """As gradient checkpointing does; its output is the same."""
    net = timm.create_model("test_resnet", num_classes=5).eval()
    images = torch.rand(1, 3, 64, 64)
    expected = observe(net, images, ["layer4"]).features["layer4"]
    net.set_grad_checkpointing(True)
    assert torch.equal(observe(net, images, ["layer4"]).features["layer4"], expected)


def test_a_network_with_one_real_head_is_not_headless() -> None:
    """Whatever other heads it has that do nothing."""
    net: Any = nn.Module()
    net.head = nn.Identity()
    logits = torch.zeros(2, 5)
    with pytest.raises(ConfigError, match="classes"):
        find_logits(logits, net)
    net.fc = nn.Linear(8, 5)
    assert find_logits(logits, net) is logits
