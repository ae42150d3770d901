"""Images are found by the names that others give them, or not at all."""

import pytest

from wsol.data.names import ImageNames, Match, shared_end

IDS = ["train/crow/a.jpg", "train/crow/b.png", "train/wren/b.png", "test/a.jpg", "x%41.jpg"]


@pytest.mark.parametrize(
    ("name", "index", "is_exact"),
    [
        ("train/crow/a.jpg", 0, True),
        ("crow/a.jpg", 0, True),
        ("a.jpg", None, True),
        ("x%41.jpg", 4, True),
        ("x%2541.jpg", 4, True),
        ("train\\crow\\a.jpg", 0, True),
        ("crow\\a.jpg", 0, True),
        ("./train/crow/a.jpg", 0, False),
        ("data/train/crow/a.jpg", 0, False),
        ("/home/me/train/crow/a.jpg", 0, False),
        ("/home/me/crow/a.jpg", 0, False),
        ("D:\\me\\crow\\a.jpg", 0, False),
        ("/home/me/b.png", None, False),
        ("crow/a", 0, False),
        ("crow/a.png", 0, False),
        ("crow/a.JPEG", 0, False),
        ("/home/me/images/crow/a", 0, False),
        ("images/test/a", 3, False),
        ("b", None, False),
    ],
)
def test_names_as_others_give_them(name: str, index: int | None, is_exact: bool) -> None:
    """By whole paths and ends, of other machines, with other suffixes."""
    assert ImageNames(IDS).find(name) == Match(index, is_exact)


@pytest.mark.parametrize("name", ["", "c.jpg", "jay/a.jpg", "row/a.jpg", "crow/a.txt", "crow", "/"])
def test_names_of_no_image(name: str) -> None:
    """A folder that contradicts the image's makes it another one."""
    assert ImageNames(IDS).find(name) is None


def test_an_image_is_preferred_to_one_of_another_suffix() -> None:
    """And two of one stem are told apart by their suffix alone."""
    names = ImageNames(["a.jpg", "a.png"])
    assert names.find("a.png") == Match(1, is_exact=True)
    assert names.find("a.webp") == Match(None, is_exact=False)


def test_the_longest_common_end() -> None:
    """In parts, without suffixes."""
    assert shared_end("/a/test/crow/1.jpg", "b/test/crow/1.png") == 3
    assert shared_end("1.jpg", "x/1") == 1
    assert shared_end("a/1.jpg", "a/2.jpg") == 0
