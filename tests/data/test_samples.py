"""Samples agree with themselves, and the split keeps every class on both sides."""

from pathlib import Path

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


def test_no_boxes_at_all_differs_from_no_box_in_any_image() -> None:
    """No boxes at all differs from no box in any image."""
    empty = (np.empty((0, 4)),)
    label = np.array([0])
    assert Samples(Path(), ("a",), label, ("c",), empty).has_boxes
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
