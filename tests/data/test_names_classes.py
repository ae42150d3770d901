"""Images are found by their id or the end of it."""

import pytest

from wsol._utils.names import escape_name, safe_path
from wsol.data.names import index_by_end, map_names

ODD = (
    "a%2Eb.jpg",
    "line\nbreak.jpg",
    "not utf-8 \udcff.jpg",
    "back\\slash.jpg",
    "l" * 240 + ".jpg",
)


def test_an_end_of_several_ids_is_none_of_them() -> None:
    """A third id with the same end does not make it clear again."""
    index_of = index_by_end(["a/x/1.jpg", "b/x/1.jpg", "c/1.jpg"])
    assert index_of["1.jpg"] is None
    assert index_of["x/1.jpg"] is None
    assert index_of["a/x/1.jpg"] == 0
    assert "/1.jpg" not in index_of


def test_an_id_means_itself() -> None:
    """Whatever else ends in it, before or after."""
    assert index_by_end(["a/1.jpg", "1.jpg", "b/1.jpg"])["1.jpg"] == 1


@pytest.mark.parametrize("name", [*ODD, *(f"x/{name}" for name in ODD), "images/a./b.jpg"])
def test_the_forms_of_exports_mean_the_image(name: str) -> None:
    """By the whole form and by the end of it, whichever format wrote it."""
    index_of = index_by_end(["other.jpg", f"photos/{name}"])
    for form in (name, escape_name(name), safe_path(name)):
        assert index_of[form] == index_of[f"photos/{form}"] == 1
    assert safe_path(name) in {escape_name(name), *map_names(escape_name(name))}


def test_a_form_that_could_mean_two_images_means_none() -> None:
    """A line break in one name, and what exports write for it in another."""
    index_of = index_by_end(["a\nb.jpg", "a%0Ab.jpg"])
    assert index_of["a%0Ab.jpg"] is None
    assert index_of["a\nb.jpg"] == 0
    assert index_of["a%250Ab.jpg"] == 1
    # Names with escapes of others' making are told apart as before.
    assert index_by_end(["a b.jpg", "a%20b.jpg"])["a b.jpg"] == 0
