"""Loading time, scrolling smoothness and size of a report with many images.

Run: PYTHONPATH=src python benchmarks/report.py --photos FOLDER [--images 5000] [--out FOLDER]

Photographs are used repeatedly from the folder; heat maps are random, with a few soft spots each
at 448 pixels, and so are ground-truth boxes. Chromium runs without a GPU.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

from wsol.data.images import find_images, read_image_size
from wsol.maps import boxes_at, normalize, scale_boxes
from wsol.reports.page_data import GroundTruth
from wsol.reports.report import INDEX, write_report
from wsol.results.localization import Localization, PredictionInfo

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
SIDE = 448
CLASSES = tuple(f"class {number}" for number in range(200))

FIRST = """() => new Promise((resolve) => {
  const painted = () => requestAnimationFrame(() => requestAnimationFrame(
    () => resolve(performance.now())));
  const look = () => {
    const photo = document.querySelector('.card img');
    if (photo && photo.complete && photo.naturalWidth) photo.decode().then(painted, painted);
    else requestAnimationFrame(look);
  };
  look();
})"""

HEAT = """() => new Promise((resolve) => {
  const look = () => {
    const heat = [...document.querySelectorAll('.card canvas')];
    if (heat.length && heat.every((one) => !one.hidden)) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""

# From the top in a given number of seconds, like dragging the scroll bar.
SCROLL = """([seconds, pixels]) => new Promise((resolve) => {
  const most = Math.min(document.documentElement.scrollHeight - innerHeight, pixels);
  const gaps = [];
  let start = 0;
  let last = 0;
  const step = (now) => {
    if (last) gaps.push(now - last);
    else start = now;
    last = now;
    const share = (now - start) / 1000 / seconds;
    scrollTo({ top: most * Math.min(share, 1), behavior: 'instant' });
    if (share < 1) requestAnimationFrame(step);
    else resolve(gaps);
  };
  requestAnimationFrame(step);
})"""

SLIDE = """() => new Promise((resolve) => {
  const gaps = [];
  let last = 0;
  let at = 0;
  const step = (now) => {
    if (last) gaps.push(now - last);
    last = now;
    wsol.view.moveThreshold((at % 100) / 100);
    at += 3;
    if (gaps.length < 90) requestAnimationFrame(step);
    else resolve(gaps);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    """Write the report, open it, and print the measurements."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--seconds", type=float, nargs="+", default=[60.0, 20.0])
    parser.add_argument("--out", type=Path, default=None, help="keep the report here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.out or Path(temporary, "report")
        if not (folder / INDEX).is_file():
            start = time.perf_counter()
            make(options.photos, options.images, folder)
            tell("seconds to write", time.perf_counter() - start)
        tell("MB of photographs", megabytes(folder / "photos"))
        tell("MB without the photographs", megabytes(folder) - megabytes(folder / "photos"))
        measure(folder, options.seconds)


def make(photos: Path, images: int, folder: Path) -> None:
    """Write a report with images from a folder."""
    names = find_images(photos)
    sizes = [read_image_size(photos / name) for name in names]
    rng = np.random.default_rng(0)
    spots = [soft_spots(rng) for _ in range(200)]
    ground_truth: dict[str, GroundTruth] = {}

    def results() -> Iterator[Localization]:
        for number in range(images):
            which = number % len(names)
            score_map = np.roll(spots[number % len(spots)], rng.integers(-90, 90, 2), (0, 1))
            size, label = sizes[which], int(rng.integers(len(CLASSES)))
            found = boxes_at(score_map, 0.4, "largest")
            boxes = scale_boxes(found, (SIDE, SIDE), size)
            moved = (boxes + rng.normal(0, 25, 4)).clip(0, np.tile(size, 2))
            ground_truth[names[which]] = GroundTruth(moved, (CLASSES[label],), (CLASSES[label],))
            scores, labels = rng.random(1), np.array([label])
            yield Localization(
                names[which], size, CLASSES[label], label, float(scores[0]), score_map, boxes,
                scores, labels,
            )  # fmt: skip

    write_report(
        results(),
        PredictionInfo(CLASSES, photos, 0.4),
        folder,
        ground_truth=ground_truth,
        number=images,
        max_images=images,
    )  # fmt: skip


def soft_spots(rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a map similar to network output: a coarse grid of scores, enlarged smoothly."""
    coarse = rng.normal(0, 0.12, (14, 14))
    y, x = np.mgrid[:14, :14]
    for _ in range(int(rng.integers(1, 4))):
        cx, cy, width = rng.uniform(2, 12), rng.uniform(2, 12), rng.uniform(1.2, 4)
        coarse += rng.uniform(0.5, 1) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / width**2)
    at = (np.arange(SIDE) + 0.5) / SIDE * 14 - 0.5
    rows = np.array([np.interp(at, np.arange(14), row) for row in coarse])
    full = np.array([np.interp(at, np.arange(14), column) for column in rows.T]).T
    return normalize(full)[0]


def measure(folder: Path, seconds: list[float]) -> None:
    """Open the report, scroll through it, move its slider, and print the measurements."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for attempt in ("first", "second"):
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto((folder / "index.html").resolve().as_uri(), wait_until="commit")
            page.wait_for_function("document.querySelector('.card img') !== null")
            tell(f"ms to the first image, {attempt} time", page.evaluate(FIRST))
            tell(f"ms to all heat maps of the first screen, {attempt} time", page.evaluate(HEAT))
            page.wait_for_timeout(500)
            if attempt == "second":
                for duration in seconds:
                    gaps = page.evaluate(SCROLL, [duration, 1e9])
                    frames(f"scrolling all in {duration:g} s", gaps)
                # Slow enough to fill every card.
                gaps = page.evaluate(SCROLL, [10, 15_000])
                frames("scrolling at 1,500 pixels per second", gaps)
                page.evaluate("scrollTo(0, 0)")
                page.wait_for_timeout(500)
                frames("moving the threshold", page.evaluate(SLIDE))
                memory = page.evaluate("performance.memory.usedJSHeapSize / 1e6")
                tell("MB of JavaScript", memory)
            page.close()
        browser.close()


def frames(what: str, gaps: list[float]) -> None:
    """Print frames per second, and the duration of the slow ones."""
    tell(f"frames per second, {what}", 1000 * len(gaps) / sum(gaps))
    tell(f"ms of the slowest of 20 frames, {what}", float(np.percentile(gaps, 95)))
    tell(f"ms of the slowest frame, {what}", max(gaps))


def megabytes(folder: Path) -> float:
    """Return the total size of a folder's files in MB."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def tell(what: str, value: float) -> None:
    """Print a measurement, also in machine-readable form."""
    sys.stdout.write(json.dumps({what: round(value, 1)}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
