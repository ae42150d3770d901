"""Reader of boxes and labels in COCO JSON files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from wsol.data.annotations.types import Box, BoxRow, ImageRow, Row, Size, size_fault
from wsol.errors import AnnotationError

Names = dict[Any, str]
"""Mapping of ids to names."""

_LISTS: Final = ("images", "annotations", "categories")


def load_coco(path: Path) -> dict[str, list[Any]]:
    """Return the lists `images`, `annotations` and `categories` of a COCO file, unchecked.

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
            raise AnnotationError(path, None, f"not a COCO file; the list {kind!r} is missing")
    return {kind: content[kind] for kind in _LISTS}


def coco_names(
    path: Path, lists: dict[str, list[Any]]
) -> tuple[Names, Names, list[AnnotationError]]:
    """Return the names of images and of categories by id, and the errors of invalid entries.

    >>> lists = {"images": [{"id": 7, "file_name": "a.jpg"}], "categories": ["crow"]}
    >>> images, categories, faults = coco_names(Path("boxes.json"), lists)
    >>> images, str(faults[0])
    ({7: 'a.jpg'}, "boxes.json: categories[0]: needs the text 'name'")
    """
    images: Names = {}
    categories: Names = {}
    faults = []
    for kind, key, names in (("images", "file_name", images), ("categories", "name", categories)):
        for place, entry in enumerate(lists[kind]):
            fault = _index(entry, key, names)
            if fault:
                faults.append(AnnotationError(path, None, f"{kind}[{place}]: {fault}"))
    return images, categories, faults


def link_fault(entry: dict[str, Any], images: Names, categories: Names) -> str | None:
    """Return the fault of an annotation's references to image and category, or None."""
    image, category = entry.get("image_id"), entry.get("category_id")
    if not is_id(image) or image not in images:
        return f"image_id {image!r} is not in 'images'"
    if not is_id(category) or category not in categories:
        return f"category_id {category!r} is not in 'categories'"
    return None


def is_id(value: Any) -> bool:
    """Return whether a value can be an id, which is a number or string."""
    return isinstance(value, int | str)


def _index(entry: Any, key: str, names: Names) -> str | None:
    """Add the name of an entry by its id; return the fault of the entry, or None."""
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        return f"needs the text {key!r}"
    if not is_id(entry.get("id")):
        return "needs a number or text as 'id'"
    if entry["id"] in names:
        return f"id {entry['id']!r} occurs twice"
    names[entry["id"]] = entry[key]
    return None


def read_coco_boxes(path: Path) -> Iterator[Row]:
    """Yield the images and annotations of a COCO file, without crowds, or the errors of entries.

    Read are the lists `images` (`id`, `file_name` and perhaps `width` and `height`), `categories`
    (`id`, `name`) and `annotations` (`id`, `image_id`, `category_id`, `bbox` as x, y, width, height
    in pixels of the image as displayed).

    Raises:
        AnnotationError: If the file is not JSON or lacks one of the lists.
    """
    lists = load_coco(path)
    yield from _images(path, lists["images"])
    images, categories, faults = coco_names(path, lists)
    yield from faults
    seen: set[Any] = set()
    for place, entry in enumerate(lists["annotations"]):
        if not (isinstance(entry, dict) and entry.get("iscrowd")):
            yield _row(path, entry, f"annotations[{place}]", images, categories, seen)


def _images(path: Path, entries: list[Any]) -> Iterator[Row]:
    """Yield the images with a name; errors of others are reported by `coco_names`."""
    seen: set[str] = set()
    for place, entry in enumerate(entries):
        name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        size, fault = _size(entry)
        row = ImageRow(path, name, item=f"images[{place}]: ", size=size)
        if name in seen:
            fault = f"{name!r} occurs twice"
        seen.add(name)
        if fault is not None:
            yield row.bad(fault)
        yield row


def _size(entry: dict[str, Any]) -> tuple[Size | None, str | None]:
    """Return the size in an image entry, and its fault."""
    width, height = entry.get("width"), entry.get("height")
    if width is None and height is None:
        return None, None
    if not (isinstance(width, int) and isinstance(height, int)):
        return None, "width and height must be integers"
    fault = size_fault((width, height))
    return (width, height) if fault is None else None, fault


def _row(
    path: Path, entry: Any, item: str, images: Names, categories: Names, seen: set[Any]
) -> Row:
    """Return the box of an annotation, or its error."""
    if not isinstance(entry, dict):
        return AnnotationError(path, None, f"{item} is not an object")
    identity = entry.get("id")
    if not is_id(identity):
        return AnnotationError(path, None, f"{item} needs a number or text as 'id'")
    item = f"annotation {identity!r}"
    if identity in seen:
        return AnnotationError(path, None, f"{item} occurs twice")
    seen.add(identity)
    box = _box(entry.get("bbox"))
    fault = link_fault(entry, images, categories)
    if fault is None and box is None:
        fault = f"bbox must be four numbers, not {entry.get('bbox')!r}"
    if fault or box is None:
        return AnnotationError(path, None, f"{item}: {fault}")
    image, label = images[entry["image_id"]], categories[entry["category_id"]]
    return BoxRow(path, image, item=f"{item}: ", class_name=label, box=box)


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
