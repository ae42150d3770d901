"""Two branches: the second one never sees what the first one looks at most."""

import torch

from wsol.methods.acol import Config
from wsol.methods.acol.method import ACoLHead, erase
from wsol.models import create_network


def test_erased_is_what_reaches_the_share_of_the_range() -> None:
    """The map is scaled by its own minimum and maximum first; the threshold itself is erased."""
    attention = torch.tensor([[[2.0, 8.0, 7.9, 12.0]]])
    kept = erase(torch.ones(1, 2, 1, 4), attention, 0.6)
    assert kept[0].tolist() == [[[1.0, 0.0, 1.0, 0.0]]] * 2


def test_a_flat_map_erases_nothing() -> None:
    """A map that is the same everywhere leaves the features as they are."""
    features = torch.rand(2, 3, 4, 4)
    assert torch.equal(erase(features, torch.full((2, 4, 4), 3.0), 0.5), features)


def test_the_second_branch_depends_on_the_true_class() -> None:
    """Given other labels, other regions are erased; without any, the first choice's are."""
    torch.manual_seed(0)
    head, features = ACoLHead(4, 3, hidden=8, threshold=0.5).train(), torch.rand(2, 4, 6, 6)
    first = head(features).argmax(1)
    found = {shift: head.output(features, (first + shift) % 3).branches[1] for shift in range(3)}
    assert not torch.equal(found[0], found[1])
    assert torch.equal(head.output(features).branches[1], found[0])


def test_the_loss_is_that_of_both_branches() -> None:
    """Zero logits of three classes twice: two times the logarithm of three."""
    network = create_network("test_resnet", num_classes=3, pretrained=False, method="acol")
    labels = torch.tensor([0, 2])
    output = network.train()(torch.rand(2, 3, 64, 64), labels)
    zero = torch.zeros(2, 3)
    flat = output._replace(logits=zero, branches=(output.branches[0], zero))
    loss = Config().create().loss(flat, labels)
    torch.testing.assert_close(loss, 2 * torch.tensor(3.0).log())
    half = output._replace(logits=zero)
    second = torch.nn.functional.cross_entropy(output.branches[1], labels)
    torch.testing.assert_close(Config().create().loss(half, labels), second + loss / 2)
