"""The component tree gives, bit for bit, what one contour call per grey level gives."""

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps import iou_curves

LEVELS = np.arange(256) / 256


def random_map(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a small map of a kind, of any height and width from 1 pixel on."""
    height, width = random.integers(1, 24, 2).tolist()
    if kind == "line":
        height = 1
    noise = random.random((height, width))
    if kind == "few levels":
        return np.floor(noise * 4) / 4
    if kind == "rings":
        y, x = np.mgrid[:height, :width]
        centre = random.random(2) * (height, width)
        return np.cos(np.hypot(y - centre[0], x - centre[1]) * random.uniform(0.5, 3)) / 2 + 0.5
    if kind == "thin":
        return np.where((noise > 0.5) & (random.random((height, 1)) > 0.5), noise, 0.0)
    if kind == "smooth":
        wide = np.pad(noise, 2, mode="edge")
        return np.mean([np.roll(wide, s, (0, 1)) for s in ((0, 1), (1, 0), (1, 1))], 0)[2:-2, 2:-2]
    return noise


@pytest.mark.parametrize("kind", ["noise", "few levels", "rings", "thin", "smooth", "line"])
def test_the_tree_equals_the_contours(kind: str) -> None:
    """Both rules, every level, several true boxes, not one difference."""
    random = np.random.default_rng(sum(map(ord, kind)))
    for _ in range(350):
        score_map = random_map(kind, random)
        height, width = score_map.shape
        corners = np.sort(random.integers(0, (width, height), (random.integers(1, 4), 2, 2)), 1)
        boxes = corners.reshape(-1, 4)
        tree = iou_curves(score_map, boxes, LEVELS, backend="tree")
        contours = iou_curves(score_map, boxes, LEVELS, backend="opencv")
        np.testing.assert_array_equal(tree.all, contours.all)
        np.testing.assert_array_equal(tree.largest, contours.largest)
