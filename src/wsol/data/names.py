"""Images named by their id or by the end of it."""

from collections.abc import Iterator, Sequence

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
