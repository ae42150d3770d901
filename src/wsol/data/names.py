"""Names of archive members, none of which may lead out of the folder that is written."""

import re
from pathlib import PurePosixPath
from typing import Final

LONGEST_PART: Final = 200
"""Bytes in the longest name of a file or folder; file systems take 255, and a suffix is added."""
LONGEST: Final = 1000


def name_fault(name: str) -> str | None:
    r"""Return why a member's name is not a plain path below the archive's root, or None.

    Args:
        name: As the archive states it, with forward slashes.

    >>> name_fault("images/001.Albatross/a b.jpg"), name_fault("./images.txt")
    (None, None)
    >>> name_fault("../a.jpg")
    'leads out of the folder'
    >>> name_fault("/etc/passwd"), name_fault("C:/a.jpg"), name_fault("a\\b.jpg")
    ('is an absolute path', 'is a path of Windows', 'is a path of Windows')
    """
    parts = name.split("/")
    if not parts_of(name) or any(ord(character) < 32 for character in name):
        return "is empty or holds control characters"
    if name.startswith("/"):
        return "is an absolute path"
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return "is a path of Windows"
    if ".." in parts:
        return "leads out of the folder"
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if max(sizes) > LONGEST_PART or sum(sizes) > LONGEST:
        return f"is too long: {max(sizes)} bytes in one part"
    return None


def parts_of(name: str) -> tuple[str, ...]:
    """Return the parts of a sound name, without the dots that mean nothing.

    >>> parts_of("./images//a.jpg")
    ('images', 'a.jpg')
    """
    return PurePosixPath(name).parts
