"""How texts name classes and images: classes without blanks, images by id or the end of it."""

import unicodedata
from collections.abc import Container, Iterator, Sequence

from wsol.portable import original, place, written_forms


def ends(name: str) -> Iterator[str]:
    """Yield the ends of a path from a slash on, the longest first, without the path itself.

    >>> list(ends("test/crow/a.jpg"))
    ['crow/a.jpg', 'a.jpg']
    """
    parts = name.split("/")
    for start in range(1, len(parts)):
        yield "/".join(parts[start:])


def index_by_end(ids: Sequence[str]) -> dict[str, int | None]:
    """Map every id, and every end of one from a slash on, to its index.

    So are the forms in which exports write an id that not all formats can hold, such as one with
    a line break (`wsol.portable`).

    Args:
        ids: Path of each image, with forward slashes.

    Returns:
        Name to index; None where several ids end in the name, or are written so. An id that is
        also the end of another one means itself.

    >>> index_by_end(["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"])["2.jpg"]
    2
    >>> index_by_end(["cat/1.jpg", "dog/1.jpg"])["1.jpg"] is None
    True
    """
    index_of: dict[str, int | None] = {}
    for index, name in enumerate(ids):
        for end in ends(name):
            index_of[end] = None if end in index_of else index
    index_of.update((name, index) for index, name in enumerate(ids))
    for index, name in enumerate(ids):
        for form in written_forms(name):
            for end in (form, *ends(form)):
                index_of[end] = index if index_of.get(end, index) == index else None
    return index_of


def map_names(name: str) -> set[str]:
    r"""Return the other names that an export writes for the score map of an image.

    Args:
        name: Of the image, as it is or as an export writes it.

    >>> map_names("a.jpg"), sorted(map_names("a%0Ab\\c.jpg"))
    (set(), ['a%0Ab%5Cc.jpg', 'a%250Ab%5Cc.jpg'])
    """
    return {place(name), place(original(name))} - {name}


def listed_name(name: str, index_of: Container[str]) -> str:
    """Return an image's name as an index has it: as it is, else without the blanks around it.

    Args:
        name: As a file states it.
        index_of: Known names, see `index_by_end`.

    >>> listed_name("a.jpg ", {"a.jpg": 0})
    'a.jpg'
    """
    return name if name in index_of else name.strip()


def class_name(text: str) -> str:
    """Return the name of the class that a text means: without the blanks around it.

    Every class name that is read from a folder, a file or an option goes through this function, so
    that "crow" and "crow " are one class everywhere.

    Args:
        text: As it is stated.

    >>> class_name(" crow ")
    'crow'
    """
    return text.strip()


def class_fault(name: str) -> str | None:
    """Return why a class name from a file cannot be used, or None.

    Args:
        name: As `class_name` gives it.

    >>> class_fault("crow"), class_fault("")
    (None, 'is empty')
    """
    if not name:
        return "is empty"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "has a control character"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return "is not UTF-8; save the file as UTF-8"
    return None
