"""VOC and CVAT: read by globox and by a strict XML parser, with any name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from defusedxml import ElementTree
from globox import AnnotationSet
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol._utils.names import unescape_name
from wsol.results.localization import Localization

Write = Callable[[str, list[Localization]], Path]


def read_voc(folder: Path) -> AnnotationSet:
    """Read the folder."""
    return AnnotationSet.from_pascal_voc(folder / "voc/Annotations", recursive=True)


def read_cvat(folder: Path) -> AnnotationSet:
    """Read the file."""
    return AnnotationSet.from_cvat(folder / "cvat/annotations.xml")


@pytest.mark.parametrize(("name", "read"), [("voc", read_voc), ("cvat", read_cvat)])
@settings(max_examples=40)
@given(data=st.data())
def test_globox_reads_names_sizes_and_boxes(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Write,
    name: str,
    read: Callable[[Path], AnnotationSet],
) -> None:
    """Boxes within half a pixel; every image that could be read is there, and no other."""
    results = {result.image_id: result for result in data.draw(predictions)}
    found = read(write(name, list(results.values())))
    by_id = {unescape_name(annotation.image_id): annotation for annotation in found}
    readable = {key: result for key, result in results.items() if result.error is None}
    assert set(by_id) == set(readable)
    for key, result in readable.items():
        assert by_id[key].image_size == result.original_size
        boxes = by_id[key].boxes
        assert [unescape_name(box.label) for box in boxes] == [
            classes[i] for i in result.box_labels
        ]
        for box, corners in zip(boxes, result.boxes, strict=True):
            np.testing.assert_allclose(box.ltrb, corners, atol=0.5)


@settings(max_examples=30)
@given(data=st.data())
def test_scores_are_exact(
    data: st.DataObject, predictions: st.SearchStrategy[list[Localization]], write: Write
) -> None:
    """As text that gives the same number again."""
    results = [result for result in data.draw(predictions) if len(result.boxes)]
    expected = {result.image_id: result.box_scores.tolist() for result in results}
    root = ElementTree.parse(write("cvat", results) / "cvat/annotations.xml").getroot()
    assert {
        unescape_name(image.get("name")): [
            float(score.text) for score in image.findall("box/attribute[@name='score']")
        ]
        for image in root.iter("image")
    } == expected
    files = (write("voc", results) / "voc/Annotations").rglob("*.xml")
    trees = [ElementTree.parse(path).getroot() for path in files if path.is_file()]
    assert {
        unescape_name(folder.findtext("filename")): [
            float(score.text) for score in folder.findall("object/score")
        ]
        for folder in trees
    } == expected


@settings(max_examples=30)
@given(data=st.data())
def test_cvat_has_the_published_structure(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Write,
) -> None:
    """Elements and attributes of docs.cvat.ai's XML format 1.1, in order, and nothing else."""
    results = data.draw(predictions)
    root = ElementTree.parse(write("cvat", results) / "cvat/annotations.xml").getroot()
    assert root.tag == "annotations"
    images = root.findall("image")
    assert [child.tag for child in root] == ["version", "meta", *["image"] * len(images)]
    assert root.findtext("version") == "1.1"
    task = root.find("meta/task")
    assert [child.tag for child in task] == ["name", "size", "mode", "labels"]
    assert int(task.findtext("size")) == len(images)
    assert task.findtext("mode") == "annotation"
    labels = task.findall("labels/label")
    assert tuple(unescape_name(label.findtext("name")) for label in labels) == classes
    for label in labels:
        assert label.findtext("type") == "rectangle"
        attribute = label.find("attributes/attribute")
        tags = ["name", "mutable", "input_type", "default_value", "values"]
        assert [child.tag for child in attribute] == tags
        assert attribute.findtext("input_type") in {
            "select",
            "checkbox",
            "radio",
            "number",
            "text",
        }
    for number, image in enumerate(images):
        assert set(image.attrib) == {"id", "name", "width", "height"}
        assert int(image.get("id")) == number
        for box in image:
            assert box.tag == "box"
            corners = {"xtl", "ytl", "xbr", "ybr"}
            assert set(box.attrib) == {"label", "source", "occluded", "z_order", *corners}
            assert box.get("occluded") in "01"
            assert unescape_name(box.get("label")) in classes


def test_the_corners_of_a_whole_image_are_its_own(write: Write) -> None:
    """The convention: edges from 0 to width and height, whole ones without a point."""
    box = {"boxes": np.array([[0, 0, 40, 30.25]]), "box_scores": np.ones(1)}
    result = Localization("a.jpg", (40, 31), **box, box_labels=np.zeros(1, int))
    (path,) = (write("voc", [result]) / "voc/Annotations").iterdir()
    assert path.name == "a.xml"
    corners = ElementTree.parse(path).getroot().find("object/bndbox")
    assert [corner.text for corner in corners] == ["0", "0", "40", "30.25"]
