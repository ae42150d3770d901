"""What tests of the page do with it."""

from collections.abc import Callable

import numpy as np
from playwright.sync_api import Page

from wsol.maps import boxes_at, objects_at, scale_boxes
from wsol.maps.normalize import grey_levels
from wsol.reports.page_data import GroundTruth, small_map
from wsol.results.localization import Localization

Open = Callable[..., Page]

DRAWN = """() => Object.fromEntries([...wsol.view.grid.cards.values()].map((card) => [
  card.row.name,
  [...card.image.lines.querySelectorAll('.predicted .line')].map((line) =>
    ['x', 'y', 'width', 'height'].map((side) => Number(line.getAttribute(side)))),
]))"""


FIRST = ".card[aria-posinset='1']"


def settle(page: Page) -> None:
    """Wait until all cards in the page have their heat maps and boxes."""
    page.wait_for_function(
        """() => wsol.view.grid.unfilled.size === 0 && !wsol.view.drawing
          && [...wsol.view.grid.cards.keys()].every((row) => wsol.view.mapNow(row) !== undefined)"""
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def names(page: Page) -> list[str]:
    """Return the names of the images that are shown, in order."""
    found: list[str] = page.evaluate("wsol.view.order.map((row) => row.name)")
    return found


def slide(page: Page, value: float) -> None:
    """Move the real slider, as a hand does."""
    page.locator(".toolbar input.threshold").fill(str(value))
    settle(page)


def carried(result: Localization) -> np.ndarray:
    """Return the map that the page has, as wsol.maps takes it."""
    return (small_map(result.heat_map) / 255 + 1e-9).clip(0, 1)


def corners(result: Localization, threshold: float, objects: str) -> list[list[float]]:
    """Return x, y, width and height of the boxes that the page should draw."""
    score_map = carried(result)
    assert (grey_levels(score_map) == small_map(result.heat_map)).all()
    found = (
        objects_at(score_map, threshold).boxes
        if objects == "multiple"
        else boxes_at(score_map, threshold, "largest")
    )
    boxes = scale_boxes(found, score_map.shape[::-1], result.original_size)
    return np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2])).tolist()


def best_iou(result: Localization, ground_truth: GroundTruth) -> float:
    """Return the best overlap of any two boxes, worked out anew."""
    best = 0.0
    for a in result.boxes:
        for b in ground_truth.boxes:
            width, height = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
            both = max(width, 0) * max(height, 0)
            areas = np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])
            best = max(best, float(both / (areas - both)))
    return best
