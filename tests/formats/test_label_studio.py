"""Label Studio: tasks as its documentation has them, and an interface that fits them."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jsonschema
import numpy as np
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol._utils.names import escape_name, unescape_name
from wsol.results.localization import Localization

PERCENT = {"type": "number", "minimum": 0, "maximum": 100 + 1e-9}
SCORE = {"type": "number", "minimum": 0, "maximum": 1}
VALUE = {
    "x": PERCENT,
    "y": PERCENT,
    "width": PERCENT,
    "height": PERCENT,
    "rotation": {"const": 0},
    "rectanglelabels": {"type": "array", "items": {"type": "string"}, "minItems": 1},
}
REGION = {
    "id": {"type": "string"},
    "type": {"const": "rectanglelabels"},
    "from_name": {"type": "string"},
    "to_name": {"type": "string"},
    "original_width": {"type": "integer", "minimum": 1},
    "original_height": {"type": "integer", "minimum": 1},
    "image_rotation": {"const": 0},
    "score": SCORE,
    "value": {"type": "object", "properties": VALUE, "required": list(VALUE)},
}
PREDICTION = {
    "model_version": {"type": "string"},
    "score": SCORE,
    "result": {
        "type": "array",
        "items": {"type": "object", "properties": REGION, "required": list(REGION)},
    },
}
TASK = {
    "data": {"type": "object", "required": ["image"]},
    "predictions": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": PREDICTION,
            "required": list(PREDICTION),
            "additionalProperties": False,
        },
    },
}
TASKS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": TASK,
        "required": list(TASK),
        "additionalProperties": False,
    },
}
"""What labelstud.io/guide/predictions and /guide/task_format say of pre-annotated tasks."""


@settings(max_examples=40)
@given(data=st.data())
def test_tasks_fit_the_schema_and_hold_names_boxes_and_scores(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Callable[[str, list[Localization]], Path],
) -> None:
    """Percent coordinates lead back within half a pixel; all names that are used are declared."""
    results = data.draw(predictions)
    folder = write("labelstudio", results) / "labelstudio"
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    jsonschema.validate(tasks, TASKS)
    config = ElementTree.parse(folder / "config.xml").getroot()
    image, choice = config.find("Image"), config.find("RectangleLabels")
    assert choice.get("toName") == image.get("name")
    declared = [label.get("value") for label in choice.findall("Label")]
    assert declared == [escape_name(name) for name in classes]
    readable = [result for result in results if result.error is None]
    assert len(tasks) == len(readable)
    for task, result in zip(tasks, readable, strict=True):
        address = urlsplit(task["data"][image.get("value").removeprefix("$")])
        assert address.path == "/data/local-files/"
        (name,) = parse_qs(address.query, keep_blank_values=True)["d"]
        assert unescape_name(name) == unescape_name(task["data"]["image_id"]) == result.image_id
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "a <network>"
        assert prediction["score"] == max(result.box_scores, default=0)
        regions = prediction["result"]
        assert len({region["id"] for region in regions}) == len(regions)
        assert [region["score"] for region in regions] == result.box_scores.tolist()
        for region, corners, label in zip(regions, result.boxes, result.box_labels, strict=True):
            assert (region["from_name"], region["to_name"]) == (
                choice.get("name"),
                image.get("name"),
            )
            width, height = region["original_width"], region["original_height"]
            assert (width, height) == result.original_size
            value = region["value"]
            assert [unescape_name(name) for name in value["rectanglelabels"]] == [classes[label]]
            x0, y0 = value["x"] * width / 100, value["y"] * height / 100
            x1 = x0 + value["width"] * width / 100
            y1 = y0 + value["height"] * height / 100
            np.testing.assert_allclose((x0, y0, x1, y1), corners, atol=1e-6)
