"""Metric classes and functions give the numbers of the published evaluator."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps import IouCurves, score_histograms
from wsol.metrics import (
    IOU_LEVELS,
    MaxBoxAcc,
    MaxBoxAccV2,
    PxAP,
    default_thresholds,
    max_box_acc,
    max_box_acc_v2,
    pxap,
)

INTERVALS = (0.01, 0.001)


@pytest.fixture(scope="session")
def answers(parity: Path) -> dict[str, NDArray[np.float64]]:
    """Return maps, masks and what the published evaluator made of them."""
    with np.load(parity / "wsolevaluation_evaluator.npz") as file:
        return dict(file)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("interval", INTERVALS)
def test_pxap(
    answers: dict[str, NDArray[np.float64]], interval: float, dtype: type[np.floating]
) -> None:
    """PxAP by the class, map by map, and by the function, over all pixels at once."""
    thresholds = default_thresholds(interval)
    maps, masks = answers["maps"].astype(dtype), answers["masks"].astype(np.uint8)
    expected = float(answers[f"pxap/interval_{interval}"])
    metric = PxAP(thresholds)
    for score_map, mask in zip(maps, masks, strict=True):
        metric.update(score_map, mask)
    assert metric.compute() == pytest.approx(expected, rel=0, abs=1e-9)
    rows = (-1, maps.shape[-1])
    pooled = score_histograms(maps.reshape(rows), masks.reshape(rows), thresholds)
    assert pxap(pooled) == metric.compute()


@pytest.mark.parametrize("interval", INTERVALS)
def test_max_box_acc(answers: dict[str, NDArray[np.float64]], interval: float) -> None:
    """MaxBoxAcc at each IoU level by both rules, from the recorded IoU."""
    thresholds = default_thresholds(interval)
    largest = answers[f"largest/interval_{interval}/best_iou"]
    multi = answers[f"multi/interval_{interval}/best_iou"]
    by_largest = answers[f"largest/interval_{interval}/max_box_acc_30_50_70"].tolist()
    by_any = answers[f"multi/interval_{interval}/max_box_acc_30_50_70"].tolist()

    metrics = [MaxBoxAcc(level, thresholds) for level in IOU_LEVELS]
    v2 = MaxBoxAccV2(thresholds)
    for curves in map(IouCurves, largest, multi):
        v2.update(curves)
        for metric in metrics:
            metric.update(curves)
    # Divided first, as there, the counts give the recorded figures to the last bit. Ours multiply
    # first, which rounds once only, and may differ from them in that bit.
    count = len(largest)
    assert [int(metric.hits.max()) / count * 100 for metric in metrics] == by_largest
    assert (v2.hits.amax(0).numpy() / count * 100).tolist() == by_any

    assert [metric.compute() for metric in metrics] == pytest.approx(by_largest, rel=1e-15)
    assert [max_box_acc(largest, level) for level in IOU_LEVELS] == [
        metric.compute() for metric in metrics
    ]
    assert v2.compute() == max_box_acc_v2(multi) == pytest.approx(np.mean(by_any), rel=1e-15)
