"""Boxes in a COCO JSON file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wsol.data.box_row import Box, BoxRow
from wsol.errors import AnnotationError

_LISTS: Final = ("images", "annotations", "categories")


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
    images: dict[Any, str] = {}
    categories: dict[Any, str] = {}
    for kind, key, names in (("images", "file_name", images), ("categories", "name", categories)):
        for place, entry in enumerate(lists[kind]):
            fault = _index(entry, key, names)
            if fault:
                yield AnnotationError(path, None, f"{kind}[{place}]: {fault}")
    seen: set[Any] = set()
    for place, entry in enumerate(lists["annotations"]):
        if isinstance(entry, dict) and entry.get("iscrowd"):
            continue
        row = _row(entry, f"annotations[{place}]", images, categories, seen)
        yield row if isinstance(row, BoxRow) else AnnotationError(path, None, row)


def load_coco(path: Path) -> dict[str, list[Any]]:
    """Return the lists `images`, `annotations` and `categories` of a COCO file, unchecked.

    Args:
        path: JSON file.

    Raises:
        AnnotationError: If the file is not JSON or lacks one of the lists.
    """
    try:
        content = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise AnnotationError(path, error.lineno, f"not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise AnnotationError(path, None, f"not JSON: {error}") from error
    for kind in _LISTS:
        if not isinstance(content, dict) or not isinstance(content.get(kind), list):
            raise AnnotationError(path, None, f"not a COCO file: it has no list {kind!r}")
    return {kind: content[kind] for kind in _LISTS}


def _index(entry: Any, key: str, names: dict[Any, str]) -> str | None:
    """Note the name of an entry under its id; return what is wrong with the entry, if anything."""
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        return f"needs the text {key!r}"
    if not _is_id(entry.get("id")):
        return "needs a number or text as 'id'"
    if entry["id"] in names:
        return f"id {entry['id']!r} comes twice"
    names[entry["id"]] = entry[key]
    return None


def _row(
    entry: Any, item: str, images: dict[Any, str], categories: dict[Any, str], seen: set[Any]
) -> BoxRow | str:
    """Return the box of an annotation, or what is wrong with it."""
    if not isinstance(entry, dict):
        return f"{item} is not an object"
    identity = entry.get("id")
    if not _is_id(identity):
        return f"{item} needs a number or text as 'id'"
    item = f"annotation {identity!r}"
    if identity in seen:
        return f"{item} comes twice"
    seen.add(identity)
    image, category = entry.get("image_id"), entry.get("category_id")
    if not _is_id(image) or image not in images:
        return f"{item}: image_id {image!r} is not in 'images'"
    if not _is_id(category) or category not in categories:
        return f"{item}: category_id {category!r} is not in 'categories'"
    box = _box(entry.get("bbox"))
    if box is None:
        return f"{item}: bbox must be four numbers, not {entry.get('bbox')!r}"
    return BoxRow(images[image], categories[category], box, item=f"{item}: ")


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


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
