"""The forms in which exports write names are known when they are read back."""

from hypothesis import given
from hypothesis import strategies as st

from wsol._utils.names import YOLO_RESERVED, escape_name, escaped_forms, safe_path

CHUNKS = (
    "a",
    ".",
    "/",
    "\\",
    ":",
    "%2E",
    "%",
    "\n",
    "\udcff",
    "images",
    ".csv",
    ".png/",
    "x" * 51,
    "日" * 70,
)


@given(st.lists(st.sampled_from(CHUNKS), min_size=1, max_size=6).map("".join))
def test_all_forms_of_a_name_are_found(name: str) -> None:
    """The quick look at ordinary names overlooks none that is written otherwise."""
    written = {escape_name(name), safe_path(name), safe_path(name, YOLO_RESERVED)}
    assert escaped_forms(name) == written - {name}


def test_ordinary_names_have_one_form() -> None:
    """Nothing is kept for the millions of them."""
    assert escaped_forms("001.Crow/日本 (1), café.jpeg") == set()
