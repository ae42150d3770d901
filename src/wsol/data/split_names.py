"""What folders and tar files are called after: the splits of a data set."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from wsol.errors import ConfigError

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
