"""Flat names behave as a sorted list of text does."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.data.file_index import NamedFiles, Names

file_names = st.binary(min_size=1, max_size=12).map(
    lambda raw: os.fsdecode(raw.replace(b"\0", b"x"))
)


@given(st.lists(file_names))
def test_names_are_a_sequence(names: list[str]) -> None:
    """Length, items, slices, order and whatever bytes."""
    flat = Names(iter(names))
    assert list(flat) == [flat[index] for index in range(len(flat))] == names
    assert list(flat[1:3]) == names[1:3]
    assert list(flat.sorted()) == sorted(names, key=os.fsencode)
    repeated = flat.repeated()
    assert (repeated is None) == (len(set(names)) == len(names))
    if repeated is not None:
        assert names.count(repeated[0]) == repeated[1] > 1


@given(st.lists(file_names), st.lists(file_names))
def test_a_digest_tells_lists_apart(one: list[str], other: list[str]) -> None:
    """Order and borders count."""
    assert (Names(one).digest() == Names(other).digest()) == (one == other)


def test_more_names_than_are_taken_at_once() -> None:
    """Chunks join without a seam."""
    names = [f"{number}.jpg" for number in range(40_000)]
    assert list(Names(names)) == names


def test_there_is_nothing_past_the_end() -> None:
    """As in a list."""
    with pytest.raises(IndexError):
        Names(["a"])[1]
    assert Names(["a", "b"])[-1] == "b"


def test_paths_are_below_the_folder() -> None:
    """One by one and in slices."""
    paths = NamedFiles(Names(["a", "b/c", "d"]), Path("in").joinpath)
    assert list(paths) == [Path("in/a"), Path("in/b/c"), Path("in/d")]
    assert list(paths[1:]) == [Path("in/b/c"), Path("in/d")]
