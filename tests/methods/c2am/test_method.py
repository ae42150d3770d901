"""Contrast of foreground and background, against plain loops."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from wsol.methods.c2am import Config
from wsol.methods.c2am.method import C2AMHead, negative_loss, positive_loss
from wsol.models import LinearHead


def test_pairs_are_those_of_a_plain_loop() -> None:
    """Every foreground with every background, and every image with every other, by rank."""
    torch.manual_seed(0)
    first, second = torch.rand(4, 7), torch.rand(4, 7)
    expected = sum(
        -math.log(1 - cosine_similarity(first[i], second[j], dim=0))
        for i in range(4)
        for j in range(4)
    )
    assert float(negative_loss(first, second)) == pytest.approx(expected / 16, rel=1e-4)
    total = 0.0
    for i in range(4):
        found = [float(cosine_similarity(first[i], first[j], dim=0)) for j in range(4) if j != i]
        for rank, value in enumerate(sorted(found, reverse=True)):
            total -= math.exp(-0.5 * rank) * math.log(value)
    assert float(positive_loss(first, 0.5)) == pytest.approx(total / 12, rel=1e-4)


def test_losses_stay_finite() -> None:
    """Of one image, of equal features, and of opposite ones."""
    one = torch.rand(1, 5, requires_grad=True)
    assert positive_loss(one, 0.25) == 0
    same = torch.ones(3, 5, requires_grad=True)
    loss = negative_loss(same, same) + positive_loss(same, 0.25) + positive_loss(same - 2, 0.25)
    loss = loss + positive_loss(one, 0.25)
    loss.backward()
    assert same.grad.isfinite().all()
    assert one.grad.isfinite().all()


def test_sides_are_pooled_by_the_map_and_by_its_rest() -> None:
    """Features of all layers, each on its own grid, divided by the deviations of its channels."""
    torch.manual_seed(0)
    head = C2AMHead(LinearHead(6, 3), ["layer"], [4]).train()
    features, tapped = torch.rand(2, 6, 3, 3), torch.rand(2, 4, 6, 6)
    inside, outside = head.output(features, torch.tensor([0, 2]), (tapped,)).branches
    activation = head.activation(features, (tapped,))
    features = features / features.std((0, 2, 3), correction=0)[:, None, None]
    tapped = tapped / tapped.std((0, 2, 3), correction=0)[:, None, None]
    coarse = activation.unfold(1, 2, 2).unfold(2, 2, 2).mean((3, 4))
    last = torch.einsum("nhw,nchw->nc", coarse, features) / 9
    finer = torch.einsum("nhw,nchw->nc", activation, tapped) / 36
    torch.testing.assert_close(inside, torch.cat([last, finer], 1), rtol=1e-3, atol=1e-4)
    both = torch.cat([features.mean((2, 3)), tapped.mean((2, 3))], 1)
    torch.testing.assert_close(inside + outside, both, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_foreground_is_the_side_of_the_class(sign: int) -> None:
    """Whichever side the map is drawn on, the evidence turns it to where the class is."""
    torch.manual_seed(0)
    head = C2AMHead(LinearHead(2, 2), (), ()).train()
    with torch.no_grad():
        head.linear.weight.copy_(torch.eye(2))
        head.convs[0][1].weight.copy_(sign * torch.ones(1, 2, 1, 1))
    labels = torch.randint(0, 2, (8,))
    features = torch.rand(8, 2, 6, 6) * 0.1
    features[range(8), labels, :3, :3] += 1
    for _ in range(60):
        head.output(features, labels)
    assert head.evidence.sign() == sign
    foreground = head.eval().foreground(features, ())
    assert foreground[:, :3, :3].min() > foreground[:, 3:, 3:].max()
    assert head.output(features).branches == ()


def test_the_loss_separates_object_and_ground() -> None:
    """Of two kinds of features, mixed at random places, the map has one kind."""
    torch.manual_seed(0)
    head = C2AMHead(LinearHead(4, 2), (), ()).train()
    method = Config().create()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    for _ in range(150):
        labels = torch.randint(0, 2, (8,))
        here = torch.rand(8, 6, 6) < 0.4
        features = torch.rand(8, 4, 6, 6) * 0.2
        features[:, 2] += (~here).float()
        features[:, 0] += here * (labels == 0)[:, None, None]
        features[:, 1] += here * (labels == 1)[:, None, None]
        features[:, 3] += here.float()
        optimizer.zero_grad()
        method.loss(head.train().output(features, labels), labels).backward()
        optimizer.step()
    foreground = head.eval().foreground(features, ())
    assert foreground[here].min() > foreground[~here].max()
