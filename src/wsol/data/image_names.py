"""Images found by the names that annotations of other programs and machines give them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from wsol.data.annotations.names import ends, index_by_end
from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.portable import original

_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


@dataclass(frozen=True)
class Match:
    """The image that a name stands for.

    Args:
        index: Of the image; None where the name fits several.
        is_exact: Whether the name is the image's path or the end of it.
    """

    index: int | None
    is_exact: bool


class ImageNames:
    r"""Finds images by the names that annotations give them.

    A name is, in this order, the path of an image or the end of it from a slash on; a path that
    ends in the whole path of an image; an absolute path, of which the longest end counts that is
    the end of any image's path; or one of these with another suffix or none. Backslashes are
    slashes too, and what wsol's own exports have escaped is known.

    Args:
        ids: Path of each image, with forward slashes.

    >>> names = ImageNames(["test/crow/a.jpg", "test/wren/b.png"])
    >>> [names.find(name).index for name in ("crow/a.jpg", "C:\\birds\\crow\\a.jpg", "b.jpg")]
    [0, 0, 1]
    >>> names.find("jay/a.jpg")
    """

    def __init__(self, ids: Sequence[str]) -> None:
        """Index the paths."""
        self.ids = ids
        self._by_end = index_by_end(ids)

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _by_stem(self) -> dict[str, int | None]:
        """Map stems, and ends of them, as `index_by_end` does; None where several have one."""
        index_of: dict[str, int | None] = {}
        whole: dict[str, int | None] = {}
        for index, stem in enumerate(map(_stem, self.ids)):
            for end in ends(stem):
                index_of[end] = None if end in index_of else index
            whole[stem] = None if stem in whole else index
        return index_of | whole

    @cached_property
    def _whole_stems(self) -> frozenset[str]:
        return frozenset(map(_stem, self.ids))

    def find(self, name: str) -> Match | None:
        """Return the image of a name, or None where it fits none.

        Args:
            name: As an annotation file has it.
        """
        if name in self._by_end:
            return Match(self._by_end[name], is_exact=True)
        forms = name, name.strip(), original(name), name.replace("\\", "/")
        spellings = list(dict.fromkeys(forms))
        for spelling in spellings[1:]:
            if spelling in self._by_end:
                return Match(self._by_end[spelling], is_exact=True)
        for spelling in spellings:
            for end in ends(spelling):
                if end in self._whole or (_ABSOLUTE.match(spelling) and end in self._by_end):
                    return Match(self._by_end[end], is_exact=False)
        for spelling in spellings:
            for stem in dict.fromkeys((spelling, _stem(spelling))):
                for end in (stem, *ends(stem)):
                    is_end = end == stem or _ABSOLUTE.match(stem) or end in self._whole_stems
                    if is_end and end in self._by_stem:
                        return Match(self._by_stem[end], is_exact=False)
        return None


def shared_end(name: str, other: str) -> int:
    r"""Return how many parts two paths have in common at their ends, whatever their suffixes.

    >>> shared_end("/content/test/crow/a.jpg", "data\\test\\crow\\a.png")
    3
    """
    parts = zip(
        *(_stem(path.replace("\\", "/")).split("/")[::-1] for path in (name, other)), strict=False
    )
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], parts))


def some(names: Iterable[str], count: int = 3) -> str:
    """Return the first names of many, quoted, for a message.

    >>> some(["a.jpg", "b.jpg"], count=1)
    "'a.jpg', ..."
    """
    listed = list(names)
    return ", ".join(map(repr, listed[:count])) + (", ..." if len(listed) > count else "")


def _stem(name: str) -> str:
    start, dot, suffix = name.rpartition(".")
    return start if f"{dot}{suffix}".lower() in IMAGE_SUFFIXES else name
