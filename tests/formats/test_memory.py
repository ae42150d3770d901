"""Writers keep nothing of the images that they were given."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from wsol.formats import PredictionInfo, create_writer, list_formats
from wsol.formats import tables as parquet_table
from wsol.results.localization import Localization

EACH = 150
"""Bytes for each image that may stay; a row of any format is larger."""


class OnePhoto(PredictionInfo):
    """Takes one file for every image."""

    def path(self, result: Localization) -> Path:
        """Return the file."""
        return self.images


@pytest.mark.parametrize("name", list_formats())
def test_memory_does_not_grow_with_the_number_of_images(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of each image is kept of every hundred; Python's own tables grow at times."""
    monkeypatch.setattr(parquet_table, "_ROWS", 50)
    photo = tmp_path / "photo.jpg"
    photo.touch()
    writer = create_writer(name, tmp_path, OnePhoto(("crow", "wren"), photo, 0.2))
    heat_map = np.eye(4, dtype=np.float32)
    boxes, scores = np.array([[0.0, 0, 16, 12], [1, 2, 3, 4]]), np.array([0.9, 0.1])
    sizes = []

    def add(number: int) -> None:
        result = Localization(
            f"folder {number % 7}/photograph {number:05d} of a bird.jpg",
            (16, 12),
            heat_map=heat_map,
            boxes=boxes,
            box_scores=scores,
            box_labels=np.array([0, 1]),
        )
        writer.add(result)

    add(0)
    tracemalloc.start()
    try:
        for number in range(1, 401):
            add(number)
            if number % 100 == 0:
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    writer.close()
    assert np.diff(sizes).min() < 100 * EACH
