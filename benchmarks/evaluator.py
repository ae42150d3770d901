"""Component tree compared with one OpenCV contour call per threshold.

    python benchmarks/evaluator.py --images ../shared/data/cub10/images

Both rules (largest contour, all contours), one thread each, alternating per map. Prints for every
kind of map and 100 and 1,000 thresholds the time per map, the median ratio and its interquartile
range; then the scaling over threads, and the memory over 20,000 maps. Kinds: class activation maps
of an ImageNet network on photographs at 224 and at 448 pixels, and noise, the worst case.

``--check N`` instead compares the tree with the contours on N random maps, by both rules at 48
random thresholds each, and counts differences.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from wsol.data.images import find_images
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.transforms import EvalTransform
from wsol.localizers import create_localizer
from wsol.maps import best_iou_curves, box_iou, iou_curves, normalize
from wsol.models import create_network

Maps = list[NDArray[np.float32]]
R = TypeVar("R")


def opencv_loop(
    score_map: NDArray[np.float32], boxes: NDArray[np.int64], thresholds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curves by both rules, with one contour call per threshold.

    As efficient as possible in Python: one contour call serves both rules, and all IoU are computed
    in one call at the end.
    """
    height, width = score_map.shape
    grey = (score_map * 255).astype(np.uint8)
    peak = int(grey.max())
    found: list[tuple[int, int, int, int]] = []
    first, largest = [], []
    for threshold in thresholds.tolist():
        _, above = cv2.threshold(grey, int(threshold * peak), 255, cv2.THRESH_BINARY)
        contours, _ = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        first.append(len(found))
        if not contours:
            largest.append(len(found))
            found.append((0, 0, 0, 0))
            continue
        largest.append(len(found) + int(np.argmax([cv2.contourArea(c) for c in contours])))
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            found.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
    iou = box_iou(np.array(found), boxes).max(1)
    return iou[largest], np.maximum.reduceat(iou, first)


def class_activation_maps(images: Path, size: int, count: int) -> Maps:
    """Return normalised maps of an ImageNet network's top-1 class on photographs."""
    names = find_images(images)
    names = names[:: max(1, len(names) // count)][:count]
    network = create_network("tf_efficientnet_lite0", num_classes=1000, size=size)
    localizer = create_localizer("cam", network)
    files = ImageFiles([images / name for name in names], EvalTransform(size))
    maps: Maps = []
    for batch in load_batches(files, split_batches(range(len(names)), 16), 0):
        found = localizer.locate(normalized(batch.images, network.mean, network.std))
        maps += [normalize(score_map)[0] for score_map in found.maps.numpy()]
    return maps


def random_box(random: np.random.Generator, size: int) -> NDArray[np.int64]:
    """Return one ground-truth box."""
    return np.sort(random.integers(0, size, (1, 2, 2)), 1).reshape(1, 4)


def timed(work: Callable[..., R], *arguments: object, **options: object) -> tuple[float, R]:
    """Return the duration in seconds, and the result."""
    start = time.perf_counter()
    result = work(*arguments, **options)
    return time.perf_counter() - start, result


def compare(name: str, maps: Maps, num_thresholds: int, repeats: int) -> None:
    """Time both on each map alternately, check that they agree, and print the ratio."""
    random = np.random.default_rng(0)
    thresholds = np.arange(0, 1, 1 / num_thresholds)
    loop, tree, ratios = [], [], []
    for score_map in maps:
        boxes = random_box(random, len(score_map))
        slow, fast = [], []
        for _ in range(repeats):
            time_loop, (largest, best) = timed(opencv_loop, score_map, boxes, thresholds)
            time_tree, curves = timed(iou_curves, score_map, boxes, thresholds)
            slow.append(time_loop)
            fast.append(time_tree)
            if (curves.largest != largest).any() or (curves.all != best).any():
                raise SystemExit(f"{name}: the curves differ")
        loop.append(min(slow))
        tree.append(min(fast))
        ratios.append(min(slow) / min(fast))
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{name:16} {num_thresholds:5} thresholds: loop {statistics.median(loop) * 1e3:8.3f} ms, "
        f"tree {statistics.median(tree) * 1e3:7.3f} ms a map, "
        f"ratio {middle:6.1f} (middle half {low:.1f} to {high:.1f})",
        flush=True,
    )


def scale(maps: Maps) -> None:
    """Print the throughput of the tree by number of threads."""
    random = np.random.default_rng(0)
    thresholds = np.arange(0, 1, 0.001)
    many = maps * 10
    boxes = [random_box(random, len(score_map)) for score_map in many]
    for threads in (1, 2):
        times = [
            timed(best_iou_curves, many, boxes, thresholds, threads=threads)[0] for _ in range(5)
        ]
        rate = len(many) / statistics.median(times)
        print(f"{threads} thread{'s' * (threads > 1)}: {rate:.0f} maps/s", flush=True)


def check(count: int) -> None:
    """Compare tree and contours on random maps of every kind and count differences."""
    random = np.random.default_rng(1)
    differences = 0
    for index in range(count):
        score_map = random_map(KINDS[index % len(KINDS)], random)
        height, width = score_map.shape
        corners = np.sort(random.integers(0, (width, height), (random.integers(1, 4), 2, 2)), 1)
        boxes = corners.reshape(-1, 4)
        thresholds = np.sort(random.random(48))
        tree = iou_curves(score_map, boxes, thresholds, "tree")
        contours = iou_curves(score_map, boxes, thresholds, "opencv")
        differences += int((tree.all != contours.all).any())
        differences += int((tree.largest != contours.largest).any())
        if (index + 1) % 10000 == 0 or index + 1 == count:
            print(f"{index + 1} maps: {differences} differences", flush=True)


KINDS = ("noise", "few levels", "rings", "thin", "smooth", "line", "islands", "bumps")


def random_map(kind: str, random: np.random.Generator) -> NDArray[np.float64]:
    """Return a map of a kind, with random height and width from 1 pixel."""
    height, width = random.integers(1, 33, 2).tolist()
    if kind == "line":
        height = 1
    noise = random.random((height, width))
    y, x = np.mgrid[:height, :width]
    if kind == "few levels":
        return np.floor(noise * random.integers(2, 6)) / 6
    if kind == "rings":
        centre = random.random(2) * (height, width)
        return np.cos(np.hypot(y - centre[0], x - centre[1]) * random.uniform(0.3, 3)) / 2 + 0.5
    if kind == "thin":
        return np.where((noise > 0.5) & (random.random((height, 1)) > 0.5), noise, 0.0)
    if kind == "smooth":
        small = random.random((2 + height // 8, 2 + width // 8)).astype(np.float32)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    if kind == "islands":
        rings = np.cos(np.maximum(abs(y - height / 2), abs(x - width / 2)) * 1.5) / 2 + 0.5
        return np.where(noise > 0.9, noise, rings)
    if kind == "bumps":
        result = np.zeros((height, width))
        for _ in range(6):
            centre = random.random(2) * (height, width)
            far = np.hypot(y - centre[0], x - centre[1]) / random.uniform(1, 9)
            result = np.maximum(result, random.random() * np.exp(-(far**2)))
        return result / max(result.max(), 1e-9)
    return noise


def memory(maps: Maps, count: int) -> None:
    """Print the peak memory while the curves of many maps are computed."""
    random = np.random.default_rng(0)
    thresholds = np.arange(0, 1, 0.001)
    done = 0
    for end in (count // 20, count // 4, count // 2, count):
        while done < end:
            batch = [maps[(done + i) % len(maps)] for i in range(32)]
            boxes = [random_box(random, len(score_map)) for score_map in batch]
            best_iou_curves(batch, boxes, thresholds, threads=2)
            done += len(batch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory after {done:6} maps: {peak:.1f} MB", flush=True)


def main() -> None:
    """Run the selected benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=60, help="photographs to use")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions per map (minimum)")
    parser.add_argument("--check", type=int, metavar="N", help="compare on N random maps")
    parser.add_argument("--memory", type=int, default=20_000, help="number of maps for memory")
    options = parser.parse_args()
    if options.check:
        return check(options.check)
    if options.images is None:
        parser.error("--images: missing; pass a folder of photographs")
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    real = class_activation_maps(options.images, 224, options.count)
    large = class_activation_maps(options.images, 448, options.count // 4)
    noise = np.random.default_rng(0).random((6, 224, 224)).astype(np.float32)
    for num_thresholds in (100, 1000):
        compare("real, 224 x 224", real, num_thresholds, options.repeats)
        compare("real, 448 x 448", large, num_thresholds, options.repeats)
    compare("noise, 224 x 224", list(noise), 100, 1)
    scale(real)
    memory(real, options.memory)
    return None


if __name__ == "__main__":
    main()
