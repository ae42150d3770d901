"""Which mask is of which image, by the names of files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wsol.data.annotations import MaskAnnotations, MaskFiles, open_annotations
from wsol.errors import DataError

Write = Callable[[dict[str, str]], Path]


def images(folder: Path, *names: str) -> Path:
    """Write empty files called like images."""
    for name in names:
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).touch()
    return folder / "photos"


def test_alone_each_file_is_an_image(write: Write) -> None:
    """Whatever is in its name."""
    folder = write({"b/a.png": "", "b/a_1.PNG": "", "b/notes.txt": ""})
    found = open_annotations(folder)
    assert isinstance(found, MaskAnnotations)
    assert (found.ids, found.classes) == (("b/a", "b/a_1"), (None, None))
    assert found.masks[1] == MaskFiles((folder / "b/a_1.PNG",))


def test_with_images_several_files_make_a_mask(write: Write, tmp_path: Path) -> None:
    """The longest image's name wins, and images without mask are not annotated."""
    names = ("b/a.png", "b/a_x_1.png", "b/a_ignore.png", "b/a_2.png", "b/a_2_1.png")
    folder = write(dict.fromkeys(names, ""))
    photos = images(tmp_path, "b/a.jpg", "b/a_2.jpg", "c.jpg")
    found = open_annotations(folder, photos)
    assert isinstance(found, MaskAnnotations)
    assert dict(zip(found.ids, found.masks, strict=True)) == {
        "b/a.jpg": MaskFiles(
            (folder / "b/a.png", folder / "b/a_x_1.png"), folder / "b/a_ignore.png"
        ),
        "b/a_2.jpg": MaskFiles((folder / "b/a_2.png", folder / "b/a_2_1.png")),
    }


def test_a_mask_of_no_image_is_refused(write: Write, tmp_path: Path) -> None:
    """Its file is named."""
    photos = images(tmp_path, "b/a.jpg")
    with pytest.raises(DataError, match=r"a\.png: matches no image"):
        open_annotations(write({"a.png": ""}), photos)


def test_two_images_that_share_a_mask_are_refused(write: Write, tmp_path: Path) -> None:
    """Both are named."""
    photos = images(tmp_path, "a.jpg", "a.png")
    with pytest.raises(DataError, match=r"'a\.jpg' and 'a\.png'"):
        open_annotations(write({"a.png": ""}), photos)
