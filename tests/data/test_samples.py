"""Samples agree with themselves, and the split keeps every class on both sides."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.data.samples import Samples, split_off
from wsol.errors import ConfigError, DataError


def samples_of(counts: list[int]) -> Samples:
    """Return samples with so many images of each class and a box that tells the image."""
    labels = np.repeat(np.arange(len(counts)), counts)
    ids = tuple(f"{i:04}.jpg" for i in range(len(labels)))
    boxes = tuple(np.array([[i, 0, i + 1, 1]], dtype=np.float64) for i in range(len(labels)))
    return Samples(Path("root"), ids, labels, tuple(f"c{i}" for i in range(len(counts))), boxes)


def test_select_keeps_labels_and_boxes_with_their_image() -> None:
    """Select keeps labels and boxes with their image."""
    chosen = samples_of([2, 2]).select([3, 0])
    assert chosen.ids == ("0003.jpg", "0000.jpg")
    assert chosen.labels.tolist() == [1, 0]
    assert chosen.boxes is not None
    assert [box[0, 0] for box in chosen.boxes] == [3, 0]
    assert chosen.classes == ("c0", "c1")
    assert chosen.path(0) == Path("root/0003.jpg")


def test_boxes_are_there_where_an_image_has_one() -> None:
    """A file of boxes that says nothing of these images is none."""
    empty, box = np.empty((0, 4)), np.array([[1.0, 2, 3, 4]])
    label = np.array([0])
    some = Samples(Path(), ("a", "b"), np.array([0, 0]), ("c",), (empty, box))
    assert some.has_boxes
    assert not some.select([0]).has_boxes
    assert not Samples(Path(), ("a",), label, ("c",)).has_boxes
    assert not Samples(Path(), ("a",), label, ("c",)).select([0]).has_boxes


@pytest.mark.parametrize(
    ("ids", "labels", "boxes", "reason"),
    [
        (("a", "b"), [0], None, "as many labels"),
        (("a", "b"), [0, 0], (), "as many labels and lists of boxes"),
        (("a", "b", "a"), [0, 0, 0], None, "'a' is listed twice"),
        (("a", "b"), [0, 1], None, "0 to 0"),
        (("a", "b"), [0, -1], None, "0 to 0"),
    ],
)
def test_contradictions_are_refused(
    ids: tuple[str, ...], labels: list[int], boxes: tuple[()] | None, reason: str
) -> None:
    """Contradictions are refused."""
    with pytest.raises(DataError, match=reason):
        Samples(Path(), ids, np.array(labels), ("c",), boxes)


def several() -> Samples:
    """Return three images of up to two labels, with a class for each box."""
    return Samples(
        Path("root"),
        ("a.jpg", "b.jpg", "c.jpg"),
        np.array([1, 0, 2]),
        ("c0", "c1", "c2"),
        (np.array([[0.0, 0, 1, 1], [1, 1, 2, 2]]), np.empty((0, 4)), np.array([[2.0, 2, 3, 3]])),
        (np.array([0, 1]), np.array([0]), np.array([1, 2])),
        (np.array([0, 1]), np.empty(0, np.int64), np.array([1])),
    )


def test_multiple_labels_and_classes_of_boxes_stay_with_their_image() -> None:
    """Targets have a one for each label; the own boxes are those of the first one."""
    samples = several()
    assert samples.is_multi_label
    assert not samples_of([2]).is_multi_label
    assert samples.targets([2, 0]).tolist() == [[0, 1, 1], [1, 1, 0]]
    assert samples.targets([0]).dtype == np.float32
    assert samples.own_boxes(0).tolist() == [[1, 1, 2, 2]]
    assert [len(samples.own_boxes(index)) for index in (1, 2)] == [0, 0]
    chosen = samples.select([2, 0])
    assert chosen.label_sets is not None
    assert chosen.box_labels is not None
    assert [labels.tolist() for labels in chosen.label_sets] == [[1, 2], [0, 1]]
    assert [labels.tolist() for labels in chosen.box_labels] == [[1], [0, 1]]
    assert chosen.own_boxes(1).tolist() == [[1, 1, 2, 2]]


def test_without_multiple_labels_the_one_is_all() -> None:
    """Targets have one one, and all boxes are the label's."""
    samples = samples_of([1, 1])
    assert samples.targets(np.array([0, 1])).tolist() == [[1, 0], [0, 1]]
    assert samples.labels_of(1).tolist() == [1]
    assert samples.own_boxes(1).tolist() == [[1, 0, 2, 1]]
    assert len(Samples(Path(), ("a",), np.array([0]), ("c",)).own_boxes(0)) == 0


def test_classes_are_renumbered_everywhere() -> None:
    """In labels, in sets of them, which rise again, and in classes of boxes."""
    samples = several().with_classes(("c2", "more", "c1", "c0"))
    assert samples.labels.tolist() == [2, 3, 0]
    assert [samples.labels_of(index).tolist() for index in range(3)] == [[2, 3], [3], [0, 2]]
    assert samples.box_labels is not None
    assert [labels.tolist() for labels in samples.box_labels] == [[3, 2], [], [2]]
    with pytest.raises(ValueError, match="not in tuple"):
        samples.with_classes(("c2", "c1"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"label_sets": ()}, "as many labels"),
        ({"label_sets": ([1], [], [2])}, r"b\.jpg: the label 0 must be one of the labels \[\]"),
        ({"label_sets": ([0], [0], [2])}, "a.jpg: the label 1 must be one of"),
        ({"label_sets": ([1, 0], [0], [2])}, r"\[1, 0\] must be ascending"),
        ({"label_sets": ([1, 1], [0], [2])}, r"\[1, 1\] must be ascending"),
        ({"label_sets": ([1], [0], [2, 3])}, "c.jpg: .* in 0 to 2"),
        ({"box_labels": ([0], [], [1])}, "a.jpg: each box needs one class"),
        (
            {"box_labels": ([0, 3], [], [1])},
            r"the classes \[0, 3\] of its boxes must lie in 0 to 2",
        ),
        ({"boxes": None}, "each box needs one class"),
    ],
)
def test_contradictions_with_multiple_labels_are_refused(
    change: dict[str, Any], reason: str
) -> None:
    """With the image that has them."""
    arrays = {
        name: lists and tuple(np.array(of, dtype=np.int64) for of in lists)
        for name, lists in change.items()
    }
    with pytest.raises(DataError, match=reason):
        replace(several(), **arrays)


def test_split_off_goes_by_the_first_label() -> None:
    """Sets and boxes move with their images."""
    count = 20
    labels, ids = np.arange(count) % 2, tuple(f"{i}.jpg" for i in range(count))
    sets = tuple(np.array([0, 1]) if i % 4 < 2 else labels[[i]] for i in range(count))
    samples = Samples(Path(), ids, labels, ("c0", "c1"), label_sets=sets)
    plain = split_off(replace(samples, label_sets=None), 0.3, seed=0)
    for part, same in zip(split_off(samples, 0.3, seed=0), plain, strict=True):
        assert part.ids == same.ids
        assert all(
            np.array_equal(part.labels_of(index), sets[int(Path(name).stem)])
            for index, name in enumerate(part.ids)
        )


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=8),
    st.floats(0.001, 0.999),
    st.integers(0, 2**32),
)
def test_split_off_divides_every_class(counts: list[int], share: float, seed: int) -> None:
    """Split off divides every class."""
    samples = samples_of(counts)
    rest, part = split_off(samples, share, seed)
    assert sorted(rest.ids + part.ids) == list(samples.ids)
    assert list(part.ids) == sorted(part.ids)
    assert list(rest.ids) == sorted(rest.ids)
    assert rest.classes == part.classes == samples.classes
    for label, count in enumerate(counts):
        moved = int((part.labels == label).sum())
        assert abs(moved - share * count) <= 1
        assert (1 <= moved < count) if count >= 2 else moved == 0


def test_split_off_is_the_same_everywhere() -> None:
    """The choice of a seed is pinned, so another machine or numpy must agree."""
    _, part = split_off(samples_of([10, 5]), 0.3, seed=7)
    assert part.ids == ("0003.jpg", "0004.jpg", "0006.jpg", "0011.jpg", "0012.jpg")


def test_split_off_follows_the_seed() -> None:
    """Split off follows the seed."""
    samples = samples_of([50, 50])
    parts = [split_off(samples, 0.2, seed)[1].ids for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_split_off_needs_a_share(share: float) -> None:
    """Split off needs a share."""
    with pytest.raises(ConfigError, match="between 0 and 1"):
        split_off(samples_of([4]), share, 0)
