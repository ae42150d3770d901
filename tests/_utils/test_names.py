"""The forms in which exports write names are known when they are read back."""

from hypothesis import given
from hypothesis import strategies as st

from wsol._utils.names import YOLO_RESERVED, place, portable, written_forms

PARTS = (
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


@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6).map("".join))
def test_all_forms_of_a_name_are_found(name: str) -> None:
    """The quick look at ordinary names overlooks none that is written otherwise."""
    written = {portable(name), place(name), place(name, YOLO_RESERVED)}
    assert written_forms(name) == written - {name}


def test_ordinary_names_have_one_form() -> None:
    """Nothing is kept for the millions of them."""
    assert written_forms("001.Crow/日本 (1), café.jpeg") == set()
