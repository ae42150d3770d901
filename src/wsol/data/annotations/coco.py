"""A COCO JSON file as lists, and the names behind its ids."""

import json
from pathlib import Path
from typing import Any, Final

from wsol.errors import AnnotationError

Names = dict[Any, str]
"""Id to name."""

_LISTS: Final = ("images", "annotations", "categories")


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


def coco_names(
    path: Path, lists: dict[str, list[Any]]
) -> tuple[Names, Names, list[AnnotationError]]:
    """Return the names of images and of categories by id, and the errors of entries without.

    Args:
        path: The file, for messages.
        lists: Its lists, see `load_coco`.

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
    """Return what is wrong with the image and the category that an annotation names, or None.

    >>> link_fault({"image_id": 8, "category_id": 3}, {7: "a.jpg"}, {3: "crow"})
    "image_id 8 is not in 'images'"
    """
    image, category = entry.get("image_id"), entry.get("category_id")
    if not is_id(image) or image not in images:
        return f"image_id {image!r} is not in 'images'"
    if not is_id(category) or category not in categories:
        return f"category_id {category!r} is not in 'categories'"
    return None


def is_id(value: Any) -> bool:
    """Return whether a value can be an id: a number or a text.

    >>> is_id(7), is_id(None)
    (True, False)
    """
    return isinstance(value, int | str)


def _index(entry: Any, key: str, names: Names) -> str | None:
    """Note the name of an entry under its id; return what is wrong with the entry, if anything."""
    if not isinstance(entry, dict) or not isinstance(entry.get(key), str):
        return f"needs the text {key!r}"
    if not is_id(entry.get("id")):
        return "needs a number or text as 'id'"
    if entry["id"] in names:
        return f"id {entry['id']!r} comes twice"
    names[entry["id"]] = entry[key]
    return None
