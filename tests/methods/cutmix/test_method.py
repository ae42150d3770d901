"""Boxes and labels are mixed by the same areas."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from wsol.errors import ConfigError
from wsol.methods.cutmix import Config, cutmix
from wsol.methods.cutmix.method import cut_box
from wsol.models import Network, create_network

COUNT, CLASSES = 6, 4


@pytest.fixture(scope="module")
def network() -> Network:
    """Return a tiny network."""
    return create_network("test_resnet", num_classes=CLASSES, pretrained=False)


def numbered(count: int, height: int, width: int) -> torch.Tensor:
    """Return images of which each pixel has the image's number."""
    return torch.arange(float(count)).view(-1, 1, 1, 1).repeat(1, 3, height, width)


@pytest.mark.parametrize("beta", [0.04, 1.0, 5.0])
def test_targets_are_the_shares_of_the_pixels(beta: float) -> None:
    """In each image the pixels of each other one are counted; the targets are those shares."""
    images, targets = numbered(COUNT, 14, 10), torch.eye(COUNT)
    shared_boxes = set()
    for seed in range(50):
        torch.manual_seed(seed)
        mixed, mixed_targets = cutmix(images, targets, beta)
        counted = torch.stack([(mixed[:, 0] == n).float().mean((1, 2)) for n in range(COUNT)], 1)
        torch.testing.assert_close(mixed_targets, counted)
        torch.testing.assert_close(mixed_targets.sum(1), torch.ones(COUNT))
        assert torch.equal(mixed[:, 0], mixed[:, 2])
        # The same box in all images that got one from another, and a box it is.
        foreign = mixed[:, 0] != images[:, 0]
        boxes = {tuple(box.nonzero().flatten().tolist()) for box in foreign if box.any()}
        assert len(boxes) <= 1
        shared_boxes |= boxes
        if boxes:
            rows, columns = (foreign.any(0).any(side).sum() for side in (1, 0))
            assert foreign.any(0).sum() == rows * columns
    assert len(shared_boxes) > 5


def test_each_image_gives_its_box_once() -> None:
    """The boxes come from the images in another order: none is used twice or left out."""
    images, orders = numbered(COUNT, 8, 8), set()
    for seed in range(30):
        torch.manual_seed(seed)
        _, targets = cutmix(images, torch.eye(COUNT), beta=1.0)
        torch.testing.assert_close(targets.sum(0), torch.ones(COUNT))
        orders.add(tuple(targets.fill_diagonal_(0).argmax(1).tolist()))
    assert len(orders) > 10


@given(
    st.floats(0, 1),
    st.integers(1, 300).flatmap(lambda w: st.tuples(st.just(w), st.integers(0, w - 1))),
    st.integers(1, 300).flatmap(lambda h: st.tuples(st.just(h), st.integers(0, h - 1))),
)
def test_boxes_lie_inside_and_are_never_larger_than_asked(
    share: float, across: tuple[int, int], down: tuple[int, int]
) -> None:
    """Sides are even before they are cut, go with the root of the area, and hold the centre."""
    (width, x), (height, y) = across, down
    x0, y0, x1, y1 = cut_box(share, (x, y), (width, height))
    for low, middle, high, side in ((x0, x, x1, width), (y0, y, y1, height)):
        assert 0 <= low <= middle <= high <= side
        wanted = side * (1 - share) ** 0.5
        assert high - low <= wanted + 1e-6
        if low > 0 and high < side:
            assert (high - low) % 2 == 0
            assert high - low > wanted - 2 - 1e-6


def test_shares_follow_the_distribution() -> None:
    """With a small beta an image stays almost whole or is almost gone; with a large one half.

    In the middle of a wide image the cut at the edges is rare for large boxes only, so the means
    are compared loosely.
    """
    images, spread = numbered(2, 64, 64), {}
    for beta in (0.1, 50.0):
        torch.manual_seed(0)
        kept = [float(cutmix(images, torch.eye(2), beta)[1].diagonal()[0]) for _ in range(300)]
        spread[beta] = torch.tensor([value for value in kept if value < 1]).std()
    assert spread[50.0] < 0.15 < spread[0.1]


def test_the_loss_mixes_both_labels(network: Network) -> None:
    """It is the mean of the losses with each label, weighted with the shares of the pixels."""
    method = Config().create()
    method.attach(network)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    images = numbered(COUNT, 64, 64)
    torch.manual_seed(4)
    mixed, targets = method.prepare(images, labels)
    output = network.eval()(mixed)
    expected = torch.zeros(())
    for index in range(COUNT):
        for source in range(COUNT):
            share = (mixed[index, 0] == source).float().mean()
            loss = cross_entropy(output.logits[index : index + 1], labels[source : source + 1])
            expected += share * loss / COUNT
    assert targets.shape == (COUNT, CLASSES)
    assert not torch.equal(mixed, images)
    torch.testing.assert_close(method.loss(output, targets), expected)


@pytest.mark.parametrize("prob", [0.0, 0.25, 1.0])
def test_prob_is_the_share_of_mixing_steps(network: Network, prob: float) -> None:
    """The other steps get the very batch; the bound is four standard deviations of the count."""
    method, steps = Config(prob=prob).create(), 1000
    method.attach(network)
    images, labels = torch.randn(2, 3, 4, 4), torch.tensor([1, 3])
    torch.manual_seed(0)
    mixes = 0
    for _ in range(steps):
        inputs, targets = method.prepare(images, labels)
        mixes += inputs is not images
        assert (inputs is images) == (targets is labels)
    assert abs(mixes - prob * steps) <= 4 * (steps * prob * (1 - prob)) ** 0.5


def test_beta_reaches_the_images(network: Network) -> None:
    """The method does what the function does with the same options."""
    images, labels = numbered(COUNT, 16, 16), torch.tensor([0, 1, 2, 3, 0, 1])
    torch.manual_seed(5)
    torch.rand(())
    expected = cutmix(images, torch.eye(CLASSES)[labels], 0.3)
    method = Config(beta=0.3).create()
    method.attach(network)
    torch.manual_seed(5)
    found = method.prepare(images, labels)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_and_memory_format_stay(dtype: torch.dtype) -> None:
    """The images keep their type and memory order."""
    images = torch.ones(2, 3, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last)
    mixed, _ = cutmix(images, torch.eye(2), 1.0)
    assert mixed.dtype == dtype
    assert mixed.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("beta", value) for value in (0.0, -1.0, float("inf"), float("nan"))),
        *(("prob", value) for value in (-0.1, 1.1, float("nan"))),
    ],
)
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    """What is no distribution or share is refused by name."""
    with pytest.raises(ConfigError, match=rf"method\.{option}: {value}"):
        Config(**{option: value})


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_distribution_is_refused_by_the_function_too(beta: float) -> None:
    """As by the method, with the option's name."""
    with pytest.raises(ConfigError, match="beta"):
        cutmix(torch.zeros(2, 3, 4, 4), torch.eye(2), beta)
