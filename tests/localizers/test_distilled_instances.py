"""The head that tells touching objects apart, and its maps."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers._forward import observe
from wsol.localizers.distilled import DistilledInstances
from wsol.localizers.distilled_heads import InstanceHead, instance_loss
from wsol.models import Network

Tiny = Callable[[str], Network]
LAYERS = ["layer2", "layer4"]


def ready(network: Network, images: Tensor, width: int = 8) -> DistilledInstances:
    """Return a localizer with an untrained head."""
    torch.manual_seed(1)
    localizer = DistilledInstances(network, LAYERS, interpolation="bilinear")
    channels = localizer.features(observe(network, images, LAYERS)).shape[1]
    localizer.head = InstanceHead(channels, width, num_classes=4)
    return localizer


def test_the_loss_is_that_of_each_place() -> None:
    """Depths, and yes or no for each class."""
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 3)
    depth, classes = torch.rand(2, 3, 3), torch.randint(-1, 3, (2, 3, 3))
    depths, labels = [], []
    for place in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(3)).tolist():
        image, y, x = place
        share = logits[image, 0, y, x].sigmoid()
        wanted = depth[image, y, x]
        depths.append(-(wanted * share.log() + (1 - wanted) * (1 - share).log()))
        shares = logits[image, 1:, y, x].sigmoid()
        right = [s if k == classes[image, y, x] else 1 - s for k, s in enumerate(shares)]
        labels.append(-torch.stack(right).log().mean())
    expected = torch.stack(depths).mean() + torch.stack(labels).mean()
    found = instance_loss(logits, torch.stack((depth, classes.float()), 1))
    torch.testing.assert_close(found, expected)


def test_a_head_learns_where_two_objects_meet() -> None:
    """On features that show the objects and their border."""
    torch.manual_seed(0)
    depth = torch.tensor([0.0, 0.5, 1.0, 0.5, 1.0, 0.5, 0.0]).expand(1, 3, 7)
    classes = torch.tensor([-1.0, 0, 0, 0, 1, 1, -1]).expand(1, 3, 7)
    features = torch.stack((depth, classes, 1 - depth), 1)
    head = InstanceHead(channels=3, width=16, num_classes=2)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    targets = torch.stack((depth, classes), 1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = head.loss(features, targets)
        loss.backward()
        optimizer.step()
    said = head(features)[0, :, 1]
    torch.testing.assert_close(said[0].sigmoid(), depth[0, 1], atol=0.1, rtol=0)
    assert said[1:, 1:6].argmax(0).tolist() == [0, 0, 0, 1, 1]


def test_each_place_belongs_to_the_likeliest_label(tiny: Tiny, images: Tensor) -> None:
    """Of the requested labels; a single label has all positions that may belong to it."""
    localizer = ready(tiny("cam"), images)
    forward_pass = observe(localizer.model, images, LAYERS)
    said = localizer.ready_head()(localizer.features(forward_pass)).detach()
    labels = torch.tensor([[0, 2], [1, 3], [3, -1]])
    grid = (said.shape[2], said.shape[3])
    maps = localizer.read(forward_pass, labels, grid)
    depth, shares = said[:, 0].sigmoid() ** 2, said[:, 1:].sigmoid()
    for image, (first, second) in enumerate(labels.tolist()):
        owned = shares[image, first] >= (shares[image, second] if second >= 0 else 0)
        torch.testing.assert_close(maps[image, 0], depth[image] * shares[image, first] * owned)
        assert not maps[image, 1][owned].any()
    alone = depth * shares[torch.arange(3), labels[:, 0]]
    torch.testing.assert_close(localizer.read(forward_pass, labels[:, 0], grid), alone)
    assert localizer(images, labels).shape == (3, 2, 64, 96)


def test_the_state_is_complete(tiny: Tiny, images: Tensor) -> None:
    """A localizer with the state of another one says the same; a broken one is refused."""
    network = tiny("cam")
    one, two = ready(network, images, width=6), DistilledInstances(network, LAYERS)
    state = one.state()
    two.interpolation = "bilinear"
    two.load_state(state)
    labels = torch.tensor([[0, 2], [1, 3], [3, -1]])
    assert torch.equal(one(images, labels), two(images, labels))
    for broken in ({}, state | {"instances.mean": torch.zeros(3)}):
        with pytest.raises(ConfigError, match="not the weights of a instances head"):
            two.load_state(broken)
