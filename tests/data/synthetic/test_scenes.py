"""Scenes are what they say: boxes around objects, few kinds, many sizes, the same for a seed."""

import csv
from pathlib import Path

import numpy as np
import pytest

from wsol.data.open import open_data
from wsol.data.synthetic.scenes import CLASSES, SIZE, toy_scenes, write_scenes
from wsol.maps import box_iou


@pytest.mark.parametrize("max_objects", [1, 4])
def test_scenes_are_as_described(max_objects: int) -> None:
    """One to so many objects of up to three classes, inside the image and apart."""
    scenes = list(toy_scenes(60, seed=1, max_objects=max_objects))
    counts = [len(scene.labels) for scene in scenes]
    assert min(counts) == 1
    assert max(counts) == max_objects
    for scene in scenes:
        assert len(set(scene.labels.tolist())) <= 3
        assert scene.boxes.shape == (len(scene.labels), 4)
        assert (scene.boxes >= 0).all()
        assert (scene.boxes <= SIZE).all()
        overlap = box_iou(scene.boxes, scene.boxes)
        assert np.count_nonzero(overlap) == len(scene.labels)
    sides = np.concatenate([scene.boxes[:, 2:] - scene.boxes[:, :2] for scene in scenes]).max(1)
    assert sides.min() < 0.3 * SIZE
    assert sides.max() > (0.7 if max_objects == 1 else 0.4) * SIZE
    assert {label for scene in scenes for label in scene.labels} == set(range(len(CLASSES)))


def test_the_box_is_where_the_image_differs_from_its_ground() -> None:
    """Inside the box of an object there are pixels of its coat, outside there are none."""
    for scene in toy_scenes(12, seed=2):
        (x0, y0, x1, y1) = scene.boxes[0].astype(int)
        pixels = np.asarray(scene.image, np.float64)
        inside = pixels[y0:y1, x0:x1].reshape(-1, 3)
        frame = np.ones((SIZE, SIZE), bool)
        frame[y0:y1, x0:x1] = False
        # The colours of ground and object differ in mean by more than chance.
        difference = np.abs(inside.mean(0) - pixels[frame].mean(0)).max()
        assert difference > 3


def test_the_same_seed_gives_the_same_images() -> None:
    """And another seed others."""
    first, again, other = (
        np.stack([np.asarray(scene.image) for scene in toy_scenes(3, seed)]) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_scenes_of_one_object_are_a_data_set(tmp_path: Path) -> None:
    """Folders by class with boxes for the test split, as our own readers take them."""
    write_scenes(tmp_path, train=12, test=6)
    splits = open_data(tmp_path, val_fraction=0)
    assert splits["train"].classes == tuple(sorted(CLASSES))
    assert len(splits["train"]) == 12
    assert splits["test"].has_boxes


def test_scenes_of_several_have_a_row_for_each_label(tmp_path: Path) -> None:
    """Labels once for each class in the image, boxes once for each object."""
    write_scenes(tmp_path, train=4, test=6, max_objects=4)
    with (tmp_path / "labels.csv").open(encoding="utf-8") as file:
        labels = list(csv.DictReader(file))
    with (tmp_path / "boxes.csv").open(encoding="utf-8") as file:
        boxes = list(csv.DictReader(file))
    assert len({(row["image"], row["label"]) for row in labels}) == len(labels)
    assert len({row["image"] for row in labels}) == 10
    assert {(row["image"], row["class"]) for row in boxes} == {
        (row["image"], row["label"]) for row in labels if row["image"].startswith("test/")
    }
