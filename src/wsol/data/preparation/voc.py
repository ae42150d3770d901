"""The XML files of ILSVRC's boxes, which have the form of PASCAL VOC."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.parsers import expat

from wsol.data.annotations.types import Box, Size, box_fault, size_fault
from wsol.data.voc_boxes import parse_xml, text_of
from wsol.errors import AnnotationError


@dataclass(frozen=True)
class Annotation:
    """What one XML file says of its picture.

    Args:
        class_name: The class of all its objects.
        size: Width and height in pixels.
        boxes: `x0 y0 x1 y1` in pixels as the file has them, each once.
    """

    class_name: str
    size: Size
    boxes: tuple[Box, ...]


def read_voc(content: bytes, where: str) -> Annotation:
    r"""Read one XML file of boxes.

    Args:
        content: The file. One with a document type, which is where entities are defined, is
            refused.
        where: The file, for messages.

    Raises:
        AnnotationError: If it is not sound, has no object, or has objects of two classes.

    >>> text = b'''<annotation><size><width>50</width><height>40</height></size><object>
    ... <name>n01</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax></bndbox>
    ... </object></annotation>'''
    >>> read_voc(text, "a.xml")
    Annotation(class_name='n01', size=(50, 40), boxes=((1.0, 2.0, 30.0, 20.0),))
    """
    try:
        root = parse_xml(content)
        size = int(_text(root, "size/width")), int(_text(root, "size/height"))
        objects = root.findall("object")
        names = {_text(item, "name") for item in objects}
        boxes = [_box(item) for item in objects]
    except (expat.ExpatError, ValueError) as error:
        raise AnnotationError(where, None, f"cannot be read: {error}") from error
    faults = [size_fault(size), *(box_fault(box) for box in boxes)]
    fault = next((fault for fault in faults if fault), None)
    if fault:
        raise AnnotationError(where, None, fault)
    if len(names) != 1:
        raise AnnotationError(where, None, f"has objects of {len(names)} classes, not of one")
    # ILSVRC has some boxes twice.
    return Annotation(names.pop(), size, tuple(dict.fromkeys(boxes)))


def _box(item: Element) -> Box:
    x0, y0, x1, y1 = (
        float(_text(item, f"bndbox/{name}")) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    return x0, y0, x1, y1


def _text(item: Element, path: str) -> str:
    text = text_of(item, path)
    if not text:
        raise ValueError(f"has no {path} in {item.tag}")
    return text
