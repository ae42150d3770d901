"""Three maps: the foreground tells the class, the background does not."""

import torch
from torch.nn.functional import cross_entropy

from wsol.methods.trilite import Config
from wsol.methods.trilite.method import TriHead
from wsol.models import LinearHead, Output, create_network


def head_of(seed: int = 0) -> TriHead:
    """Return a head of three classes on two layers."""
    torch.manual_seed(seed)
    return TriHead(LinearHead(6, 3), ["layer"], [4])


def test_regions_are_those_of_one_convolution() -> None:
    """Concatenated on the finest grid, standardized, convolved, normalized, and a softmax."""
    head = head_of().train()
    features, tapped = torch.randn(5, 6, 3, 3), torch.randn(5, 4, 6, 6)
    found = head.regions(features, (tapped,))
    torch.testing.assert_close(found.sum(1), torch.ones(5, 6, 6))

    def standardized(maps: torch.Tensor) -> torch.Tensor:
        points = maps.transpose(0, 1).flatten(1)
        mean, std = points.mean(1), (points.var(1, unbiased=False) + 1e-5).sqrt()
        return (maps - mean[:, None, None]) / std[:, None, None]

    large = torch.nn.functional.interpolate(standardized(features), (6, 6), mode="bilinear")
    layers = torch.cat([large, standardized(tapped)], 1)
    weights = torch.cat([layer[1].weight[:, :, 0, 0] for layer in head.convs], 1)
    expected = standardized(torch.einsum("kc,nchw->nkhw", weights, layers)).softmax(1)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_branches_classify_the_pooled_features() -> None:
    """The classifier on the means of the features, weighted by foreground and background."""
    head = head_of().train()
    features, tapped = torch.randn(2, 6, 4, 4), (torch.randn(2, 4, 4, 4),)
    output = head.output(features, None, tapped)
    regions = head.regions(features, tapped)
    for number, branch in enumerate(output.branches):
        weights = regions[:, number, None]
        mean = (features * weights).sum((2, 3)) / weights.sum((2, 3))
        torch.testing.assert_close(branch, head.linear(mean), atol=1e-4, rtol=1e-4)
    assert head.eval().output(features).branches == ()
    torch.testing.assert_close(output.logits, head.linear(features.mean((2, 3))))


def test_the_background_loss_is_that_of_all_other_classes() -> None:
    """-log(1 - p) of the true class, also where p is nearly 1."""
    method = Config(background_weight=2).create()
    logits, labels = torch.tensor([[1.0, 2.0, 0.5], [0.0, -3.0, 1.0]]), torch.tensor([1, 2])
    zero = torch.zeros(2, 3)
    found = method.loss(Output(zero, zero, (zero, logits)), labels)
    expected = -(1 - logits.softmax(1)[range(2), labels]).log().mean()
    torch.testing.assert_close(found, 2 * torch.tensor(3.0).log() + 2 * expected)
    sure = torch.tensor([[200.0, 0.0, 0.0]])
    loss = method.loss(Output(zero[:1], zero, (zero[:1], sure)), torch.tensor([0]))
    torch.testing.assert_close(
        loss, 2 * torch.tensor(3.0).log() + 2 * (200 - torch.tensor(2.0).log())
    )


def test_the_background_has_none_of_multiple_labels() -> None:
    """Labels are independent; labels that an image does not have do not count."""
    method = Config(background_weight=1).create()
    method.is_multi_label = True
    logits, labels = torch.tensor([[1.0, 2.0, 0.5]]), torch.tensor([[1.0, 0.0, 1.0]])
    zero = torch.zeros(1, 3)
    found = method.loss(Output(zero, zero, (zero, logits)), labels)
    expected = -(1 - logits.sigmoid())[0, [0, 2]].log().sum()
    torch.testing.assert_close(found, 6 * torch.tensor(2.0).log() + expected)


def test_the_loss_moves_the_foreground_to_the_class() -> None:
    """Of features in which one channel tells the class in one corner, that corner is found."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=2, pretrained=False)
    network.body = torch.nn.Identity()
    head = network.head = TriHead(LinearHead(4, 2), (), ())
    method = Config().create()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9)
    for _ in range(200):
        labels = torch.randint(0, 2, (16,))
        features = torch.rand(16, 4, 6, 6) * 0.1
        features[:, 2] += 1
        features[:, 2, :3, :3] = 0
        features[range(16), labels, :3, :3] += 1
        output = head.train().output(features, labels)
        optimizer.zero_grad()
        method.loss(output, labels).backward()
        optimizer.step()
    foreground = head.eval().foreground(features, ())
    assert foreground[:, :3, :3].min() > foreground[:, 3:, 3:].max()
    assert cross_entropy(output.branches[0], labels) < 0.1
