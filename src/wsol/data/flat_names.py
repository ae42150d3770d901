"""Millions of names in flat memory."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import overload

import pyarrow as pa
import pyarrow.compute as pc

_CHUNK = 16_384


class Names(Sequence[str]):
    """File names, one after another in one buffer: a list of as many ``str`` takes thrice that.

    Nor do processes that are forked copy it bit by bit, as they do with objects that count their
    references.

    Args:
        names: in any order; those that are not UTF-8 are as ``os.fsdecode`` gives them.

    >>> names = Names(["b.jpg", "a.jpg"])
    >>> names[0], list(names.sorted()), len(names)
    ('b.jpg', ['a.jpg', 'b.jpg'], 2)
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Take the names, a few at a time."""
        rest, chunks = iter(names), [pa.array([], pa.large_binary())]
        while some := [os.fsencode(name) for name in islice(rest, _CHUNK)]:
            chunks.append(pa.array(some, pa.large_binary()))
        self._values = pa.concat_arrays(chunks)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._values)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> "Names": ...

    def __getitem__(self, index: int | slice) -> "str | Names":
        """Return a name, or those of a slice without copying them."""
        if isinstance(index, slice):
            return _names_of(self._values[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return os.fsdecode(self._values[index].as_py())

    def __iter__(self) -> Iterator[str]:
        """Yield all names."""
        for start in range(0, len(self), _CHUNK):
            for name in self._values[start : start + _CHUNK].to_pylist():
                yield os.fsdecode(name)

    def sorted(self) -> "Names":
        """Return the names in the order of their bytes."""
        return _names_of(self._values.take(pc.array_sort_indices(self._values)))

    def repeated(self) -> tuple[str, int] | None:
        """Return a name that is there more than once, and how often, or None.

        >>> Names("aba").repeated(), Names("ab").repeated()
        (('a', 2), None)
        """
        ordered = self.sorted()._values
        same = pc.equal(ordered[1:], ordered[:-1])
        first = same.index(True).as_py()
        if first < 0:
            return None
        name = ordered[first]
        return os.fsdecode(name.as_py()), pc.equal(ordered, name).true_count

    def digest(self) -> str:
        """Return the SHA-256 of the names in their order, in hexadecimal.

        >>> Names(["ab", "c"]).digest() == Names(["a", "bc"]).digest()
        False
        """
        digest = hashlib.sha256()
        for start in range(0, len(self), _CHUNK):
            # No name of a file has a zero byte.
            some = self._values[start : start + _CHUNK].to_pylist()
            digest.update(b"".join(name + b"\0" for name in some))
        return digest.hexdigest()


def _names_of(values: pa.LargeBinaryArray) -> Names:
    names = Names(())
    names._values = values
    return names


class PathsBelow(Sequence[Path]):
    """The files of some names below a folder; each path is made when it is asked for.

    Args:
        folder: that the names are relative to.
        names: of the files.

    >>> paths = PathsBelow(Path("photos"), Names(["a/1.jpg", "b.jpg"]))
    >>> paths[0].as_posix(), len(paths)
    ('photos/a/1.jpg', 2)
    """

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        """Keep the names."""
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> "PathsBelow": ...

    def __getitem__(self, index: int | slice) -> "Path | PathsBelow":
        """Return the path of a file, or those of a slice."""
        if isinstance(index, slice):
            return PathsBelow(self.folder, self.names[index])
        return self.folder / self.names[index]
