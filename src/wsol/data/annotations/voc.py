"""Boxes in Pascal VOC's XML files, one file for each image."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wsol._utils.names import unescape_name
from wsol.data.annotations.types import Box, BoxRow, ImageRow, Row, Size, size_fault
from wsol.data.file_index import find_files
from wsol.errors import AnnotationError, DataError

VOC_SUFFIX: Final = ".xml"

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")

_logger = logging.getLogger("wsol")


def read_voc_boxes(path: Path) -> Iterator[Row]:
    """Yield the images and boxes of Pascal VOC's XML files.

    Pascal VOC counts pixels from 1 and includes the last one, so `xmin ymin xmax ymax` becomes
    `x0 = xmin - 1`, `y0 = ymin - 1`, `x1 = xmax`, `y1 = ymax`. Where a corner of any file is at
    0, the files count from 0 as many programs do, and all corners are taken as they are. Those
    that `wsol` wrote count from 0 always.

    Args:
        path: A file, or a folder of files in any folders below it. An image is named by
            `filename`, with the folder of its file where several files have the same, and by the
            name of the file where it is empty. Of each object `name` and `bndbox` are read.

    Yields:
        For each file its image, and a box, or an error, for each of its objects.

    Raises:
        AnnotationError: If a file as a whole cannot be read or is no annotation of Pascal VOC.
        DataError: If there are no such files.

    >>> from tempfile import TemporaryDirectory
    >>> box = "<xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax>"
    >>> text = "<annotation><filename>a.jpg</filename><object><name>crow</name><bndbox>"
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.xml").write_text(f"{text}{box}</bndbox></object></annotation>")
    ...     [row.box for row in read_voc_boxes(Path(folder)) if isinstance(row, BoxRow)]
    [(0.0, 1.0, 30.0, 40.0)]
    """
    names = [path.name] if path.is_file() else find_files(path, {VOC_SUFFIX})
    if not names:
        raise DataError(f"{path}: no annotations here, which are files ending in {VOC_SUFFIX}")
    root = path.parent if path.is_file() else path
    files = [_read(root, name) for name in names]
    first = next((file for file in files if not file.is_own and file.counts_from_0), None)
    if first is not None:
        _logger.info("%s: a corner is at 0, so %s counts pixels from 0", first.path, path)
    times = Counter(file.image for file in files)
    for file in files:
        image = file.image
        if times[image] > 1:
            image = (PurePosixPath(file.name).parent / image).as_posix()
        shift = 0.0 if file.is_own or first is not None else 1.0
        yield ImageRow(image, file.size)
        for each in file.objects:
            if isinstance(each, AnnotationError):
                yield each
                continue
            x0, y0, x1, y1 = each.box
            box = x0 - shift, y0 - shift, x1, y1
            yield BoxRow(image, each.name, box, each.line, size=file.size, path=file.path)


@dataclass(frozen=True)
class _Object:
    """One object as its file has it."""

    name: str
    box: Box
    line: int


@dataclass(frozen=True)
class _File:
    """One file: its path, its name below the folder, and what it says."""

    path: Path
    name: str
    image: str
    size: Size | None
    objects: list[_Object | AnnotationError]
    is_own: bool

    @property
    def counts_from_0(self) -> bool:
        boxes = (each.box for each in self.objects if isinstance(each, _Object))
        return any(0 <= min(x0, y0) < 1 for x0, y0, _, _ in boxes)


def _read(root: Path, name: str) -> _File:
    path = root / name
    lines: dict[Element, int] = {}
    try:
        tree = parse_xml(path.read_bytes(), lines)
    except expat.ExpatError as error:
        raise AnnotationError(path, error.lineno, f"not XML: {error}") from error
    except (OSError, ValueError) as error:
        raise AnnotationError(path, None, f"cannot be read: {error}") from error
    if tree.tag != "annotation":
        raise AnnotationError(
            path, lines[tree], f"not Pascal VOC: begins with {tree.tag!r}, not 'annotation'"
        )
    is_own = text_of(tree, "source/database") == "wsol"
    image = text_of(tree, "filename") or Path(name).stem
    objects = [_object(path, item, lines, is_own) for item in tree.findall("object")]
    return _File(
        path,
        name,
        unescape_name(image) if is_own else image.replace("\\", "/"),
        _size(path, tree, lines),
        objects,
        is_own,
    )


def _size(path: Path, tree: Element, lines: dict[Element, int]) -> Size | None:
    width, height = text_of(tree, "size/width"), text_of(tree, "size/height")
    # Some programs write 0 where they do not know the size.
    if {width, height} <= {"", "0"}:
        return None
    try:
        size = int(width), int(height)
        fault = size_fault(size)
    except ValueError as error:
        fault = str(error)
    if fault:
        item = tree.find("size")
        raise AnnotationError(path, None if item is None else lines[item], fault)
    return size


def _object(
    path: Path, item: Element, lines: dict[Element, int], is_own: bool
) -> _Object | AnnotationError:
    name = text_of(item, "name")
    texts = [text_of(item, f"bndbox/{corner}") for corner in _CORNERS]
    missing = [
        what for what, text in zip(("name", *_CORNERS), (name, *texts), strict=True) if not text
    ]
    if missing:
        return AnnotationError(path, lines[item], f"the object has no {missing[0]}")
    try:
        x0, y0, x1, y1 = map(float, texts)
    except ValueError as error:
        return AnnotationError(path, lines[item], str(error))
    return _Object(unescape_name(name) if is_own else name, (x0, y0, x1, y1), lines[item])


def text_of(item: Element, path: str) -> str:
    """Return the text of an element below another, without blanks around it, or ""."""
    return (item.findtext(path) or "").strip()


def parse_xml(content: bytes, lines: dict[Element, int] | None = None) -> Element:
    """Parse XML from a source that is not trusted.

    Args:
        content: The file. One with a document type, which is where entities are defined, is
            refused.
        lines: Where the line of each element is added, from 1.

    Raises:
        ExpatError: If it is not XML.
        ValueError: If it declares a document type.

    >>> parse_xml(b"<a><b>1</b></a>").findtext("b")
    '1'
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = builder.start(tag, attributes)
        if lines is not None:
            lines[element] = parser.CurrentLineNumber

    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    parser.Parse(content, True)
    return builder.close()


def _refuse(*declaration: object) -> NoReturn:
    raise ValueError("a document type is declared, which could define entities; refused")
