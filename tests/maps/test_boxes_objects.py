"""Objects are what OpenCV's connected components are, but for spots and overlaps."""

from random import Random

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsol.maps.boxes import label_regions, merge_boxes, objects_at

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
    """With no least area and where any saddle joins, merged as merge_boxes does."""
    above = (score_map > 0.5 * score_map.max()).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    x0, y0, width, height = (stats[1:, place].astype(np.int64) for place in range(4))
    boxes = np.stack((x0, y0, x0 + width, y0 + height), axis=1)
    peaks = np.array([score_map[labels == number].max() for number in range(1, count)])
    expected = merge_boxes(boxes, peaks)
    found = objects_at(score_map, 0.5, least_area=0, least_saddle=0)
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


@given(st.integers(2, 14), st.integers(2, 14), st.randoms(use_true_random=False))
def test_parts_are_those_of_a_slow_watershed(height: int, width: int, draw: Random) -> None:
    """On maps without equal levels, where there is one way up from each pixel."""
    levels = draw.sample(range(1, 256), height * width)
    grey = np.array(levels).reshape(height, width)
    labels, boxes = label_regions((grey + 0.5) / 256, 0.3, 0.75)
    expected = slow_parts(grey, (grey + 0.5) / 256, 0.3, 0.75)
    assert labels.tolist() == expected.tolist()
    for number, box in enumerate(boxes.tolist(), 1):
        ys, xs = np.nonzero(labels == number)
        assert box == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def slow_parts(
    grey: np.ndarray, score_map: np.ndarray, threshold: float, least_saddle: float
) -> np.ndarray:
    """Flood from bright to dark, then join peaks by the highest saddle between their objects."""
    level = {
        place: int(score_map[place] * 255)
        for place in np.ndindex(grey.shape)
        if int(score_map[place] * 255) > int(threshold * int(score_map.max() * 255))
    }
    peak_of: dict[tuple[int, ...], tuple[int, ...]] = {}
    for place in sorted(level, key=lambda place: -grey[place]):
        higher = [near for near in neighbours(place) if near in peak_of]
        peak_of[place] = peak_of[max(higher, key=lambda near: grey[near])] if higher else place
    saddles: list[tuple[int, tuple[int, ...], tuple[int, ...]]] = []
    for place in sorted(level):
        # The neighbours before it: left, up, up left, up right, in the order that links have.
        y, x = place
        saddles += [
            (min(level[place], level[near]), peak_of[place], peak_of[near])
            for near in ((y, x - 1), (y - 1, x), (y - 1, x - 1), (y - 1, x + 1))
            if near in level and peak_of[near] != peak_of[place]
        ]
    objects = {peak: {peak} for peak in set(peak_of.values())}
    for saddle, one, other in sorted(saddles, key=lambda each: -each[0]):
        first, second = objects[one], objects[other]
        tops = [max(level[peak] for peak in group) for group in (first, second)]
        if first is not second and saddle >= least_saddle * min(tops):
            first |= second
            for peak in second:
                objects[peak] = first
    labels, names = np.zeros(grey.shape, np.int64), {}
    for place in sorted(level):
        labels[place] = names.setdefault(id(objects[peak_of[place]]), len(names) + 1)
    return labels


def neighbours(place: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the eight places around one."""
    y, x = place
    return [(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


def distances(*masks: np.ndarray) -> np.ndarray:
    """Return how deep each pixel lies in the union of masks, as a share of the deepest."""
    depth = cv2.distanceTransform(np.logical_or.reduce(masks).astype(np.uint8), cv2.DIST_L2, 5)
    return depth.astype(np.float64) / depth.max()


@pytest.mark.parametrize("angle", range(0, 180, 15))
def test_touching_discs_are_two_and_an_ellipse_is_one(angle: int) -> None:
    """On maps that rise from the edge to the middle."""
    ys, xs = np.mgrid[:120, :120]
    along, across = (
        np.cos(np.radians(angle + turn)) * (xs - 60) + np.sin(np.radians(angle + turn)) * (ys - 60)
        for turn in (0, 90)
    )
    discs = [(along - side) ** 2 + across**2 < 18**2 for side in (-16, 16)]
    found = objects_at(distances(*discs), 0.1).boxes
    assert len(found) == 2
    for disc in discs:
        ys_of, xs_of = np.nonzero(disc)
        wanted = np.array([xs_of.min(), ys_of.min(), xs_of.max() + 1, ys_of.max() + 1])
        assert min(np.abs(found - wanted).max(1)) <= 5
    ellipse = (along / 40) ** 2 + (across / 15) ** 2 < 1
    assert len(objects_at(distances(ellipse), 0.1).boxes) == 1


@given(BOXES)
def test_merged_boxes_hold_all_and_overlap_little(boxes: list[tuple[int, ...]]) -> None:
    """Each of them lies in one, no two share most of the smaller, and the best score stays."""
    given_boxes = np.array(boxes, np.int64).reshape(-1, 4)
    scores = np.linspace(0.1, 0.9, len(boxes))
    found, kept = merge_boxes(given_boxes, scores)
    for x0, y0, x1, y1 in boxes:
        assert any(a <= x0 and b <= y0 and c >= x1 and d >= y1 for a, b, c, d in found.tolist())
    for i, a in enumerate(found):
        for b in found[:i]:
            sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            areas = [float((box[2:] - box[:2]).prod()) for box in (a, b)]
            assert sides.clip(min=0).prod() <= 0.8 * min(areas)
    assert max(kept, default=0) == max(scores, default=0)


def test_a_map_outside_its_range_is_refused() -> None:
    """As everywhere in this package."""
    with pytest.raises(ValueError, match="1"):
        objects_at(np.array([[0.0, 3.0]]), 0.5)
