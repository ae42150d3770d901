"""COCO's files, as COCO's own readers and others see them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision
from faster_coco_eval import COCO, COCOeval_faster, init_as_pycocotools
from faster_coco_eval.core.mask import decode
from globox import AnnotationSet
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from wsol._utils.names import escape_name, unescape_name
from wsol.errors import ConfigError, ImageError
from wsol.formats import PredictionInfo, create_writer, list_formats
from wsol.results.localization import Localization, box_masks

INFO = PredictionInfo(("crow", "wren"), Path("photos"), threshold=0.2)
Write = Callable[[str, list[Localization]], Path]


def read(path: Path) -> object:
    """Return a JSON file's content."""
    return json.loads(path.read_text(encoding="utf-8"))


@settings(max_examples=40)
@given(data=st.data())
def test_what_is_written_can_be_read_back(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Write,
) -> None:
    """From the two files alone come back each image's name, size, state, boxes and scores."""
    results = data.draw(predictions)
    folder = write("coco", results)
    assert sorted(path.name for path in folder.iterdir()) == [
        "annotations.json",
        "predictions.json",
    ]
    content, rows = read(folder / "annotations.json"), read(folder / "predictions.json")
    names = {category["id"]: unescape_name(category["name"]) for category in content["categories"]}
    occurring = {label for result in results for label in result.box_labels.tolist()}
    assert names == {label + 1: classes[label] for label in occurring}
    images = sorted(content["images"] + content["errors"], key=lambda row: row["id"])
    assert [row["id"] for row in images] == list(range(1, len(results) + 1))
    for image, result in zip(images, results, strict=True):
        assert unescape_name(image["file_name"]) == result.image_id
        assert image["status"] == result.status
        if result.error is not None:
            assert unescape_name(image["error"]) == result.error.reason
            continue
        assert (image["width"], image["height"]) == result.original_size
        mine = [row for row in rows if row["image_id"] == image["id"]]
        corners = [(x, y, x + w, y + h) for x, y, w, h in (row["bbox"] for row in mine)]
        np.testing.assert_allclose(np.reshape(corners, (-1, 4)), result.boxes, atol=1e-9)
        assert [row["score"] for row in mine] == result.box_scores.tolist()
        assert [unescape_name(row["category"]) for row in mine] == [
            classes[label] for label in result.box_labels
        ]
        assert {row["file_name"] for row in mine} <= {image["file_name"]}


@settings(max_examples=40)
@given(data=st.data())
def test_globox_reads_boxes_names_and_scores(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Write,
) -> None:
    """Both files, by a reader that is not ours."""
    results = [result for result in data.draw(predictions) if result.error is None]
    folder = write("coco", results)
    found = AnnotationSet.from_coco(folder / "annotations.json")
    again = AnnotationSet.from_coco_results(
        folder / "predictions.json",
        id_to_label={number: escape_name(name) for number, name in enumerate(classes, 1)},
        id_to_imageid={n: escape_name(result.image_id) for n, result in enumerate(results, 1)},
    )
    for result in results:
        name = escape_name(result.image_id)
        expected = list(
            zip(
                result.boxes.tolist(),
                result.box_scores.tolist(),
                [escape_name(classes[label]) for label in result.box_labels],
                strict=True,
            )
        )
        assert found[name].image_size == result.original_size
        for source in (found, again) if expected else (found,):
            boxes = source[name].boxes
            assert [(box.confidence, box.label) for box in boxes] == [row[1:] for row in expected]
            for box, (corners, _, _) in zip(boxes, expected, strict=True):
                np.testing.assert_allclose(box.ltrb, corners, atol=1e-6)


@settings(max_examples=30)
@given(data=st.data())
def test_coco_decodes_the_masks_and_finds_results_and_annotations_equal(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    write: Write,
) -> None:
    """The official reader takes the data set, its results, and each mask as it was."""
    results = [result for result in data.draw(predictions) if result.error is None]
    folder = write("coco", results)
    ground_truth = COCO(str(folder / "annotations.json"))
    rows = read(folder / "predictions.json")
    masks = [mask for result in results for mask in box_masks(result, 0.2)]
    assert len(ground_truth.anns) == len(rows) == len(masks)
    for annotation, mask in zip(ground_truth.anns.values(), masks, strict=True):
        np.testing.assert_array_equal(ground_truth.annToMask(annotation), mask)
        np.testing.assert_array_equal(decode(annotation["segmentation"]), mask)
        assert annotation["area"] == mask.sum()
        x, y, width, height = annotation["bbox"]
        ys, xs = np.nonzero(mask)
        assert abs(xs.min() - x) < 1
        assert abs(ys.min() - y) < 1
        assert abs(xs.max() + 1 - x - width) < 1
        assert abs(ys.max() + 1 - y - height) < 1
    if rows:
        loaded = ground_truth.loadRes(rows)
        assert [a["score"] for a in loaded.anns.values()] == [row["score"] for row in rows]


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_results_measured_against_their_own_annotations_are_perfect(
    write: Write, kind: str
) -> None:
    """Average precision 1 in boxes and in masks, by faster-coco-eval."""
    rng = np.random.default_rng(0)
    results = []
    for number in range(6):
        heat_map = np.zeros((8, 8), np.float32)
        x, y = rng.integers(0, 4, 2)
        heat_map[y : y + 4, x : x + 3] = 1
        box = np.array([[x, y, x + 3, y + 4]]) * 10.0
        results.append(
            Localization(
                f"{number}.jpg",
                (80, 80),
                heat_map=heat_map,
                boxes=box,
                box_scores=rng.random(1),
                box_labels=rng.integers(0, 2, 1),
            )
        )
    folder = write("coco", results)
    ground_truth = COCO(str(folder / "annotations.json"))
    found = ground_truth.loadRes(str(folder / "predictions.json"))
    evaluation = COCOeval_faster(ground_truth, found, kind, print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == pytest.approx(1)


def test_torchvision_takes_the_data_set_as_it_is(tmp_path: Path) -> None:
    """CocoDetection opens every image, although one of the prediction could not be read."""
    photos = tmp_path / "photos"
    (photos / "日本 1").mkdir(parents=True)
    writer = create_writer("coco", tmp_path, INFO)
    for number, name in enumerate(("a b.png", "日本 1/=c.png")):
        Image.new("RGB", (20 + number, 10)).save(photos / name)
        box = {"boxes": np.array([[2.0, 1, 12, 9]]), "box_scores": np.array([0.5])}
        writer.add(Localization(name, (20 + number, 10), **box, box_labels=np.array([1])))
    writer.add(Localization("no.jpg", error=ImageError("no.jpg", "the file is empty")))
    writer.close()
    init_as_pycocotools()
    data = torchvision.datasets.CocoDetection(photos, tmp_path / "annotations.json")
    assert len(data) == 2
    for number, (image, targets) in enumerate(data):
        assert image.size == (20 + number, 10)
        assert [target["bbox"] for target in targets] == [[2, 1, 10, 8]]
        assert [target["category_id"] for target in targets] == [2]


def test_a_bbox_is_corner_width_height(tmp_path: Path) -> None:
    """The bounding box is x y width height, as COCO has it, and no x1 y1."""
    writer = create_writer("coco", tmp_path, INFO)
    box = np.array([[10.0, 20.0, 40.0, 25.0]])
    result = Localization(
        "a.jpg", (64, 48), boxes=box, box_scores=np.ones(1), box_labels=np.ones(1, int)
    )
    writer.add(result)
    writer.close()
    (row,) = read(tmp_path / "predictions.json")
    assert decode(row.pop("segmentation")).sum() == 30 * 5
    assert row == {
        "image_id": 1,
        "category_id": 2,
        "bbox": [10.0, 20.0, 30.0, 5.0],
        "score": 1.0,
        "file_name": "a.jpg",
        "category": "wren",
    }


def test_no_images_are_two_valid_files(tmp_path: Path) -> None:
    """Nothing to write gives an empty list of results and of images."""
    create_writer("coco", tmp_path, INFO).close()
    assert read(tmp_path / "predictions.json") == []
    assert read(tmp_path / "annotations.json")["images"] == []


@pytest.mark.parametrize("name", ["coco", "csv", "parquet"])
def test_nothing_is_written_before_the_end(tmp_path: Path, name: str) -> None:
    """Until it is closed a writer leaves no half files."""
    writer = create_writer(name, tmp_path, INFO)
    writer.add(Localization("a.jpg"))
    assert not list(tmp_path.iterdir())


def test_unknown_format_names_the_nearest(tmp_path: Path) -> None:
    """A format that does not exist is an error with the nearest name."""
    with pytest.raises(ConfigError, match=r"format: 'cocoo' .* did you mean 'coco'"):
        create_writer("cocoo", tmp_path, INFO)
    assert "coco" in list_formats()
    assert sorted(list_formats()) == list_formats()
