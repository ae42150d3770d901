"""Predictions for supervision and fiftyone, in place of which stand-ins note what they get."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from wsol.errors import ConfigError
from wsol.formats import PredictionInfo
from wsol.results.localization import Localization, box_masks

INFO = PredictionInfo(("crow", "wren"), Path("photos"), 0.2)


@pytest.fixture
def result() -> Localization:
    """Return a result with two boxes on a map of a quarter of the size."""
    heat_map = np.zeros((5, 10), np.float32)
    heat_map[0:2, 0:3], heat_map[1, 1], heat_map[4, 9] = 0.5, 0.1, 1
    return Localization(
        "a.jpg",
        (40, 20),
        heat_map=heat_map,
        boxes=np.array([[36.0, 16, 40, 20], [0, 0, 12, 8]]),
        box_scores=np.array([0.75, 0.5]),
        box_labels=np.array([1, 0]),
    )


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, *classes: str) -> None:
    """Put a module in place of another, whose classes keep their arguments."""
    module = ModuleType(name)
    for attribute in classes:
        setattr(module, attribute, SimpleNamespace)
    monkeypatch.setitem(sys.modules, name, module)


def test_supervision_gets_boxes_masks_and_names(
    result: Localization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corners in pixels, classes by number and by name, masks at the image's size."""
    stand_in(monkeypatch, "supervision", "Detections")
    found = result.to_supervision(INFO)
    np.testing.assert_array_equal(found.xyxy, result.boxes)
    assert found.confidence.tolist() == [0.75, 0.5]
    assert found.class_id.tolist() == [1, 0]
    assert found.data["class_name"].tolist() == ["wren", "crow"]
    assert found.mask.shape == (2, 20, 40)
    np.testing.assert_array_equal(found.mask, list(box_masks(result, 0.2)))


def test_fiftyone_gets_shares_and_cut_masks(
    result: Localization, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corner, width and height as shares; a mask covers its box alone."""
    stand_in(monkeypatch, "fiftyone", "Detection", "Detections")
    first, second = result.to_fiftyone(INFO).detections
    assert (first.label, first.confidence) == ("wren", 0.75)
    assert first.bounding_box == [0.9, 0.8, 0.1, 0.2]
    assert second.bounding_box == [0, 0, 0.3, 0.4]
    assert first.mask.shape == (4, 4)
    assert first.mask.all()
    assert second.mask.shape == (8, 12)
    assert not second.mask[4:8, 4:8].any()
    assert second.mask.sum() == 8 * 12 - 16


def test_images_without_boxes_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """No object, and images that could not be read."""
    stand_in(monkeypatch, "supervision", "Detections")
    stand_in(monkeypatch, "fiftyone", "Detection", "Detections")
    for size in ((8, 6), (0, 0)):
        nothing = Localization("a.jpg", size)
        assert nothing.to_supervision(INFO).xyxy.shape == (0, 4)
        assert nothing.to_fiftyone(INFO).detections == []


@pytest.mark.parametrize("name", ["supervision", "fiftyone"])
def test_a_missing_package_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to get it."""
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=f"{name} is not installed: pip install .{name}"):
        getattr(Localization("a.jpg"), f"to_{name}")(INFO)
