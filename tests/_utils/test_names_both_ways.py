"""Names for all formats: nothing that a format cannot hold, and always the way back."""

from hypothesis import given
from hypothesis import strategies as st

from wsol._utils.names import escape_name, unescape_name

# File names on Linux are bytes; what is no UTF-8 becomes lone surrogates.
FILE_NAMES = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
TRICKY = st.text(st.sampled_from("a%0FfuD é日\n\x00\x85\udcff\ud800\ufffe"), max_size=8)


@given(FILE_NAMES)
def test_every_file_name_has_a_way_back(name: str) -> None:
    """Any bytes that a file's name may be."""
    text = escape_name(name)
    text.encode("utf-8")
    assert not any(ord(character) < 32 for character in text)
    assert unescape_name(text) == name


@given(TRICKY, TRICKY)
def test_different_names_stay_different(one: str, other: str) -> None:
    """Also those that look like what others become."""
    assert (escape_name(one) == escape_name(other)) == (one == other)


@given(st.text(st.characters(categories=["L", "N", "P", "Zs"], exclude_characters="%")))
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    """Nobody should see escapes without need."""
    assert escape_name(name) == name
