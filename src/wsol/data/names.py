"""Matching of image names in annotations, class names, and names of splits."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Final

from wsol._utils.names import escaped_forms, safe_path, unescape_name
from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.errors import ConfigError


def ends(name: str) -> Iterator[str]:
    """Yield the ends of a path after each slash, the longest first, without the path itself."""
    parts = name.split("/")
    for start in range(1, len(parts)):
        yield "/".join(parts[start:])


def index_by_end(ids: Sequence[str]) -> dict[str, int | None]:
    """Map each id, its ends and its escaped forms in exports (`wsol._utils.names`) to its index.

    A name that matches more than one id is mapped to None; an id that is also the end of another id
    matches itself.
    """
    index_of = _by_proper_end(ids)
    index_of.update((name, index) for index, name in enumerate(ids))
    for index, name in enumerate(ids):
        for form in escaped_forms(name):
            for end in (form, *ends(form)):
                index_of[end] = index if index_of.get(end, index) == index else None
    return index_of


def _by_proper_end(names: Iterable[str]) -> dict[str, int | None]:
    """Map the ends of each name, without the name itself, to its index; None if ambiguous."""
    index_of: dict[str, int | None] = {}
    for index, name in enumerate(names):
        for end in ends(name):
            index_of[end] = None if end in index_of else index
    return index_of


def map_names(name: str) -> set[str]:
    """Return the escaped names that exports use for the score map of an image."""
    return {safe_path(name), safe_path(unescape_name(name))} - {name}


def class_name(text: str) -> str:
    """Return a class name without surrounding whitespace.

    All class names of folders, files and options pass through this function, so that "crow" and
    "crow " are always the same class.
    """
    return text.strip()


def class_fault(name: str) -> str | None:
    """Return why a name of `class_name` from a file cannot be used, or None."""
    if not name:
        return "is empty"
    if any(unicodedata.category(character) == "Cc" for character in name):
        return "has a control character"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        return "is not UTF-8; save the file as UTF-8"
    return None


_ABSOLUTE = re.compile(r"/|[A-Za-z]:/")


@dataclass(frozen=True)
class Match:
    """Match of a name with an image: its index, None if the name matches more than one image.

    It is exact if the name is the path of the image or an end of it.
    """

    index: int | None
    is_exact: bool


class ImageNames:
    r"""Matches names in annotations with images.

    A name matches in this order:

    - the path of an image, or an end of it after a slash,
    - the path of an image that is an end of the name,
    - for an absolute path, its longest end that is also the end of an image's path,
    - any of these with another suffix or none.

    Backslashes match slashes, and escaped names of wsol's exports match the original names.

    Args:
        ids: Path of each image, with forward slashes.

    >>> names = ImageNames(["test/crow/a.jpg", "test/wren/b.png"])
    >>> [names.find(name).index for name in ("crow/a.jpg", "C:\\birds\\crow\\a.jpg", "b.jpg")]
    [0, 0, 1]
    >>> names.find("jay/a.jpg")
    """

    def __init__(self, ids: Sequence[str]) -> None:
        """Store the paths, which are indexed on first use."""
        self.ids = ids

    @cached_property
    def _by_end(self) -> dict[str, int | None]:
        return index_by_end(self.ids)

    @cached_property
    def _whole(self) -> frozenset[str]:
        return frozenset(self.ids)

    @cached_property
    def _by_stem(self) -> dict[str, int | None]:
        """Map stems and their ends to indices, like `index_by_end`; None if ambiguous."""
        stems = list(map(image_stem, self.ids))
        whole: dict[str, int | None] = {}
        for index, stem in enumerate(stems):
            whole[stem] = None if stem in whole else index
        return _by_proper_end(stems) | whole

    @cached_property
    def _whole_stems(self) -> frozenset[str]:
        return frozenset(map(image_stem, self.ids))

    def find(self, name: str) -> Match | None:
        """Return the match of a name, or None."""
        if name in self._by_end:
            return Match(self._by_end[name], is_exact=True)
        forms = name, name.strip(), unescape_name(name), name.replace("\\", "/")
        spellings = list(dict.fromkeys(forms))
        for spelling in spellings[1:]:
            if spelling in self._by_end:
                return Match(self._by_end[spelling], is_exact=True)
        for spelling in spellings:
            for end in ends(spelling):
                if end in self._whole or (_ABSOLUTE.match(spelling) and end in self._by_end):
                    return Match(self._by_end[end], is_exact=False)
        for spelling in spellings:
            for stem in dict.fromkeys((spelling, image_stem(spelling))):
                for end in (stem, *ends(stem)):
                    is_end = end == stem or _ABSOLUTE.match(stem) or end in self._whole_stems
                    if is_end and end in self._by_stem:
                        return Match(self._by_stem[end], is_exact=False)
        return None


class ListedNames(ImageNames):
    """Matches paths of images and ends of them only, ignoring surrounding whitespace.

    >>> names = ListedNames(["test/crow/a.jpg"])
    >>> names.find("crow/a.jpg ").index, names.find("x/test/crow/a.jpg")
    (0, None)
    """

    def find(self, name: str) -> Match | None:
        """Return the match of a name, or None."""
        for spelling in (name, name.strip()):
            if spelling in self._by_end:
                return Match(self._by_end[spelling], is_exact=True)
        return None


class PublishedNames(ImageNames):
    """Matches the longest end of a name that is also the end of an image's path.

    >>> PublishedNames(["test/n01440764/a.JPEG"]).find("val/a.JPEG").index
    0
    """

    @cached_property
    def _index_of(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.ids)}

    def find(self, name: str) -> Match | None:
        """Return the match of a name, or None."""
        # The other index is slow for a million images, whose names usually are their paths.
        if name in self._index_of:
            return Match(self._index_of[name], is_exact=True)
        for end in (name, *ends(name)):
            if end in self._by_end:
                return Match(self._by_end[end], is_exact=end == name)
        return None


def shared_end(name: str, other: str) -> int:
    """Return how many parts two paths have in common at their ends, ignoring suffixes."""
    first, second = (image_stem(path.replace("\\", "/")).split("/")[::-1] for path in (name, other))
    parts = zip(first, second, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], parts))


def some(names: Iterable[str], count: int = 3) -> str:
    """Return the first of some names, quoted, for a message."""
    listed = list(names)
    return ", ".join(map(repr, listed[:count])) + (", ..." if len(listed) > count else "")


def image_stem(name: str) -> str:
    """Return a name without the suffix of a supported image file."""
    start, dot, suffix = name.rpartition(".")
    return start if f"{dot}{suffix}".lower() in IMAGE_SUFFIXES else name


SPLITS: Final = ("train", "val", "test")

FOLDERS: Final = Path("folders")
"""Stands for class folders, in place of a file of labels."""

AUTO: Final = "auto"
NONE: Final = "none"

SPLIT_OF: Final = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "valset": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
}
"""Split of each word that names one, in lower case."""

_NEUTRAL: Final = frozenset({"image", "images", "img", "imgs", "set", "data", "split"})


def split_of(folder: str) -> str | None:
    """Return the split that a folder is named after, or None.

    Case, digits, punctuation and words such as "images" are ignored.
    """
    words = [word for word in re.findall(r"[^\W\d_]+", folder.lower()) if word not in _NEUTRAL]
    return SPLIT_OF.get(words[0]) if len(words) == 1 else None


def read_split_folders(given: Sequence[str]) -> dict[str, str] | None:
    """Parse the option `split_folders` to the split of each folder.

    It is empty or `auto` to detect split folders (None), `none` if every folder is a class (no
    split), or `split=folder` for each split.

    Raises:
        ConfigError: If an entry is not valid, or repeats a split or folder.
    """
    # A string would otherwise be treated as a list of characters.
    entries = given.split(",") if isinstance(given, str) else list(given)
    entries = [entry for entry in entries if entry]
    if entries in ([], [AUTO]):
        return None
    if entries == [NONE]:
        return {}
    found: dict[str, str] = {}
    for entry in entries:
        split, _, folder = entry.partition("=")
        if split not in SPLITS or not folder or "/" in folder:
            raise ConfigError(
                f"split_folders: {entry!r} is not valid; use auto, none, or SPLIT=FOLDER with one "
                f"of {', '.join(SPLITS)} and the name of a folder"
            )
        if split in found.values() or folder in found:
            raise ConfigError(
                f"split_folders: {entry!r} repeats a split or folder; use each one once"
            )
        found[folder] = split
    return found


def split_option(folders: Mapping[str, str]) -> str:
    """Return the option `--split_folders` for the command line.

    >>> split_option({"Train": "train"})
    '--split_folders train=Train'
    """
    return f"--split_folders {','.join(f'{split}={name}' for name, split in folders.items())}"


def in_order(splits: Iterable[str]) -> list[str]:
    """Return splits in the order of `SPLITS`."""
    return sorted(splits, key=SPLITS.index)
