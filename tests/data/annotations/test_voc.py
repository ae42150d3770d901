"""Pascal VOC's XML: whose pixels count from where, and what is refused by file and line."""

import time
from pathlib import Path

import pytest
from globox import Annotation, AnnotationSet, BoundingBox

from wsol.data.annotations.types import BoxRow, ImageRow
from wsol.data.annotations.voc import read_voc_boxes
from wsol.errors import AnnotationError, DataError


def write(
    folder: Path,
    name: str,
    *corners: tuple[object, ...],
    filename: str | None = None,
    size: str = "<size><width>50</width><height>40</height></size>\n",
    more: str = "",
) -> Path:
    """Write one file, an object a line from line 4 on."""
    objects = "".join(
        "<object><name>crow</name><bndbox>"
        + "".join(
            f"<{tag}>{value}</{tag}>"
            for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
        )
        + "</bndbox></object>\n"
        for box in corners
    )
    filename = f"{Path(name).stem}.jpg" if filename is None else filename
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<annotation>\n<filename>{filename}</filename>{more}\n{size}{objects}</annotation>",
        encoding="utf-8",
    )
    return path


def boxes(path: Path) -> list[tuple[float, ...]]:
    """Return the boxes of all files."""
    return [row.box for row in read_voc_boxes(path) if isinstance(row, BoxRow)]


def test_pixels_are_counted_from_1_and_the_last_is_included(tmp_path: Path) -> None:
    """A box over a whole image of 50 x 40 is 1 1 50 40 in Pascal VOC."""
    write(tmp_path, "a.xml", (1, 1, 50, 40), (48.5, "240.0", "195.0", 371))
    assert boxes(tmp_path) == [(0, 0, 50, 40), (47.5, 239, 195, 371)]
    assert boxes(tmp_path / "a.xml") == boxes(tmp_path)


def test_a_corner_at_0_shows_that_all_files_count_from_0(tmp_path: Path) -> None:
    """As one program writes a folder."""
    write(tmp_path, "a.xml", (5, 6, 50, 40))
    write(tmp_path, "sub/b.xml", (3, 0, 50, 40))
    assert boxes(tmp_path) == [(5, 6, 50, 40), (3, 0, 50, 40)]


def test_files_of_globox_come_back(tmp_path: Path) -> None:
    """Which writes edges from 0 to width and height."""
    given = [(0.0, 2.0, 30.0, 40.0), (5.0, 5.0, 50.0, 40.0)]
    found = [BoundingBox(label="crow", xmin=a, ymin=b, xmax=c, ymax=d) for a, b, c, d in given]
    AnnotationSet([Annotation("a.jpg", (50, 40), found)]).save_pascal_voc(tmp_path)
    image, *rows = read_voc_boxes(tmp_path)
    assert image == ImageRow(tmp_path / "a.xml", "a.jpg", size=(50, 40))
    assert [row.box for row in rows if isinstance(row, BoxRow)] == given


def test_own_files_count_from_0(tmp_path: Path) -> None:
    """Whatever their corners and those of others are; their names are read back."""
    more = "<source><database>wsol</database></source>"
    write(tmp_path, "a.xml", (5, 6, 50, 40), filename="crow/a%0Ab.jpg", more=more)
    write(tmp_path, "b.xml", (5, 6, 50, 40))
    rows = [row for row in read_voc_boxes(tmp_path) if isinstance(row, BoxRow)]
    assert [(row.image, row.box) for row in rows] == [
        ("crow/a\nb.jpg", (5, 6, 50, 40)),
        ("b.jpg", (4, 5, 50, 40)),
    ]


def test_images_have_names_and_sizes(tmp_path: Path) -> None:
    """Of the file where it has none, and with its folder where several are called the same."""
    write(tmp_path, "crow/a.xml", (1, 1, 9, 9))
    write(tmp_path, "wren/a.xml", size="")
    write(tmp_path, "c.xml", filename="", size="<size><width>0</width><height>0</height></size>")
    images = [row for row in read_voc_boxes(tmp_path) if type(row) is ImageRow]
    assert [(row.image, row.size) for row in images] == [
        ("c", None),
        ("crow/a.jpg", (50, 40)),
        ("wren/a.jpg", None),
    ]


@pytest.mark.parametrize(
    "corners", [(1, 1, "", 9), (1, 1, "nine", 9), ("<x/>", 1, 9, 9)], ids=["", "text", "element"]
)
def test_a_wrong_object_is_a_row_with_file_and_line(
    tmp_path: Path, corners: tuple[object, ...]
) -> None:
    """The others are read."""
    path = write(tmp_path, "a.xml", (1, 1, 9, 9), corners, (2, 2, 9, 9))
    rows = list(read_voc_boxes(tmp_path))
    (error,) = [row for row in rows if isinstance(row, AnnotationError)]
    assert (error.path, error.line) == (path, 5)
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", 1),
        ("<annotation>\n<filename></annotation>", 2),
        ("\n<annotations></annotations>", 2),
        ("<annotation>\n<size><width>9</width></size></annotation>", 2),
        ("<annotation>\n<size><width>9</width><height>-3</height></size></annotation>", 2),
    ],
)
def test_a_file_that_is_wrong_as_a_whole_ends_the_reading(
    tmp_path: Path, text: str, line: int
) -> None:
    """By its name and line."""
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(AnnotationError) as caught:
        list(read_voc_boxes(tmp_path))
    assert (caught.value.path, caught.value.line) == (tmp_path / "a.xml", line)


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(DataError, match=str(tmp_path)):
        list(read_voc_boxes(tmp_path))


def test_entities_are_refused_at_once(tmp_path: Path) -> None:
    """Before they expand or read anything."""
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    for doctype in (f"<!DOCTYPE a [{laughs}]>", '<!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]>'):
        name = "&l11;" if "l11" in doctype else "&x;"
        text = f"{doctype}<annotation><filename>{name}</filename></annotation>"
        (tmp_path / "a.xml").write_text(text)
        start = time.monotonic()
        with pytest.raises(AnnotationError, match=r"a\.xml"):
            list(read_voc_boxes(tmp_path))
        assert time.monotonic() - start < 1
