"""What tests of the report share: one browser, and pages that may not misbehave."""

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from wsol.errors import ImageError
from wsol.maps import boxes_at, objects_at, scale_boxes
from wsol.reports.page_data import GroundTruth
from wsol.reports.report import write_report
from wsol.results.localization import Localization, PredictionInfo

LOCAL = ("file:", "data:", "blob:")

CLASSES = ("cat", "dog", "wren")
OWN = 0.35


@dataclass
class Faults:
    """What a page must not do."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note what the console says, what is thrown, opened, and asked of a network."""
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: (self.messages.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: self.ask(request.url))

    def ask(self, url: str) -> None:
        """Note an address that is not on this machine."""
        if not url.startswith(LOCAL):
            self.requests.append(url)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return what opens a report; at the end no page may have complained or gone elsewhere."""
    faults, contexts = Faults(), []

    def open_it(folder: Path, **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1200, "height": 800})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        faults.watch(page)
        page.goto((folder / "index.html").as_uri())
        page.wait_for_function("globalThis.wsol && wsol.view !== undefined")
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert faults.messages == []
    assert faults.requests == []


def smooth_map(rng: np.random.Generator, height: int, width: int, spots: int = 3) -> NDArray[Any]:
    """Return a map as networks make them: a few soft spots."""
    y, x = np.mgrid[:height, :width]
    total = np.zeros((height, width))
    for _ in range(spots):
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        sx, sy = rng.uniform(0.06, 0.3, 2) * (width, height)
        total += rng.uniform(0.3, 1) * np.exp(-(((x - cx) / sx) ** 2) - ((y - cy) / sy) ** 2)
    total -= total.min()
    return (total / total.max()).astype(np.float32)


def located(
    name: str,
    score_map: NDArray[Any],
    size: tuple[int, int],
    label: int = 0,
    score: float = 0.9,
    instances: str = "single",
) -> Localization:
    """Return what a prediction says of an image with this map."""
    to = (score_map.shape[1], score_map.shape[0])
    if instances == "multiple":
        found, peaks = objects_at(score_map, OWN)
    else:
        found = boxes_at(score_map, OWN, "largest")
        peaks = np.ones(len(found))
    boxes = scale_boxes(found, to, size)
    labels = np.full(len(boxes), label)
    return Localization(
        name, size, CLASSES[label], label, score, score_map, boxes, score * peaks, labels
    )


def save_photo(path: Path, size: tuple[int, int], seed: int = 0) -> None:
    """Write a photograph of a few colours."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 255, (6, 8, 3), np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    small.resize(size, Image.Resampling.BICUBIC).save(path)


@dataclass(frozen=True)
class Example:
    """A report with its inputs."""

    folder: Path
    results: list[Localization]
    ground_truth: dict[str, GroundTruth]


SIZE = (320, 240)


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    """Return a report of 60 images, two of them special, with a truth."""
    root = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(0)
    results, ground_truth = [], {}
    for number in range(58):
        name = f"{CLASSES[number % 3]}/{number:02d}.jpg"
        save_photo(root / "photos" / name, SIZE, number)
        score_map = smooth_map(rng, 150, 200)
        # Every seventh image is called a wren.
        label = 2 if number % 7 == 0 else number % 3
        result = located(name, score_map, SIZE, label, float(rng.uniform(0.3, 1)))
        results.append(result)
        box = result.boxes[0] + rng.uniform(-40, 40, 4)
        box = np.clip(box, 0, np.tile(SIZE, 2))
        if (box[2:] > box[:2] + 5).all():
            name_of = CLASSES[number % 3]
            ground_truth[name] = GroundTruth(box[None], (name_of,), (name_of,))
    save_photo(root / "photos/nothing.jpg", SIZE)
    results.append(located("nothing.jpg", np.zeros((48, 48), np.float32), SIZE, 1, 0.4))
    results.append(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is cut short")))
    info = PredictionInfo(CLASSES, root / "photos", OWN, "single", "a network, cam")
    folder = root / "out"
    write_report(results, info, folder, ground_truth=ground_truth)
    return Example(folder, results, ground_truth)


def png_of(grey: NDArray[np.uint8]) -> str:
    """Return a map as the page gets it."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def write_boxes(path: Path, rows: list[str]) -> Path:
    """Write a file of boxes."""
    path.write_text("image,class,x0,y0,x1,y1\n" + "".join(f"{row}\n" for row in rows))
    return path
