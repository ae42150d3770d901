"""The page finds the same boxes as wsol.maps, in Chromium, on maps of every kind."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from wsol.maps import boxes_at, objects_at
from wsol.results.store import decode_map, encode_map

from .conftest import Example, png_of, smooth_map

THRESHOLDS = [*(np.arange(18) / 18).tolist(), 0.5, 0.999]

IN_PAGE = """async ({maps, thresholds}) => {
  const found = [];
  for (const text of maps) {
    const map = await wsol.decodePng(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
    found.push({
      grey: Array.from(map.grey),
      at: thresholds.map((t) => ({
        largest: wsol.boxesAt(map, t, 'largest'),
        all: wsol.boxesAt(map, t, 'all'),
        objects: wsol.objectsAt(map, t).map(({box, peak}) => [...box, peak]),
      })),
    });
  }
  return found;
}"""


def maps_of_every_kind() -> list[NDArray[np.uint8]]:
    """Return 8-bit maps: smooth, noisy, flat, with holes and ties, tiny and long."""
    rng = np.random.default_rng(1)
    maps: list[NDArray[Any]] = []
    for _ in range(16):
        height, width = rng.integers(8, 65, 2)
        maps.append(smooth_map(rng, height, width, int(rng.integers(1, 6))) * 255)
    maps += [rng.integers(0, 256, rng.integers(1, 26, 2)) for _ in range(12)]
    for levels in (2, 3, 5):
        # Few levels: plateaus, holes in objects in holes, and outlines of the same area.
        for share in (0.3, 0.5, 0.7):
            places = rng.random((24, 31)) < share
            maps.append(places * rng.integers(1, levels, places.shape) * (250 // levels))
    ring = np.zeros((20, 20))
    ring[2:18, 2:18], ring[5:15, 5:15], ring[8:12, 8:12] = 200, 0, 220
    twins = np.zeros((12, 30))
    twins[2:6, 2:6] = twins[2:6, 12:16] = twins[7:11, 20:24] = 100
    lines = np.zeros((9, 9))
    lines[1], lines[3, 2], lines[5, ::2] = 90, 90, 90
    maps += [ring, twins, lines, twins.T, np.rot90(ring + 3 * np.eye(20))]
    maps += [np.zeros((5, 7)), np.full((4, 4), 255), np.zeros((1, 1)), np.full((1, 1), 9)]
    maps += [rng.integers(0, 256, (1, 40)), rng.integers(0, 256, (40, 1))]
    checkers = np.indices((16, 16)).sum(0) % 2 * 255
    maps += [checkers, smooth_map(rng, 96, 64) * 255]
    return [np.asarray(one).astype(np.uint8) for one in maps]


def expected(grey: NDArray[np.uint8], threshold: float) -> dict[str, list[list[int]]]:
    """Return what wsol.maps finds."""
    score_map = decode_map(encode_map(grey / 255 + 1e-9 * (grey < 255)))
    boxes, peaks = objects_at(score_map, threshold)
    levels = np.rint(peaks * 255).astype(np.int64)
    return {
        "largest": boxes_at(score_map, threshold, "largest").tolist(),
        "all": boxes_at(score_map, threshold).tolist(),
        "objects": np.column_stack((boxes, levels)).tolist(),
    }


def test_boxes_equal_those_of_wsol(open_page: Callable[..., Page], example: Example) -> None:
    """Each rule, on more than 50 maps at 20 thresholds."""
    maps = maps_of_every_kind()
    page = open_page(example.folder)
    given = {"maps": [png_of(grey) for grey in maps], "thresholds": THRESHOLDS}
    found = page.evaluate(IN_PAGE, given)
    assert len(maps) >= 50
    assert len(THRESHOLDS) == 20
    for number, (grey, one) in enumerate(zip(maps, found, strict=True)):
        assert one["grey"] == grey.ravel().tolist(), f"map {number}"
        for threshold, boxes in zip(THRESHOLDS, one["at"], strict=True):
            assert boxes == expected(grey, threshold), f"map {number} at {threshold}"


@pytest.mark.parametrize("how", ["colour", "sixteen", "cut", "none"])
def test_other_files_are_refused(
    how: str, open_page: Callable[..., Page], example: Example
) -> None:
    """A map that is none is an error, not a wrong image."""
    grey = smooth_map(np.random.default_rng(0), 8, 8)
    bad = {
        "colour": png_of((np.dstack([grey] * 3) * 255).astype(np.uint8)),
        "sixteen": png_of((grey * 60000).astype(np.uint16)),
        "cut": png_of((grey * 255).astype(np.uint8))[:60],
        "none": "",
    }[how]
    page = open_page(example.folder)
    said = page.evaluate(
        """(text) => wsol.decodePng(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)))
            .then(() => 'decoded', (error) => 'refused')""",
        bad,
    )
    assert said == "refused"
