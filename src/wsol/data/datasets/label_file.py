"""The label files of the ADL authors' code: a picture, its class and a box a line."""

from pathlib import Path

import numpy as np

from wsol.data.annotations.listing import Listing
from wsol.data.annotations.types import Box, box_fault
from wsol.errors import AnnotationError, DataError


def read_label_file(path: Path, *, with_boxes: bool = True) -> Listing:
    r"""Read one split.

    Args:
        path: Text with `name class x0 y0 x1 y1` a line, or `name class` alone, between blanks or
            tabs; the class is a number from 0. A picture of several boxes has several lines.
        with_boxes: Whether to read the boxes. Those of the published `train.txt` of CUB are
            `x y width height`, and no training looks at them.

    Raises:
        AnnotationError: If a line cannot be used.
        DataError: If the file cannot be read.

    Source: `labels/CUB` and `dataflow/CUB.py` of the authors' tensorpack code.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "test.txt")
    ...     _ = file.write_text("1.Crow/a.jpg\t0\t1.0\t2.0\t30.0\t40.0\n")
    ...     listing = read_label_file(file)
    >>> listing.labels, listing.boxes[0].tolist()
    ({'1.Crow/a.jpg': '0'}, [[1.0, 2.0, 30.0, 40.0]])
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    labels: dict[str, str | None] = {}
    boxes: dict[str, dict[Box, None]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            name, label, box = _fields(line)
            fault = box_fault(box) if box and with_boxes else None
            if fault:
                raise ValueError(fault)
        except ValueError as error:
            raise AnnotationError(path, number, f"cannot read {line!r}: {error}") from error
        if labels.setdefault(name, label) != label:
            raise AnnotationError(path, number, f"{name!r} is of two classes")
        known = boxes.setdefault(name, {})
        if box:
            known[box] = None
    if not labels:
        raise DataError(f"{path}: has no lines")
    found = tuple(np.array(list(rows), np.float64).reshape(-1, 4) for rows in boxes.values())
    return Listing(path, labels, found if with_boxes and any(boxes.values()) else None)


def _fields(line: str) -> tuple[str, str, Box | None]:
    """Return name, class and box of a line; a name may hold blanks."""
    last = line.rsplit(maxsplit=5)
    if len(last) == 6 and last[1].isdecimal():
        name, label, *numbers = last
        x0, y0, x1, y1 = map(float, numbers)
        return name.strip(), label, (x0, y0, x1, y1)
    name, label = line.rsplit(maxsplit=1)
    # A row of a box that lacks a number would otherwise be a name that ends in numbers.
    if not label.isdecimal() or name.split()[-1].isdecimal():
        raise ValueError("expected a name, the number of its class, and x0 y0 x1 y1 or nothing")
    return name.strip(), label, None
