"""Matching of annotation rows with images."""

import logging
from pathlib import Path

import pytest

from wsol.data.annotations.matching import MatchedRows, Synonyms, match_rows
from wsol.data.annotations.types import ImageRow, OnBad
from wsol.data.names import ImageNames
from wsol.errors import AnnotationError

IDS = ["test/crow/a.jpg", "test/wren/b.jpg"]


def match(
    *names: str, synonyms: Synonyms = "exact", on_bad: OnBad = "fail"
) -> MatchedRows[ImageRow]:
    """Match the rows of a file with images."""
    rows = [ImageRow(Path("boxes.csv"), name, line) for line, name in enumerate(names, 2)]
    return match_rows(rows, ImageNames(IDS), synonyms=synonyms, on_bad=on_bad)


@pytest.mark.parametrize(
    ("names", "allowed"),
    [
        (("a.jpg", "a.jpg"), {"none", "exact", "all"}),
        (("a.jpg", "crow/a.jpg"), {"exact", "all"}),
        (("/x/crow/a.jpg", "/y/crow/a.jpg"), {"all"}),
    ],
)
@pytest.mark.parametrize("synonyms", ["none", "exact", "all"])
def test_names_of_one_image(names: tuple[str, ...], allowed: set[str], synonyms: Synonyms) -> None:
    """Different names are refused with the line of the second one, or skipped."""
    if synonyms in allowed:
        assert len(match(*names, synonyms=synonyms).of_image[0]) == 2
        return
    with pytest.raises(AnnotationError) as caught:
        match(*names, synonyms=synonyms)
    assert caught.value.line == 3
    assert len(match(*names, synonyms=synonyms, on_bad="skip").of_image[0]) == 1


def test_unknown_images_are_reported_together(caplog: pytest.LogCaptureFixture) -> None:
    """With the first line, the folder, and an image of the same file name."""
    matched = match("a.jpg", "jay/A.JPG", "jay/c.jpg")
    with pytest.raises(AnnotationError, match=r"2 rows of 2 unknown") as caught:
        matched.refuse_unknown(where=Path("birds"))
    assert caught.value.line == 3
    for part in ("'jay/A.JPG' in birds", f"did you mean {IDS[0]!r}", "'jay/c.jpg'"):
        assert part in str(caught.value)
    with caplog.at_level(logging.WARNING, "wsol"):
        matched.refuse_unknown("skip", Path("birds"))
    assert caplog.messages == [f"{caught.value} (rows skipped)"]
