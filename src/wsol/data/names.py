"""Images found by the names that annotations of other programs and machines give them."""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Final

from wsol._utils.names import escaped_forms, safe_path, unescape_name
from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.errors import ConfigError


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
    a line break (`wsol._utils.names`).

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
        for form in escaped_forms(name):
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
    return {safe_path(name), safe_path(unescape_name(name))} - {name}


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


SPLITS: Final = ("train", "val", "test")

FOLDERS: Final = Path("folders")
"""In place of a file of labels: the class of an image is that of its folder."""

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
"""Words, in lower case, that mean a split."""

_NEUTRAL: Final = frozenset({"image", "images", "img", "imgs", "set", "data", "split"})


def split_of(folder: str) -> str | None:
    """Return the split that a folder is named after, or None.

    Case, digits, punctuation and words such as "images" do not count.

    Args:
        folder: Name of the folder.

    >>> [split_of(name) for name in ("Train", "validation", "test_images", "train2017", "training")]
    ['train', 'val', 'test', 'train', 'train']
    >>> split_of("train station"), split_of("crow")
    (None, None)
    """
    words = [word for word in re.findall(r"[^\W\d_]+", folder.lower()) if word not in _NEUTRAL]
    return SPLIT_OF.get(words[0]) if len(words) == 1 else None


def read_split_folders(given: Sequence[str]) -> dict[str, str] | None:
    """Return which folders are splits, by name, as the option `split_folders` states it.

    Args:
        given: `auto` or nothing where the layout decides, `none` where every folder is a class,
            or a `split=folder` for each split.

    Returns:
        Folder to split, which is empty for `none`; None for `auto`.

    Raises:
        ConfigError: If an entry is none of these, or names a split or folder twice.

    >>> read_split_folders(["train=Set A", "test=Set B"])
    {'Set A': 'train', 'Set B': 'test'}
    >>> read_split_folders([]), read_split_folders(["none"])
    (None, {})
    """
    # A text is one entry or several, never a list of letters.
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
                f"split_folders is {entry!r}; use auto, none, or SPLIT=FOLDER with one of "
                f"{', '.join(SPLITS)} and the name of a folder"
            )
        if split in found.values() or folder in found:
            raise ConfigError(f"split_folders has {entry!r} after another of that split or folder")
        found[folder] = split
    return found


def split_option(folders: Mapping[str, str]) -> str:
    """Return the option that names folders as splits, as it is typed.

    Args:
        folders: Folder to split.

    >>> split_option({"Train": "train"})
    '--split_folders train=Train'
    """
    return f"--split_folders {','.join(f'{split}={name}' for name, split in folders.items())}"


def in_order(splits: Iterable[str]) -> list[str]:
    """Return splits in their usual order.

    >>> in_order({"test", "train"})
    ['train', 'test']
    """
    return sorted(splits, key=SPLITS.index)
