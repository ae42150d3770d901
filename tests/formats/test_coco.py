"""COCO results can be read back, and every picture has its row."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol.errors import ConfigError, ImageError
from wsol.formats import About, create_writer, list_formats
from wsol.localization import Localization

CLASSES = ("crow", "wren")
ABOUT = About(CLASSES, Path("photos"), threshold=0.2)
NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


@st.composite
def localizations(draw: st.DrawFn) -> list[Localization]:
    """Draw results of all three kinds, with names of any kind."""
    results = []
    for name in draw(st.lists(NAMES, max_size=5, unique=True)):
        if draw(st.booleans()):
            results.append(Localization(name, error=ImageError(name, "the file is empty")))
            continue
        corner = st.floats(0, 5000)
        boxes = draw(st.lists(st.tuples(corner, corner, corner, corner), max_size=3))
        label = draw(st.integers(0, 1))
        results.append(
            Localization(
                name,
                image_size=(draw(st.integers(1, 5000)), draw(st.integers(1, 5000))),
                label=CLASSES[label],
                class_index=label,
                score=0.5,
                boxes=np.array(boxes).reshape(-1, 4),
                box_scores=np.linspace(0, 1, len(boxes)),
                box_labels=np.arange(len(boxes)) % 2,
            )
        )
    return results


@settings(deadline=None, max_examples=40)
@given(results=localizations())
def test_what_is_written_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, results: list[Localization]
) -> None:
    """From the two files alone come back each picture's name, size, state, boxes and scores."""
    folder = tmp_path_factory.mktemp("coco")
    writer = create_writer("coco", folder, ABOUT)
    for result in results:
        writer.add(result)
    writer.close()
    assert sorted(path.name for path in folder.iterdir()) == ["images.json", "predictions.json"]
    listing = json.loads((folder / "images.json").read_text(encoding="utf-8"))
    rows = json.loads((folder / "predictions.json").read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in listing["categories"]}
    assert names == {1: "crow", 2: "wren"}
    images = listing["images"]
    assert len({image["id"] for image in images}) == len(images) == len(results)
    for image, result in zip(images, results, strict=True):
        mine = [row for row in rows if row["image_id"] == image["id"]]
        assert image["file_name"] == result.image_id
        assert (image["width"], image["height"]) == result.image_size
        assert image["status"] == result.status
        assert image.get("error") == (None if result.error is None else "the file is empty")
        corners = [
            (x, y, x + width, y + height) for x, y, width, height in (r["bbox"] for r in mine)
        ]
        np.testing.assert_allclose(np.reshape(corners, (-1, 4)), result.boxes, atol=1e-9)
        assert [row["score"] for row in mine] == result.box_scores.tolist()
        for row, label in zip(mine, result.box_labels, strict=True):
            assert row["file_name"] == result.image_id
            assert row["category"] == names[row["category_id"]] == CLASSES[label]


def test_a_bbox_is_corner_width_height(tmp_path: Path) -> None:
    """The bounding box is x y width height, as COCO has it, and no x1 y1."""
    writer = create_writer("coco", tmp_path, ABOUT)
    box = np.array([[10.0, 20.0, 40.0, 25.0]])
    result = Localization(
        "a.jpg", (64, 48), boxes=box, box_scores=np.ones(1), box_labels=np.ones(1, int)
    )
    writer.add(result)
    writer.close()
    rows = json.loads((tmp_path / "predictions.json").read_text())
    assert rows == [
        {
            "image_id": 1,
            "category_id": 2,
            "bbox": [10.0, 20.0, 30.0, 5.0],
            "score": 1.0,
            "file_name": "a.jpg",
            "category": "wren",
        }
    ]


def test_no_pictures_are_two_valid_files(tmp_path: Path) -> None:
    """Nothing to write gives an empty list of results and of images."""
    create_writer("coco", tmp_path, ABOUT).close()
    assert json.loads((tmp_path / "predictions.json").read_text()) == []
    assert json.loads((tmp_path / "images.json").read_text())["images"] == []


def test_nothing_is_written_before_the_end(tmp_path: Path) -> None:
    """Until it is closed a writer leaves no half files."""
    writer = create_writer("coco", tmp_path, ABOUT)
    writer.add(Localization("a.jpg"))
    assert not list(tmp_path.iterdir())


def test_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    """A format that does not exist is an error with the nearest name."""
    with pytest.raises(ConfigError, match="no format 'cocoo': did you mean 'coco'"):
        create_writer("cocoo", tmp_path, ABOUT)
    assert "coco" in list_formats()
    assert sorted(list_formats()) == list_formats()
