"""Counts equal a slow loop over all images, however they are spread over processes."""

import math
import pickle
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsol.maps import IouCurves
from wsol.metrics import LocalizationAccuracy

THRESHOLDS = np.array([0.0, 0.2, 0.4, 0.6, 0.8])


class Image(NamedTuple):
    """What the metric is told of one image."""

    rank: int | None
    curves: IouCurves | None


def random_images(seed: int, count: int) -> list[Image]:
    """Return images, some without boxes or prediction, with IoU in whole percent."""
    random = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        both = np.sort(random.integers(0, 101, (2, len(THRESHOLDS))), axis=0) / 100
        curves = None if random.random() < 0.2 else IouCurves(largest=both[0], all=both[1])
        rank = None if random.random() < 0.1 else int(random.integers(0, 8))
        images.append(Image(rank, curves))
    return images


def metric_of(images: list[Image]) -> LocalizationAccuracy:
    """Return the metric after these images."""
    metric = LocalizationAccuracy(THRESHOLDS)
    for image in images:
        metric.update(image.rank, image.curves)
    return metric


def share(right: list[bool]) -> float:
    """Return the percentage of what is right."""
    return sum(right) / len(right) * 100


def slow_figures(images: list[Image], index: int) -> dict[str, float | int | None]:
    """Return all figures with the threshold of this index, by loops."""
    ranks = [math.inf if image.rank is None else image.rank for image in images]
    pairs = zip(ranks, (image.curves for image in images), strict=True)
    boxed = [(rank, curves) for rank, curves in pairs if curves is not None]
    figures: dict[str, float | int | None] = {
        "top1_cls": share([rank == 0 for rank in ranks]),
        "top5_cls": share([rank < 5 for rank in ranks]),
        "threshold": float(THRESHOLDS[index]),
        "num_images": len(images),
        "num_with_ground_truth": len(boxed),
        "num_error": 0,
    }
    names = ("max_box_acc_v2", "gt_known", "top1_loc", "top5_loc")
    if not boxed:
        levels = (f"max_box_acc_{level}" for level in (30, 50, 70))
        return figures | dict.fromkeys((*levels, *names))

    def best(rule: str, level: int) -> float:
        return max(
            share([getattr(curves, rule)[t] >= level / 100 for _, curves in boxed])
            for t in range(len(THRESHOLDS))
        )

    for level in (30, 50, 70):
        figures[f"max_box_acc_{level}"] = best("largest", level)
    figures["max_box_acc_v2"] = sum(best("all", level) for level in (30, 50, 70)) / 3
    for name, top in (("gt_known", math.inf), ("top1_loc", 0), ("top5_loc", 4)):
        figures[name] = share([r <= top and curves.largest[index] >= 0.5 for r, curves in boxed])
    return figures


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 25), st.integers(0, len(THRESHOLDS) - 1))
def test_figures_equal_a_slow_loop(seed: int, count: int, index: int) -> None:
    """Every figure at every threshold is that of the loop over images and thresholds."""
    images = random_images(seed, count)
    found = metric_of(images).at(float(THRESHOLDS[index]))
    expected = slow_figures(images, index)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (value if value is None else pytest.approx(value, abs=1e-9)), name


def test_nearest_tried_threshold_counts() -> None:
    """A threshold between two tried ones takes the nearer one's counts and keeps its own name."""
    curve = np.array([0.9, 0.1, 0.9, 0.1, 0.1])
    metric = metric_of([Image(0, IouCurves(curve, curve))])
    assert (metric.at(0.31)["gt_known"], metric.at(0.29)["gt_known"]) == (100.0, 0.0)
    assert metric.at(0.31)["threshold"] == 0.31


def test_best_threshold_is_one_for_all_images() -> None:
    """The threshold is chosen for the data set: not each image has its own best one."""
    rows = [[0.9, 0, 0.6, 0, 0], [0, 0.9, 0.6, 0, 0], [0, 0, 0, 0.9, 0]]
    curves = [np.array(row) for row in rows]
    metric = metric_of([Image(0, IouCurves(curve, curve)) for curve in curves])
    figures = metric.compute()
    assert metric.best_threshold() == figures["threshold"] == 0.4
    assert figures["gt_known"] == pytest.approx(200 / 3)
    assert figures["max_box_acc_70"] == pytest.approx(100 / 3)


def test_no_boxes_at_all_leaves_classification() -> None:
    """Without any true box the box figures are unknown, not zero."""
    metric = metric_of([Image(0, None), Image(3, None), Image(9, None)])
    figures = metric.compute()
    assert metric.best_threshold() is None
    assert (figures["top1_cls"], figures["top5_cls"]) == (1 / 3 * 100, 2 / 3 * 100)
    assert [figures[name] for name in ("gt_known", "top1_loc", "max_box_acc_v2")] == [None] * 3


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.integers(2, 20), st.integers(1, 4))
def test_processes_add_up_to_one(seed: int, count: int, world: int) -> None:
    """States of processes that share the images, reduced as declared, give the same figures."""
    images = random_images(seed, count)
    parts = [metric_of(images[rank::world]) for rank in range(world)]
    whole, merged = metric_of(images), LocalizationAccuracy(THRESHOLDS)
    for name, reduction in merged._reductions.items():
        assert callable(reduction), name
        setattr(merged, name, reduction(torch.stack([getattr(part, name) for part in parts])))
        assert torch.equal(getattr(merged, name), getattr(whole, name)), name
    assert merged.at(0.4) == whole.at(0.4)
    assert merged.best_threshold() == whole.best_threshold()


def test_memory_does_not_grow_with_images() -> None:
    """The state is counts of a fixed size, however many images were seen."""
    random = np.random.default_rng(0)

    def size_after(count: int) -> int:
        curve: NDArray[np.float64] = random.random(len(THRESHOLDS))
        return len(pickle.dumps(metric_of([Image(0, IouCurves(curve, curve))] * count)))

    assert size_after(1) == size_after(50)


def test_reset_forgets_everything() -> None:
    """After a reset the figures are those of the new images alone."""
    metric = metric_of(random_images(0, 10))
    metric.reset()
    fresh = random_images(1, 6)
    for image in fresh:
        metric.update(image.rank, image.curves)
    assert metric.compute() == metric_of(fresh).compute()


def test_the_best_threshold_over_several_levels() -> None:
    """Where a plateau at IoU 50 hides which threshold fits best, higher levels tell."""
    metric = LocalizationAccuracy(THRESHOLDS)
    curve = np.array([0.55, 0.6, 0.6, 0.6, 0.9])
    metric.update(0, IouCurves(largest=curve, all=curve))
    assert metric.best_threshold() == 0.4
    assert metric.best_threshold((30, 50, 70)) == 0.8
