"""Boxes and heat are drawn where they belong, at the scale of the result."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from wsol.visualization.plots import PREDICTED, TRUE, draw, grid

NO_MAP = np.zeros((0, 0))
NO_BOXES = np.zeros((0, 4))


def coloured(image: Image.Image, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return where an image has exactly this colour."""
    found: NDArray[np.bool_] = (np.asarray(image) == colour).all(-1)
    return found


def extent(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return the box around what is True, x1 and y1 one past it."""
    y, x = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def test_a_image_without_map_and_boxes_is_itself() -> None:
    """Nothing to draw on a small image gives the same pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    assert np.array_equal(np.asarray(draw(image, NO_MAP, NO_BOXES)), pixels)
    assert np.array_equal(np.asarray(image), pixels)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40), st.integers(1, 40))
def test_a_box_is_outlined_inside_its_edges(x: int, y: int, width: int, height: int) -> None:
    """The outline's outer pixels are the box's own first and last ones, however small it is."""
    box = np.array([[x, y, x + width, y + height]], np.float64)
    image = draw(Image.new("RGB", (100, 90)), NO_MAP, box)
    assert extent(coloured(image, PREDICTED)) == (x, y, x + width, y + height)


def test_boxes_shrink_with_the_image() -> None:
    """At half the size a box has half the coordinates; a larger image is not enlarged."""
    box = np.array([[100.0, 40.0, 300.0, 200.0]])
    image = draw(Image.new("RGB", (960, 480)), NO_MAP, box, side=480)
    assert image.size == (480, 240)
    assert extent(coloured(image, PREDICTED)) == (50, 20, 150, 100)
    assert draw(Image.new("RGB", (9, 3000)), NO_MAP, NO_BOXES, side=100).size == (1, 100)


def test_predicted_and_true_boxes_differ_in_colour() -> None:
    """The predicted box lies over the true one, and each has its colour."""
    predicted, true = np.array([[5.0, 5, 20, 20]]), np.array([[15.0, 15, 40, 30]])
    image = draw(Image.new("RGB", (60, 50)), NO_MAP, predicted, true)
    assert extent(coloured(image, PREDICTED)) == (5, 5, 20, 20)
    assert extent(coloured(image, TRUE)) == (15, 15, 40, 30)
    same = draw(Image.new("RGB", (60, 50)), NO_MAP, true, true)
    assert not coloured(same, TRUE).any()


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_heat_is_red_where_the_map_is_high_and_blue_where_low(corner: tuple[int, int]) -> None:
    """A hot quarter of the map reddens that quarter of the image alone."""
    heat_map = np.zeros((2, 2))
    heat_map[corner] = 1
    pixels = np.asarray(draw(Image.new("RGB", (80, 60), "gray"), heat_map, NO_BOXES), int)
    quarters = {
        (v, h): pixels[v * 59, h * 79, 0] - pixels[v * 59, h * 79, 2]
        for v in (0, 1)
        for h in (0, 1)
    }
    assert max(quarters, key=lambda place: quarters[place]) == corner
    assert quarters[corner] > 0
    assert len(set(quarters.values())) == 2


def test_the_image_shows_through_the_heat() -> None:
    """Under a constant map, bright and dark images stay apart."""
    dark, bright = (
        np.asarray(draw(Image.new("RGB", (20, 20), colour), np.zeros((4, 4)), NO_BOXES), int)
        for colour in ("black", "white")
    )
    assert (bright - dark > 100).all()


def test_scores_outside_0_to_1_do_not_wrap_round() -> None:
    """A map a hair above 1 is as hot as 1, not as cold as 0."""
    image = Image.new("RGB", (20, 20))
    hot, cold = (np.asarray(draw(image, np.full((2, 2), v), NO_BOXES)) for v in (1.02, -0.02))
    assert np.array_equal(hot, np.asarray(draw(image, np.ones((2, 2)), NO_BOXES)))
    assert np.array_equal(cold, np.asarray(draw(image, np.zeros((2, 2)), NO_BOXES)))


@settings(deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 9), st.data())
def test_grid_shows_every_image_whole(
    rows: int, columns: int, gap: int, data: st.DataObject
) -> None:
    """Each image's pixels are there, in its row and column, and the rest is white."""
    sides = st.integers(1, 12)
    images = [
        [
            Image.new("RGB", (data.draw(sides), data.draw(sides)), (1 + row, 1 + column, 7))
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    sheet = grid(images, gap)
    total, order = 0, []
    for row in range(rows):
        for column in range(columns):
            mask = coloured(sheet, (1 + row, 1 + column, 7))
            x0, y0, x1, y1 = extent(mask)
            assert (x1 - x0, y1 - y0) == images[row][column].size
            assert mask[y0:y1, x0:x1].all()
            total += int(mask.sum())
            order.append((y0, x0))
    assert order == sorted(order)
    assert coloured(sheet, (255, 255, 255)).sum() == sheet.width * sheet.height - total
