"""Masks: the parts that boxes were drawn around, and nothing of them lost at another size."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wsol.maps import boxes_at, masks_at, objects_at, scale_boxes, scale_mask
from wsol.maps.normalize import grey_levels

MAPS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
    elements=st.sampled_from([0, 0, 0.1, 0.3, 0.7, 1.0]).map(np.float32),
)
THRESHOLDS = st.sampled_from([0.0, 0.2, 0.5, 0.95])


def bounding_box(mask: np.ndarray) -> list[int]:
    """Return x0 y0 x1 y1 of what is set."""
    ys, xs = np.nonzero(mask)
    return [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


@given(MAPS, THRESHOLDS)
def test_the_mask_of_a_largest_contour_is_its_component(
    score_map: np.ndarray, threshold: float
) -> None:
    """The same pixels as the component of OpenCV that fills the box."""
    boxes = boxes_at(score_map, threshold, "largest")
    masks = masks_at(score_map, threshold, boxes)
    assert len(masks) == len(boxes)
    grey = grey_levels(score_map)
    above = (grey > int(threshold * grey.max())).astype(np.uint8)
    number, labels = cv2.connectedComponents(above, connectivity=8)
    parts = [labels == label for label in range(1, number)]
    for mask, box in zip(masks, boxes.tolist(), strict=True):
        same = [part for part in parts if bounding_box(part) == box]
        assert len(same) == 1
        np.testing.assert_array_equal(mask, same[0])


@given(MAPS, THRESHOLDS)
def test_the_mask_of_each_of_several_objects_spans_its_box(
    score_map: np.ndarray, threshold: float
) -> None:
    """Also where parts were merged; each has only pixels above the threshold."""
    boxes = objects_at(score_map, threshold).boxes
    grey = grey_levels(score_map)
    for mask, box in zip(masks_at(score_map, threshold, boxes), boxes.tolist(), strict=True):
        assert bounding_box(mask) == box
        assert not mask[grey <= int(threshold * grey.max())].any()


@given(
    arrays.arrays(np.float32, (2, 9, 9), elements=st.sampled_from([0, 0, 0.3, 1.0]).map(np.float32))
)
def test_on_a_map_of_several_classes_each_box_has_its_mask(maps: np.ndarray) -> None:
    """Boxes of one class each, masks of the map that both share."""
    shared = maps.max(0)
    for score_map in maps:
        if score_map.max() == 1:
            boxes = boxes_at(score_map, 0.2, "largest")
            (mask,) = masks_at(shared, 0.2, boxes)
            assert bounding_box(mask) == boxes[0].tolist()
            assert not mask[shared == 0].any()


def test_a_part_that_goes_on_is_cut_at_the_box_and_a_foreign_box_is_filled() -> None:
    """As on a map of several classes, and for a box that someone has drawn."""
    score_map = np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    masks = masks_at(score_map, 0.5, np.array([[0, 0, 2, 1], [1, 0, 4, 2]]))
    assert masks.astype(int).tolist() == [
        [[1, 1, 0, 0], [0, 0, 0, 0]],
        [[0, 1, 1, 1], [0, 1, 1, 1]],
    ]


@given(
    arrays.arrays(np.bool_, st.tuples(st.integers(1, 20), st.integers(1, 20))),
    st.integers(1, 70),
    st.integers(1, 70),
)
def test_sides_stay_within_a_pixel_at_any_size(mask: np.ndarray, width: int, height: int) -> None:
    """Larger or smaller: no side moves by a pixel, so nothing is lost."""
    scaled = scale_mask(mask, (width, height))
    assert scaled.shape == (height, width)
    assert scaled.any() == mask.any()
    if mask.any():
        size = (mask.shape[1], mask.shape[0])
        box = scale_boxes(np.array([bounding_box(mask)]), size, (width, height))[0]
        assert np.abs(box - bounding_box(scaled)).max() < 1


@pytest.mark.parametrize("times", [1, 2, 5])
def test_whole_factors_repeat_pixels(times: int) -> None:
    """Nearest pixels, as numpy repeats them."""
    mask = np.random.default_rng(0).random((6, 4)) < 0.5
    expected = mask.repeat(times, 0).repeat(times, 1)
    np.testing.assert_array_equal(scale_mask(mask, (4 * times, 6 * times)), expected)
