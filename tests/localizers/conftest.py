"""Tiny networks, and localizers that are ready to be asked."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wsol.localizers import ScoreMaps, create_localizer
from wsol.localizers._forward import observe
from wsol.localizers.distilled import DistilledLocalizer
from wsol.localizers.perturbation import ForwardCAM
from wsol.models import Network, create_network

Make = Callable[..., ScoreMaps]

ATTENTION = ("attention_rollout", "gradient_rollout", "tscam")
"""Localizers of transformers alone."""


def prepare(localizer: ScoreMaps, images: Tensor) -> None:
    """Fit a localizer to images if needed, or give it an untrained head."""
    if localizer.needs_fit and not isinstance(localizer, DistilledLocalizer):
        localizer.fit([images])
    if isinstance(localizer, DistilledLocalizer):
        forward_pass = observe(localizer.model, images, localizer.layers)
        features = localizer.features(forward_pass)
        torch.manual_seed(0)
        localizer.head = localizer.new_head(
            features.shape[1], num_classes=forward_pass.logits.shape[1]
        )
        localizer.head.mean.copy_(features.mean((0, 2, 3)))
        localizer.head.std.copy_(features.std((0, 2, 3)).clamp(min=1e-6))


@pytest.fixture
def images() -> Tensor:
    """Return a batch of three, wider than high."""
    return torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def tiny() -> Callable[[str], Network]:
    """Return what makes a network for a localizer, in training mode as a training has it."""

    def tiny(name: str) -> Network:
        torch.manual_seed(0)
        backbone = "test_vit" if name in ATTENTION else "test_resnet"
        method = "c2am" if name == "foreground" else "none"
        return create_network(backbone, num_classes=4, pretrained=False, method=method).train()

    return tiny


@pytest.fixture
def make(images: Tensor, tiny: Callable[[str], Network]) -> Make:
    """Return a function that creates a localizer and fits it to images if needed."""

    def make(name: str, network: torch.nn.Module | None = None, **options: object) -> ScoreMaps:
        if name in ("scorecam", "ablationcam"):
            options = {"channels": 8} | options
        model = tiny(name) if network is None else network
        localizer = create_localizer(name, model, **options)
        assert isinstance(localizer, ForwardCAM) == (name in ("scorecam", "ablationcam"))
        prepare(localizer, images)
        return localizer

    return make


@pytest.fixture(name="prepare")
def prepare_fixture() -> Callable[[ScoreMaps, Tensor], None]:
    """Return what makes any localizer ready to be asked."""
    return prepare
