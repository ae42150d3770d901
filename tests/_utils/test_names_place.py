"""Places of files: inside the folder, one for each name, and the way back."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol._utils.names import safe_path, unescape_name

NAMES = st.text(st.sampled_from("a./\\:%2EF ~\n日\udcff"), min_size=1, max_size=12)


@given(NAMES)
def test_a_place_is_inside_and_leads_back(name: str) -> None:
    """No part is empty, hidden or goes up, and the name can be read from it."""
    path = safe_path(name)
    parts = path.split("/")
    assert not any(part == "" or part.startswith(".") for part in parts)
    assert not PurePosixPath(path).is_absolute()
    assert not {"\\", ":"} & set(path)
    # Of some readers, "./" is the folder of their list.
    assert "./" not in path
    path.encode("utf-8")
    assert unescape_name(path) == name


@given(NAMES, NAMES)
def test_different_names_have_different_places(one: str, other: str) -> None:
    """Also those that look alike when written."""
    assert (safe_path(one) == safe_path(other)) == (one == other)


def test_hostile_names_are_inert(hostile: tuple[str, ...]) -> None:
    """All different, short enough for a file system, and ordinary ones as they are."""
    places = [safe_path(name) for name in hostile]
    assert len(set(places)) == len(hostile)
    for path in places:
        assert all(len(part.encode()) <= 200 for part in path.split("/"))
    assert safe_path("photos of 2025/日本 (1).jpg") == "photos of 2025/日本 (1).jpg"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("images/images/images.jpg", "%69mages/%69mages/images.jpg"),
        ("a.txt/b.xml/c.txt", "a%2Etxt/b%2Exml/c.txt"),
        ("001.Crow/a.jpg", "001.Crow/a.jpg"),
    ],
)
def test_folders_never_have_the_name_of_a_written_file(name: str, expected: str) -> None:
    """Nor that of a folder that readers look for."""
    assert safe_path(name, reserved=("images",)) == expected
    assert unescape_name(expected) == name
