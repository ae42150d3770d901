"""PxAP against a slow sum over every threshold, and where it is known."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.metrics import PxAP, default_thresholds

THRESHOLDS = default_thresholds(0.1)


def metric_of(maps: NDArray[np.floating], masks: NDArray[np.uint8]) -> PxAP:
    """Return the metric after these images."""
    metric = PxAP(THRESHOLDS)
    for score_map, mask in zip(maps, masks, strict=True):
        metric.update(score_map, mask)
    return metric


def slow_pxap(maps: NDArray[np.floating], masks: NDArray[np.uint8]) -> float:
    """Return precision times step in recall over the thresholds, each by itself from above."""
    scores, kinds = maps[masks != 255].astype(float), masks[masks != 255]
    area, recall = 0.0, 0.0
    for threshold in [1.0, *THRESHOLDS[::-1].tolist()]:
        found = kinds[scores >= threshold]
        if len(found):
            step = found.sum() / kinds.sum() - recall
            area, recall = area + found.mean() * step, recall + step
    return 100 * area


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_equals_every_threshold_by_itself(seed: int, count: int) -> None:
    """Pixels of all images are pooled, and ignored ones left out."""
    random = np.random.default_rng(seed)
    maps = random.random((count, 4, 5)).astype(np.float32)
    maps[0, 0, :2] = 0, 1
    masks = random.choice(np.array([0, 1, 255], np.uint8), maps.shape)
    assume((masks == 1).any())
    assert metric_of(maps, masks).compute() == pytest.approx(slow_pxap(maps, masks), abs=1e-9)


def test_perfect_and_worst_maps() -> None:
    """A map that is its mask has 100; its inverse has the object's share, found last."""
    mask = np.zeros((1, 10, 10), np.uint8)
    mask[0, 2:4, 2:7] = 1
    assert metric_of(mask.astype(float), mask).compute() == 100.0
    assert metric_of(1.0 - mask, mask).compute() == pytest.approx(10.0, abs=1e-12)


def test_a_constant_map_has_the_share_of_object_pixels() -> None:
    """Zeros, as a map without object becomes, find everything at once; ignored pixels are out."""
    mask = np.array([[[1, 0, 0, 0, 255]]], np.uint8)
    assert metric_of(np.zeros((1, 1, 5)), mask).compute() == 25.0


@pytest.mark.parametrize("value", [0, 255])
def test_no_object_pixel_has_no_figure(value: int) -> None:
    """Recall of nothing is undefined; one image without object beside another changes no recall."""
    mask = np.full((1, 2, 2), value, np.uint8)
    assert metric_of(np.full((1, 2, 2), 0.5), mask).compute() is None
    both = np.concatenate((mask, np.ones_like(mask)))
    maps = np.stack((np.full((2, 2), 0.1), np.full((2, 2), 0.9)))
    assert metric_of(maps, both).compute() == 100.0
