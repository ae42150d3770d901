"""Boxes in a COCO JSON file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wsol.data.box_row import Box, BoxRow
from wsol.data.coco_file import Names, coco_names, is_id, link_fault, load_coco
from wsol.errors import AnnotationError


def read_coco_boxes(path: Path) -> Iterator[BoxRow | AnnotationError]:
    """Return the annotations of a COCO file one by one, those of crowds left out.

    Args:
        path: JSON file with the lists `images` (`id`, `file_name`), `categories` (`id`, `name`)
            and `annotations` (`id`, `image_id`, `category_id`, `bbox` as x, y, width, height in
            pixels of the image as displayed).

    Returns:
        For each a box, or the error of an entry that cannot be used.

    Raises:
        AnnotationError: If the file is not JSON or lacks one of the lists.

    >>> import json
    >>> from tempfile import TemporaryDirectory
    >>> coco = {
    ...     "images": [{"id": 7, "file_name": "a.jpg"}],
    ...     "categories": [{"id": 3, "name": "crow"}],
    ...     "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 29, 38]}],
    ... }
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "boxes.json")
    ...     _ = file.write_text(json.dumps(coco))
    ...     [row.box for row in read_coco_boxes(file)]
    [(1.0, 2.0, 30.0, 40.0)]
    """
    return coco_rows(path, load_coco(path))


def coco_rows(path: Path, lists: dict[str, list[Any]]) -> Iterator[BoxRow | AnnotationError]:
    """Yield the annotations of a COCO file that is loaded, those of crowds left out.

    Args:
        path: The file, for messages.
        lists: Its lists, see `load_coco`.

    Yields:
        A box, or the error of an entry that cannot be used.
    """
    images, categories, faults = coco_names(path, lists)
    yield from faults
    seen: set[Any] = set()
    for place, entry in enumerate(lists["annotations"]):
        if isinstance(entry, dict) and entry.get("iscrowd"):
            continue
        row = _row(entry, f"annotations[{place}]", images, categories, seen)
        yield row if isinstance(row, BoxRow) else AnnotationError(path, None, row)


def _row(entry: Any, item: str, images: Names, categories: Names, seen: set[Any]) -> BoxRow | str:
    """Return the box of an annotation, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f"{item} is not an object"
    identity = entry.get("id")
    if not is_id(identity):
        return f"{item} needs a number or text as 'id'"
    item = f"annotation {identity!r}"
    if identity in seen:
        return f"{item} comes twice"
    seen.add(identity)
    fault = link_fault(entry, images, categories)
    if fault:
        return f"{item}: {fault}"
    box = _box(entry.get("bbox"))
    if box is None:
        return f"{item}: bbox must be four numbers, not {entry.get('bbox')!r}"
    return BoxRow(
        images[entry["image_id"]], categories[entry["category_id"]], box, item=f"{item}: "
    )


def _box(bbox: Any) -> Box | None:
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    if not all(isinstance(side, int | float) and not isinstance(side, bool) for side in bbox):
        return None
    try:
        x, y, width, height = map(float, bbox)
    except OverflowError:
        return None
    return x, y, x + width, y + height
