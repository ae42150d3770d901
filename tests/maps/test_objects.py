"""Objects are what OpenCV's connected components are, but for spots and overlaps."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsol.maps.objects import merge_boxes, objects_at

MAPS = arrays(
    np.float64,
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
)
BOXES = st.lists(
    st.tuples(*[st.integers(0, 12)] * 2, *[st.integers(1, 8)] * 2).map(
        lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
    ),
    max_size=7,
)


@given(MAPS)
def test_each_component_has_its_box_and_peak(score_map: np.ndarray) -> None:
    """With no least area, merged as merge_boxes does."""
    above = (score_map > 0.5 * score_map.max()).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    x0, y0, width, height = (stats[1:, place].astype(np.int64) for place in range(4))
    boxes = np.stack((x0, y0, x0 + width, y0 + height), axis=1)
    peaks = np.array([score_map[labels == number].max() for number in range(1, count)])
    expected = merge_boxes(boxes, peaks)
    found = objects_at(score_map, 0.5, least_area=0)
    assert list(found.peaks) == sorted(found.peaks, reverse=True)
    pairs = (sorted(zip(a.tolist(), b.tolist(), strict=True)) for a, b in (found, expected))
    assert next(pairs) == next(pairs)


def test_spots_are_left_out_but_never_all() -> None:
    """A pixel beside a large object is none; alone it is the object."""
    score_map = np.zeros((40, 40))
    score_map[20, 20] = 1
    assert objects_at(score_map, 0.5).boxes.tolist() == [[20, 20, 21, 21]]
    score_map[2:12, 2:9] = 0.8
    assert objects_at(score_map, 0.5).boxes.tolist() == [[2, 2, 9, 12]]
    assert len(objects_at(np.zeros((4, 4)), 0.5).boxes) == 0


def test_holes_are_no_objects_and_what_lies_inside_is_of_the_ring() -> None:
    """A ring around a dot is one object, with the higher peak."""
    score_map = np.zeros((12, 12))
    score_map[1:11, 1:11], score_map[3:9, 3:9], score_map[5:7, 5:7] = 0.8, 0, 1
    found = objects_at(score_map, 0.5)
    assert (found.boxes.tolist(), found.peaks.tolist()) == ([[1, 1, 11, 11]], [1.0])


@given(BOXES)
def test_merged_boxes_hold_all_and_overlap_little(boxes: list[tuple[int, ...]]) -> None:
    """Each of them lies in one, no two share half of the smaller, and the best score stays."""
    given_boxes = np.array(boxes, np.int64).reshape(-1, 4)
    scores = np.linspace(0.1, 0.9, len(boxes))
    found, kept = merge_boxes(given_boxes, scores)
    for x0, y0, x1, y1 in boxes:
        assert any(a <= x0 and b <= y0 and c >= x1 and d >= y1 for a, b, c, d in found.tolist())
    for i, a in enumerate(found):
        for b in found[:i]:
            sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            areas = [float((box[2:] - box[:2]).prod()) for box in (a, b)]
            assert sides.clip(min=0).prod() <= 0.5 * min(areas)
    assert max(kept, default=0) == max(scores, default=0)


def test_a_map_outside_its_range_is_refused() -> None:
    """As everywhere in this room."""
    with pytest.raises(ValueError, match="1"):
        objects_at(np.array([[0.0, 3.0]]), 0.5)
