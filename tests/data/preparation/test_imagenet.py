"""XML of boxes is read safely, and what cannot be right is refused."""

import time

import pytest

from wsol.data.preparation.imagenet import read_voc
from wsol.errors import AnnotationError

SOUND = (
    "<annotation><size><width>50</width><height>40</height></size>"
    "<object><name>n01</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>20</ymax>"
    "</bndbox></object></annotation>"
)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("<annotation>", "<annotation", "a.xml: cannot be read"),
        ("<width>50</width>", "", "has no size/width"),
        ("<name>n01</name>", "", "has no name in object"),
        ("<xmin>1<", "<xmin>nan<", "not finite"),
        ("<xmin>1<", "<xmin>31<", "must be greater"),
        ("<width>50<", "<width>0<", "cannot be 0 x 40"),
        ("</annotation>", "<object><name>n02</name></object></annotation>", "has no bndbox/xmin"),
    ],
)
def test_what_is_refused(before: str, after: str, reason: str) -> None:
    """The error names the file and what is wrong."""
    with pytest.raises(AnnotationError, match=reason):
        read_voc(SOUND.replace(before, after).encode(), "a.xml")


def test_objects_of_two_classes_and_of_none() -> None:
    """An image is of one class."""
    item = SOUND[SOUND.index("<object>") : SOUND.index("</annotation>")]
    two = SOUND.replace(item, item + item.replace("n01", "n02"))
    for text, count in ((two, 2), (SOUND.replace(item, ""), 0)):
        with pytest.raises(AnnotationError, match=f"objects of {count} classes"):
            read_voc(text.encode(), "a.xml")


def test_entities_are_refused_at_once() -> None:
    """A document type is refused before it can expand or read anything."""
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "ha"}">' for i in range(12))
    hostile = [f"<!DOCTYPE a [{laughs}]>", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>']
    for doctype in hostile:
        text = doctype + SOUND.replace("n01", "&l11;" if "l11" in doctype else "&x;")
        start = time.monotonic()
        with pytest.raises(AnnotationError, match="document type"):
            read_voc(text.encode(), "a.xml")
        assert time.monotonic() - start < 1
