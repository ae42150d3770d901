"""Where the file of a picture goes below a folder."""

import re
from collections.abc import Collection
from hashlib import sha256

from wsol.formats.portable import portable

_LONGEST = 200
"""Bytes of a name; file systems hold 255, and suffixes are added."""

_WRITTEN = (".csv", ".png", ".txt", ".xml")


def place(image_id: str, reserved: Collection[str] = ()) -> str:
    """Return a relative path that is safe to write to, another for each picture.

    It is the picture's name, made ``portable``, and ``original`` leads back. What would lead out
    of the folder or be overlooked is written as ``%`` and two digits as well: a dot that a part
    begins with, a first ``/``, one after another, ``:`` and backslashes, and a letter of folders
    that are called as written files or reserved ones are. Parts of more than 200 bytes are cut and
    get a hash instead.

    Args:
        image_id: of the picture.
        reserved: names that no folder must have.

    >>> place("a b/日本.jpg"), place("../../x.jpg"), place("/photos/1.jpg")
    ('a b/日本.jpg', '%2E./%2E./x.jpg', '%2Fphotos/1.jpg')
    """
    name = re.sub(r"^/|(?<=/)/|/$|[\\:]", lambda found: _escape(found[0]), portable(image_id))
    *folders, file = name.split("/")
    return "/".join([*(_folder(part, reserved) for part in folders), _short(_no_dot(file))])


def _folder(part: str, reserved: Collection[str]) -> str:
    if part in reserved:
        part = _escape(part[0]) + part[1:]
    elif part.endswith(_WRITTEN):
        stem, _, suffix = part.rpartition(".")
        part = f"{stem}%2E{suffix}"
    return _short(_no_dot(part))


def _no_dot(part: str) -> str:
    return _escape(".") + part[1:] if part.startswith(".") else part


def _escape(text: str) -> str:
    return "".join(f"%{ord(character):02X}" for character in text)


def _short(part: str) -> str:
    data = part.encode("utf-8")
    if len(data) <= _LONGEST:
        return part
    stem, dot, suffix = part.rpartition(".")
    end = dot + suffix if stem and len(suffix) < 8 else ""
    digest = sha256(data).hexdigest()[:32]
    return f"{data[: _LONGEST - 50].decode('utf-8', 'ignore')}~{digest}{end}"
