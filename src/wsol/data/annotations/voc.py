"""Reader of boxes in Pascal VOC XML files, with one file per image."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple, NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wsol._utils.names import unescape_name
from wsol.data.annotations.types import BoxRow, ImageRow, Row, Size, parse_size
from wsol.data.file_index import find_files
from wsol.errors import AnnotationError, DataError

VOC_SUFFIX: Final = ".xml"

_CORNERS: Final = ("xmin", "ymin", "xmax", "ymax")

_logger = logging.getLogger("wsol")


def read_voc_boxes(path: Path) -> Iterator[Row]:
    """Yield the images and boxes of a Pascal VOC XML file, or of all files below a folder.

    Pascal VOC counts pixels from 1 and includes the last one, so `xmin ymin xmax ymax` becomes `x0
    = xmin - 1`, `y0 = ymin - 1`, `x1 = xmax`, `y1 = ymax`. If a corner in any file is at 0, all
    files count from 0 like those of many programs, and corners are not shifted. Files of `wsol`
    always count from 0. The image name is `filename`, with the folder of the file if the name is
    not unique, or the name of the file if `filename` is empty.

    Raises:
        AnnotationError: If a file as a whole cannot be read or is not a Pascal VOC annotation.
        DataError: If there are no such files.
    """
    names = [path.name] if path.is_file() else find_files(path, {VOC_SUFFIX})
    if not names:
        raise DataError(f"{path}: no annotations found; use a folder of {VOC_SUFFIX} files")
    root = path.parent if path.is_file() else path
    files = [_read(root, name) for name in names]
    first = next((file for file in files if not file.is_own and file.counts_from_0), None)
    if first is not None:
        _logger.info(
            "%s: a corner is at 0; treating all boxes of %s as 0-based", first.row.path, path
        )
    times = Counter(file.row.image for file in files)
    for file in files:
        image = file.row.image
        if times[image] > 1:
            image = (PurePosixPath(file.name).parent / image).as_posix()
        shift = 0.0 if file.is_own or first is not None else 1.0
        yield replace(file.row, image=image)
        for row in file.objects:
            if isinstance(row, BoxRow):
                x0, y0, x1, y1 = row.box
                yield replace(row, image=image, box=(x0 - shift, y0 - shift, x1, y1))
            else:
                yield row


class _File(NamedTuple):
    """Content of a file, its name below the folder, and whether it is an export of wsol."""

    name: str
    row: ImageRow
    objects: list[BoxRow | AnnotationError]
    is_own: bool

    @property
    def counts_from_0(self) -> bool:
        boxes = (row.box for row in self.objects if isinstance(row, BoxRow))
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
    image = unescape_name(image) if is_own else image.replace("\\", "/")
    row = ImageRow(path, image, size=_size(path, tree, lines))
    objects = [_object(row, item, lines[item], is_own) for item in tree.findall("object")]
    return _File(name, row, objects, is_own)


def _size(path: Path, tree: Element, lines: dict[Element, int]) -> Size | None:
    width, height = text_of(tree, "size/width"), text_of(tree, "size/height")
    # Some programs write 0 for an unknown size.
    if {width, height} <= {"", "0"}:
        return None
    try:
        return parse_size(width, height)
    except ValueError as error:
        item = tree.find("size")
        line = None if item is None else lines[item]
        raise AnnotationError(path, line, str(error)) from error


def _object(image: ImageRow, item: Element, line: int, is_own: bool) -> BoxRow | AnnotationError:
    name = text_of(item, "name")
    texts = [text_of(item, f"bndbox/{corner}") for corner in _CORNERS]
    missing = [
        what for what, text in zip(("name", *_CORNERS), (name, *texts), strict=True) if not text
    ]
    if missing:
        return AnnotationError(image.path, line, f"the object has no {missing[0]}")
    try:
        x0, y0, x1, y1 = map(float, texts)
    except ValueError as error:
        return AnnotationError(image.path, line, str(error))
    return BoxRow(
        image.path,
        image.image,
        line,
        size=image.size,
        class_name=unescape_name(name) if is_own else name,
        box=(x0, y0, x1, y1),
    )


def text_of(item: Element, path: str) -> str:
    """Return the stripped text of a child element, or ""."""
    return (item.findtext(path) or "").strip()


def parse_xml(content: bytes, lines: dict[Element, int] | None = None) -> Element:
    """Parse XML from an untrusted source, and add the line of each element to `lines`, from 1.

    A document type, which could define entities, is refused.

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
