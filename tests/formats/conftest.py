"""Predictions of all kinds, and how to write them in a format."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from wsol.errors import ImageError
from wsol.formats import PredictionInfo, create_writer
from wsol.maps import boxes_at, objects_at, scale_boxes
from wsol.results.localization import Localization

from ..conftest import HOSTILE

CLASSES = ("crow", "<img src=x onerror=alert(1)>", "日本\n%41", "=1+1", "a, 'b' \"c\": #d")
_PART = st.text(
    st.characters(exclude_categories=(), exclude_characters="/\0"), min_size=1, max_size=6
).filter(lambda name: all(not "\ud800" <= c <= "\udfff" or "\udc80" <= c <= "\udcff" for c in name))
_NAMES = st.sampled_from(HOSTILE) | st.lists(_PART, min_size=1, max_size=3).map("/".join)


@st.composite
def _located(draw: st.DrawFn, name: str) -> Localization:
    """Draw a map, and take the boxes from it as prediction does."""
    size = (draw(st.integers(1, 60) | st.just(9_000)), draw(st.integers(1, 60) | st.just(700)))
    rng = np.random.default_rng(draw(st.integers(0, 1_000)))
    heat_map = rng.random((draw(st.integers(1, 9)), draw(st.integers(1, 9))), np.float32)
    heat_map[rng.random(heat_map.shape) < draw(st.floats(0, 0.9))] = 0
    if heat_map.any():
        heat_map /= heat_map.max()
    several = draw(st.booleans())
    boxes = objects_at(heat_map, 0.2).boxes if several else boxes_at(heat_map, 0.2, "largest")
    map_size = (heat_map.shape[1], heat_map.shape[0])
    scores = draw(st.lists(st.floats(0, 1), min_size=len(boxes), max_size=len(boxes)))
    labels = rng.integers(0, len(CLASSES), len(boxes))
    return Localization(
        name,
        size,
        heat_map=heat_map,
        boxes=scale_boxes(boxes, map_size, size),
        box_scores=np.sort(np.array(scores, np.float64))[::-1],
        box_labels=labels,
    )


@st.composite
def _predictions(draw: st.DrawFn) -> list[Localization]:
    """Draw images with boxes, without, and in error."""
    results = []
    for name in draw(st.lists(_NAMES, max_size=4, unique=True)):
        if draw(st.integers(0, 4)) == 0:
            results.append(Localization(name, error=ImageError(name, "=1+1 <b>\n]]>")))
        else:
            results.append(draw(_located(name)))
    return results


@pytest.fixture(scope="session")
def predictions() -> st.SearchStrategy[list[Localization]]:
    """Return a strategy for predictions with names and sizes of all kinds."""
    return _predictions()


@pytest.fixture(scope="session")
def classes() -> tuple[str, ...]:
    """Return the names of the classes."""
    return CLASSES


@pytest.fixture(scope="session")
def write(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, list[Localization]], Path]:
    """Return a function that writes predictions in a format to a new folder."""

    def write_all(name: str, results: list[Localization], images: Path = Path("photos")) -> Path:
        folder = tmp_path_factory.mktemp(name)
        writer = create_writer(
            name, folder, PredictionInfo(CLASSES, images, 0.2, model="a <network>")
        )
        for result in results:
            writer.add(result)
        writer.close()
        return folder

    return write_all
