"""Reader of boxes in Pascal VOC XML files, with one file per image."""

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
    """Yield the images and boxes of Pascal VOC XML files.

    Pascal VOC counts pixels from 1 and includes the last one, so `xmin ymin xmax ymax` becomes
    `x0 = xmin - 1`, `y0 = ymin - 1`, `x1 = xmax`, `y1 = ymax`. If a corner in any file is at 0, all
    files count from 0 like those of many programs, and corners are not shifted. Files of `wsol`
    always count from 0.

    Args:
        path: File, or folder of files at any depth. The image name is `filename`, with the folder
            of the file if the name is not unique, or the name of the file if `filename` is empty.
            `name` and `bndbox` of each object are read.

    Yields:
        The image of each file, and a box or an error for each of its objects.

    Raises:
        AnnotationError: If a file as a whole cannot be read or is not a Pascal VOC annotation.
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
        raise DataError(f"{path}: no annotations found; use a folder of {VOC_SUFFIX} files")
    root = path.parent if path.is_file() else path
    files = [_read(root, name) for name in names]
    first = next((file for file in files if not file.is_own and file.counts_from_0), None)
    if first is not None:
        _logger.info("%s: a corner is at 0; treating all boxes of %s as 0-based", first.path, path)
    times = Counter(file.image for file in files)
    for file in files:
        image = file.image
        if times[image] > 1:
            image = (PurePosixPath(file.name).parent / image).as_posix()
        shift = 0.0 if file.is_own or first is not None else 1.0
        yield ImageRow(file.path, image, size=file.size)
        for each in file.objects:
            if isinstance(each, AnnotationError):
                yield each
                continue
            x0, y0, x1, y1 = each.box
            box = x0 - shift, y0 - shift, x1, y1
            yield BoxRow(file.path, image, each.line, size=file.size, class_name=each.name, box=box)


@dataclass(frozen=True)
class _Object:
    """Object of a file."""

    name: str
    box: Box
    line: int


@dataclass(frozen=True)
class _File:
    """File with its path, its name below the folder, and its content."""

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
    # Some programs write 0 for an unknown size.
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
    """Return the stripped text of a child element, or ""."""
    return (item.findtext(path) or "").strip()


def parse_xml(content: bytes, lines: dict[Element, int] | None = None) -> Element:
    """Parse XML from an untrusted source.

    Args:
        content: Content of the file. A document type, which could define entities, is refused.
        lines: Mapping that the line of each element is added to, from 1.

    Raises:
        ExpatError: If the content is not XML.
        ValueError: If the content declares a document type.

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
    raise ValueError("document types are refused, as they could define entities; remove it")
