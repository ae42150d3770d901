"""One process, two processes and the pure function agree to the last bit, for every metric class.

This file is also the program that each of the two processes runs: it sees half of the images and
prints what ``compute()`` gives once the states are summed.
"""

import ast
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import distributed

from wsol.maps import IouCurves, score_histograms
from wsol.metrics import (
    IOU_LEVELS,
    LocalizationAccuracy,
    LocalizationRecall,
    MaxBoxAcc,
    MaxBoxAccV2,
    MeanIoU,
    PxAP,
    Recall,
    best_threshold,
    default_thresholds,
    gt_known,
    localization_recall,
    max_box_acc,
    max_box_acc_v2,
    mean_iou,
    object_size,
    pxap,
    top_k_loc,
)
from wsol.metrics.localization import CountMetric

NUM_IMAGES = 23
NUM_CLASSES = 4
THRESHOLDS = default_thresholds(0.05)


class Images(NamedTuple):
    """All images, one row each."""

    largest: NDArray[np.float64]
    all: NDArray[np.float64]
    ranks: NDArray[np.int64]
    labels: NDArray[np.int64]
    shares: NDArray[np.float64]
    maps: NDArray[np.float32]
    masks: NDArray[np.uint8]

    def curves(self, index: int) -> IouCurves:
        """Return the curves of one image."""
        return IouCurves(self.largest[index], self.all[index])


def draw_images() -> Images:
    """Return the same images in every process; no image is of the last class."""
    random = np.random.default_rng(0)
    low, high = np.sort(random.random((2, NUM_IMAGES, len(THRESHOLDS))), axis=0)
    return Images(
        largest=low,
        all=high,
        ranks=random.integers(0, 8, NUM_IMAGES),
        labels=random.integers(0, NUM_CLASSES - 1, NUM_IMAGES),
        shares=random.random(NUM_IMAGES),
        maps=random.random((NUM_IMAGES, 9, 13), np.float32),
        masks=random.choice(np.array([0, 1, 255], np.uint8), (NUM_IMAGES, 9, 13)),
    )


def all_accuracies(images: Images) -> dict[str, float | int | None]:
    """Return the figures of LocalizationAccuracy by the pure functions."""
    best = best_threshold((images.largest >= 0.5).sum(0), THRESHOLDS)
    ious = images.largest[:, best == THRESHOLDS][:, 0]
    everywhere = np.ones(NUM_IMAGES)
    return {
        "top1_cls": top_k_loc(everywhere, images.ranks),
        "top5_cls": top_k_loc(everywhere, images.ranks, k=5),
        **{f"max_box_acc_{level}": max_box_acc(images.largest, level) for level in IOU_LEVELS},
        "max_box_acc_v2": max_box_acc_v2(images.all),
        "gt_known": gt_known(ious),
        "top1_loc": top_k_loc(ious, images.ranks),
        "top5_loc": top_k_loc(ious, images.ranks, k=5),
        "threshold": best,
        "num_images": NUM_IMAGES,
        "num_with_ground_truth": NUM_IMAGES,
        "num_error": 0,
    }


def recall_of_groups(images: Images) -> Recall:
    """Return the figures of LocalizationRecall by the pure function."""
    best = best_threshold((images.largest >= 0.5).sum(0), THRESHOLDS)
    ious = images.largest[:, best == THRESHOLDS][:, 0]
    sizes = np.array([object_size(share) for share in images.shares.tolist()])
    small, medium, large = localization_recall(ious, sizes, 3)
    return Recall(
        by_class=dict(enumerate(localization_recall(ious, images.labels, NUM_CLASSES))),
        by_size={"small": small, "medium": medium, "large": large},
    )


def greatest_mean_iou(images: Images) -> float | None:
    """Return the figure of MeanIoU by the pure function."""
    means = [mean_iou(column) for column in images.largest.T]
    return max(mean for mean in means if mean is not None)


def pooled_pxap(images: Images) -> float | None:
    """Return the figure of PxAP by the pure function, over one long image."""
    rows = (-1, images.maps.shape[-1])
    maps, masks = images.maps.reshape(rows), images.masks.reshape(rows)
    return pxap(score_histograms(maps, masks, THRESHOLDS))


class Case(NamedTuple):
    """A metric class, what it is told of an image, and its pure twin."""

    create: Callable[[], CountMetric]
    told: Callable[[Images, int], tuple[Any, ...]]
    pure: Callable[[Images], Any]


CASES = {
    "LocalizationAccuracy": Case(
        lambda: LocalizationAccuracy(THRESHOLDS),
        lambda images, i: (int(images.ranks[i]), images.curves(i)),
        all_accuracies,
    ),
    "LocalizationRecall": Case(
        lambda: LocalizationRecall(NUM_CLASSES, THRESHOLDS),
        lambda images, i: (images.curves(i), int(images.labels[i]), float(images.shares[i])),
        recall_of_groups,
    ),
    "MaxBoxAcc": Case(
        lambda: MaxBoxAcc(70, THRESHOLDS),
        lambda images, i: (images.curves(i),),
        lambda images: max_box_acc(images.largest, 70),
    ),
    "MaxBoxAccV2": Case(
        lambda: MaxBoxAccV2(THRESHOLDS),
        lambda images, i: (images.curves(i),),
        lambda images: max_box_acc_v2(images.all),
    ),
    "MeanIoU": Case(
        lambda: MeanIoU(THRESHOLDS),
        lambda images, i: (images.curves(i),),
        greatest_mean_iou,
    ),
    "PxAP": Case(
        lambda: PxAP(THRESHOLDS),
        lambda images, i: (images.maps[i], images.masks[i]),
        pooled_pxap,
    ),
}


def metric_after(name: str, indices: range) -> CountMetric:
    """Return a metric that has seen these images."""
    images = draw_images()
    metric = CASES[name].create()
    for index in indices:
        metric.update(*CASES[name].told(images, index))
    return metric


def main(rank: int, store: str) -> None:
    """Print the figures of all metrics, of which this process sees every second image."""
    distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    computed = {}
    for name in CASES:
        figures = metric_after(name, range(rank, NUM_IMAGES, 2)).compute()
        computed[name] = tuple(figures) if isinstance(figures, Recall) else figures
    print(computed)
    distributed.destroy_process_group()


@pytest.fixture(scope="session")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what each of two processes prints."""
    # Not above: this file is also the program of these processes.
    from .. import forked

    store = tmp_path_factory.mktemp("gloo") / "store"
    started = [
        forked.Popen(
            [sys.executable, __file__, str(rank), str(store)], stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    printed = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    return [ast.literal_eval(text) for text in printed]


def test_every_class_has_a_case() -> None:
    """A metric class cannot be forgotten here."""
    assert {kind.__name__ for kind in CountMetric.__subclasses__()} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_one_process_is_the_pure_function(name: str) -> None:
    """Counting image by image gives the figures of all images at once."""
    assert metric_after(name, range(NUM_IMAGES)).compute() == CASES[name].pure(draw_images())


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_the_pure_function(
    name: str, two_processes: list[dict[str, Any]]
) -> None:
    """Both processes have the figures of all images, of which each saw half."""
    figures = CASES[name].pure(draw_images())
    expected = tuple(figures) if isinstance(figures, Recall) else figures
    assert [computed[name] for computed in two_processes] == [expected, expected]


@pytest.mark.parametrize("name", CASES)
def test_states_merge(name: str) -> None:
    """A metric takes in the state of another that saw other images, and can be reset."""
    metric = metric_after(name, range(5))
    metric.merge_state(metric_after(name, range(5, NUM_IMAGES)))
    assert metric.compute() == CASES[name].pure(draw_images())
    metric.reset()
    assert all(not state.any() for state in metric.metric_state.values())


@pytest.mark.parametrize("name", CASES)
def test_each_forward_gives_its_own_image(name: str) -> None:
    """Called like a function, a metric gives the figure of one image and counts it."""
    told = CASES[name].told(draw_images(), 3)
    metric = metric_after(name, range(3))
    assert metric(*told) == metric_after(name, range(3, 4)).compute()
    assert metric.compute() == metric_after(name, range(4)).compute()


@pytest.mark.parametrize("name", CASES)
def test_memory_does_not_grow_with_images(name: str) -> None:
    """The state is counts of a fixed size, however many images were seen."""
    few, many = (len(pickle.dumps(metric_after(name, range(n)))) for n in (1, NUM_IMAGES))
    assert few == many


@pytest.mark.parametrize("name", CASES)
def test_states_are_whole_numbers_and_move(name: str) -> None:
    """States are int64 on the metric's device, and an update there keeps them so."""
    metric = CASES[name].create().to("meta")
    metric.update(*CASES[name].told(draw_images(), 0))
    for state in metric.metric_state.values():
        assert isinstance(state, torch.Tensor)
        assert (state.device.type, state.dtype) == ("meta", torch.int64)
    # "meta" takes in what lies on the CPU, other devices do not.
    assert metric.as_counts(np.ones(2, np.int64)).device.type == "meta"


if __name__ == "__main__":
    main(int(sys.argv[1]), str(Path(sys.argv[2]).resolve()))
