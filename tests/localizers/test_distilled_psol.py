"""A map is its box, exactly; a head learns boxes; a localizer without one says so."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.localizers.distilled import PSOL, filled
from wsol.localizers.distilled_heads import BoxHead, box_loss
from wsol.maps import boxes_at, normalize
from wsol.models import Network

Tiny = Callable[[str], Network]

LAYERS, CHANNELS = ("layer3", "layer4"), 288

FINE = 64
"""Points in each direction of a pixel, that the slow rasteriser asks."""

sides = st.tuples(st.integers(0, 12 * FINE), st.integers(1, 12 * FINE)).map(
    lambda pair: (pair[0] % pair[1], pair[1]) if pair[0] >= pair[1] else pair
)


def by_counting(box: tuple[float, ...], height: int, width: int) -> np.ndarray:
    """Return the share of points of each pixel that lie in a box, one by one."""
    x0, y0, x1, y1 = box
    xs = (np.arange(width * FINE) + 0.5) / (width * FINE)
    ys = (np.arange(height * FINE) + 0.5) / (height * FINE)
    inside = ((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))
    return inside.reshape(height, FINE, width, FINE).mean((1, 3))


@example((0, 380), (28, 381), 2, 2)
@given(sides, sides, st.integers(1, 9), st.integers(2, 9))
def test_a_filled_box_is_its_area(
    across: tuple[int, int], down: tuple[int, int], height: int, width: int
) -> None:
    """Each pixel has the share of it that lies in the box, as points say that are counted."""
    box = [share / (12 * FINE) for share in (across[0], down[0], across[1], down[1])]
    expected = by_counting(tuple(box), height, width)
    found = filled(torch.tensor([box]), height, width)[0].numpy()
    if found[0, 0] == 0 and found.ravel()[1:].min() > 0:
        # A map without a free pixel would have no object, also where points miss a thin strip.
        expected[0, 0] = 0
    # Each of the four edges, which may all lie in one pixel, misses half a point at most.
    np.testing.assert_allclose(found, expected, atol=2 / FINE)


@given(
    st.tuples(st.floats(0, 0.9), st.floats(0.1, 1)), st.tuples(st.floats(0, 0.9), st.floats(0.1, 1))
)
def test_a_threshold_gives_the_box_back(
    across: tuple[float, float], down: tuple[float, float]
) -> None:
    """To half a pixel, for boxes up to the whole image."""
    (x0, width), (y0, height) = across, down
    box = torch.tensor([[x0, y0, min(x0 + width, 1), min(y0 + height, 1)]])
    heat_map, has_object = normalize(filled(box, 48, 64)[0].numpy())
    assert has_object
    found = boxes_at(heat_map, 0.5, "largest")[0]
    np.testing.assert_allclose(found, box[0].numpy() * (64, 48, 64, 48), atol=0.51)


def test_a_head_learns_where_the_bright_part_is() -> None:
    """Boxes of bright rectangles it has never seen are found, after a few hundred steps."""
    chance = torch.Generator().manual_seed(0)

    def images(count: int) -> tuple[Tensor, Tensor]:
        corner = torch.rand(count, 2, generator=chance) * 0.5
        size = 0.2 + torch.rand(count, 2, generator=chance) * 0.3
        boxes = torch.cat((corner, corner + size), dim=1)
        noise = torch.randn(count, 4, 14, 14, generator=chance) / 4
        return noise + filled(boxes, 14, 14)[:, None], boxes

    torch.manual_seed(0)
    head = BoxHead(channels=4, width=32)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.003)
    for _ in range(200):
        features, boxes = images(16)
        loss = box_loss(head(features), boxes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, boxes = images(64)
    assert (head(features) - boxes).abs().mean() < 0.03


def test_the_state_is_complete(tiny: Tiny, images: Tensor) -> None:
    """A localizer with the state of another one says the same; a broken one is refused."""
    network = tiny("cam")
    one, two = PSOL(network, LAYERS), PSOL(network, LAYERS)
    one.head = BoxHead(channels=CHANNELS, width=8)
    one.head.mean += 0.5
    state = one.state()
    two.load_state(state)
    assert torch.equal(one(images), two(images))
    with pytest.raises(ConfigError, match="not the weights of a psol head: 'mix"):
        two.load_state({})
    with pytest.raises(ConfigError, match="not the weights of a psol head"):
        two.load_state(state | {"psol.mean": torch.zeros(3)})


def test_without_a_state_it_says_what_to_do(tiny: Tiny, images: Tensor) -> None:
    """Whether it is asked, shown images or to be kept."""
    localizer = create_localizer("psol", tiny("cam"))
    for use in (lambda: localizer(images), lambda: localizer.fit([images]), localizer.state):
        with pytest.raises(ConfigError, match="wsol distill RUN --out NEW"):
            use()


def test_it_goes_with_flipped_images(tiny: Tiny, images: Tensor) -> None:
    """As any other localizer, by the same state."""
    network = tiny("cam")
    plain = create_localizer("psol", network, layers=LAYERS)
    plain.head = BoxHead(channels=CHANNELS, width=8)
    flipped = create_localizer("psol", network, layers=LAYERS, flip=True)
    flipped.load_state(plain.state())
    both = (plain(images) + plain(images.flip(-1)).flip(-1)) / 2
    torch.testing.assert_close(flipped(images), both, atol=1e-4, rtol=0)
