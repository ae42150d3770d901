"""Images named by their id or by the end of it."""

from collections.abc import Iterator, Sequence


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

    Args:
        ids: Path of each image, with forward slashes.

    Returns:
        Name to index; None where several ids end in the name. An id that is also the end of
        another one means itself.

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
    return index_of
