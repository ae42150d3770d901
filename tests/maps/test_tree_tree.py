"""The component tree gives, bit for bit, what one contour call per grey level gives."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps import IouCurves, iou_curves
from wsol.maps._basins import label_basins, list_steps

KINDS = [
    *("noise", "few levels", "rings", "thin", "smooth"),
    *("row", "column", "islands", "bumps", "plateaus", "cones"),
]

RandomMap = Callable[..., NDArray[np.float64]]


def contours_of_every_level(
    score_map: NDArray[np.floating], ground_truth: NDArray[np.int64], levels: NDArray[np.int64]
) -> IouCurves:
    """Return the curves by OpenCV, with a call for each set of pixels that differs from others."""
    present = np.unique(np.append(0, (score_map * 255).astype(np.uint8)))
    options = present[present <= levels[-1]].astype(np.int64)
    found = iou_curves(score_map, ground_truth, thresholds_of(options, levels), backend="opencv")
    same = np.searchsorted(options, levels, side="right") - 1
    return IouCurves(found.largest[same], found.all[same])


def thresholds_of(options: NDArray[np.int64], levels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return thresholds in the middle of what belongs to a grey level."""
    return (options + 0.5) / len(levels)


def check(score_map: NDArray[np.floating], random: np.random.Generator) -> None:
    """Compare both rules at every level below the brightest, and beyond where that is 0."""
    height, width = score_map.shape
    corners = np.sort(random.integers(0, (width, height), (random.integers(1, 4), 2, 2)), 1)
    ground_truth = corners.reshape(-1, 4)
    levels = np.arange(max(1, int((score_map.max() * 255).astype(np.uint8))))
    tree = iou_curves(score_map, ground_truth, thresholds_of(levels, levels))
    contours = contours_of_every_level(score_map, ground_truth, levels)
    np.testing.assert_array_equal(tree.all, contours.all)
    np.testing.assert_array_equal(tree.largest, contours.largest)


@pytest.mark.parametrize("kind", KINDS)
def test_the_tree_equals_the_contours(kind: str, random_map: RandomMap) -> None:
    """Both rules, every level, several true boxes, not one difference in 2,000 maps."""
    random = np.random.default_rng(sum(map(ord, kind)))
    for index in range(185):
        score_map = random_map(kind, random, 32 if index % 10 == 0 else 12)
        if index % 3 == 0:
            # Of a file of grey pixels: no bits are left below a level.
            score_map = np.floor(255 * score_map) / 255
        check(score_map.astype((np.float64, np.float32)[index % 2]), random)


@pytest.mark.parametrize("whole_levels", [False, True])
def test_a_map_of_several_hundred_basins(whole_levels: bool) -> None:
    """Noise is the worst case: each pixel is a cell, and the list of links grows."""
    random = np.random.default_rng(3)
    score_map = random.random((90, 70))
    if whole_levels:
        score_map = np.floor(score_map * 40) / 255
    fine = np.pad((score_map * 65280).astype(np.uint16), 1)
    grey = (fine >> 8).astype(np.uint8)
    basins = label_basins(grey, fine, np.zeros_like(grey), list_steps(72))
    assert basins.number > 400
    check(score_map, random)


def test_a_map_of_few_basins_for_its_size() -> None:
    """A table of cells by basin and level, with holes and a plateau at the border."""
    y, x = np.mgrid[:120, :90]
    random = np.random.default_rng(4)
    for _ in range(3):
        ring = np.exp(-((np.hypot(y - 60, x - 40) - random.uniform(15, 30)) ** 2) / 90)
        hill = np.exp(-((y - 50) ** 2 + (x - 45) ** 2) / random.uniform(20, 200))
        ramp = np.clip((x - 60) / 29, 0, random.uniform(0.3, 0.9))
        check(np.maximum(np.maximum(ring * (0.6 + 0.3 * np.sin(y / 9)), hill), ramp), random)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 40), (40, 1)])
@pytest.mark.parametrize("score", [0.0, 0.001, 0.5, 1.0])
def test_constant_maps(shape: tuple[int, int], score: float) -> None:
    """A map of one value, dark, in between or bright, is whole at every level below it."""
    check(np.full(shape, score), np.random.default_rng(5))


def test_views_in_any_order() -> None:
    """A turned map is the map turned, which the order in memory does not show."""
    random = np.random.default_rng(6)
    score_map = random.random((20, 31))
    check(score_map.T, random)
    check(np.asfortranarray(score_map)[::-1, ::2], random)


@pytest.mark.parametrize("ring_first", [True, False])
def test_a_ring_and_a_square_of_one_outline(ring_first: bool) -> None:
    """Of equal areas the last in the image is OpenCV's first, if its hole is counted."""
    square = np.ones((6, 6))
    ring = square.copy()
    ring[2:4, 2:4] = 0
    parts = (ring, square) if ring_first else (square, ring)
    score_map = np.pad(np.vstack((parts[0], np.zeros((2, 6)), parts[1])), 1)
    curves = iou_curves(score_map, np.array([[1, 9, 7, 15]]), np.array([0.5]))
    assert curves.largest.tolist() == [1.0]
    check(score_map, np.random.default_rng(7))
