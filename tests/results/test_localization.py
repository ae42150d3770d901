"""What all localizations of a prediction have in common, as every format writes it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.formats import PredictionInfo, create_writer, list_formats
from wsol.results.localization import Localization


@pytest.mark.parametrize("name", sorted({*list_formats()} - {"masks", "heatmaps"}))
def test_classes_of_one_name_stay_apart(name: str, tmp_path: Path) -> None:
    """ImageNet has two cranes: each format has both, and which box is of which."""
    Image.new("RGB", (8, 6)).save(tmp_path / "a.png")
    info = PredictionInfo(("crane", "jay", "crane"), tmp_path, 0.2)
    (tmp_path / "out").mkdir()
    writer = create_writer(name, tmp_path / "out", info)
    boxes = np.array([[0.0, 0, 4, 4], [2, 2, 8, 6]])
    scores, labels = np.array([0.9, 0.8]), np.array([2, 0])
    writer.add(
        Localization(
            "a.png", (8, 6), "crane", 2, 0.9, boxes=boxes, box_scores=scores, box_labels=labels
        )
    )
    writer.close()
    files = [path for path in (tmp_path / "out").rglob("*.*") if path.is_file()]
    text = b"".join(path.read_bytes() for path in files)
    assert b"crane#0" in text
    assert b"crane#2" in text
