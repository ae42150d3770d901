"""Reversible escaping of image and class names for file formats and file systems, and URIs."""

import re
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|%(?=[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
)
_ESCAPE = re.compile("(?:%[0-9A-Fa-f]{2})+|%u[0-9A-Fa-f]{4}")

_LONGEST = 200
"""Maximum length of a name in bytes; file systems allow 255, and suffixes are appended."""

_WRITTEN = (".csv", ".png", ".txt", ".xml")

YOLO_RESERVED = ("images",)
"""Folder names that YOLO training programs replace to find labels."""

_ODD = re.compile(
    "[%:\\\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]"
    r"|^[./]|/(?:\.|/|images/)|^images/|(?:\.|\.csv|\.png|\.txt|\.xml)/|/$"
)
"""Matches every name that is changed by escaping, apart from those with long parts."""


def escape_name(name: str) -> str:
    r"""Escape a name as UTF-8 text without control characters, the same for every format.

    Characters that XML, JSON or a line of text cannot contain (control characters, bytes that are
    not UTF-8) are percent-encoded, ``%`` and two digits per byte; so is a ``%`` that would look
    like such an escape. Other names are unchanged, and different names stay different.

    Args:
        name: name of a class, or of a file as in Python (bytes that are not UTF-8 as lone
            surrogates).

    >>> escape_name("cats & dogs/日本 100%.jpg"), escape_name("a\nb\udcff%41.jpg")
    ('cats & dogs/日本 100%.jpg', 'a%0Ab%FF%2541.jpg')
    """
    return _UNFIT.sub(lambda found: _escape(found[0]), name)


def unescape_name(name: str) -> str:
    r"""Return the original of a name that ``escape_name`` has escaped.

    >>> unescape_name("a%0Ab%FF%2541.jpg")
    'a\nb\udcff%41.jpg'
    """
    return _ESCAPE.sub(lambda found: _unescape(found[0]), name)


def safe_path(image_id: str, reserved: Collection[str] = ()) -> str:
    """Return a unique relative path for an image that is safe to write to.

    The path is the image's name after ``escape_name``, and ``unescape_name`` reverts it. Characters
    that would lead out of the folder or hide a file are percent-encoded too:

    - a dot at the start of a part or at the end of a folder,
    - a leading ``/`` and repeated ones, ``:`` and backslashes,
    - a character of a folder with a reserved name, or with the suffix of a written file.

    Parts of more than 200 bytes are truncated and get a hash instead.

    Args:
        image_id: id of the image.
        reserved: names that folders must not have.

    >>> safe_path("a b/日本.jpg"), safe_path("../../x.jpg"), safe_path("/photos/1.jpg")
    ('a b/日本.jpg', '%2E%2E/%2E%2E/x.jpg', '%2Fphotos/1.jpg')
    """
    name = re.sub(r"^/|(?<=/)/|/$|[\\:]", lambda found: _escape(found[0]), escape_name(image_id))
    *folders, file = name.split("/")
    return "/".join([*(_folder(part, reserved) for part in folders), _short(_no_dot(file))])


def escaped_forms(name: str) -> set[str]:
    r"""Return the escaped forms of an image's name that exports write, without the name itself.

    >>> escaped_forms("crow/a 1.jpg"), sorted(escaped_forms("a\n:.jpg"))
    (set(), ['a%0A%3A.jpg', 'a%0A:.jpg'])
    """
    # Fast path: most names have none, and data sets have millions of names.
    if not _ODD.search(name) and max(map(len, name.split("/"))) * 4 <= _LONGEST:
        return set()
    return {escape_name(name), safe_path(name), safe_path(name, YOLO_RESERVED)} - {name}


def _escape(character: str) -> str:
    if "\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff":
        # Half of a surrogate pair, not an escaped byte; only file names of other systems have it.
        return f"%u{ord(character):04X}"
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _unescape(escape: str) -> str:
    if escape[1] == "u":
        return chr(int(escape[2:], 16))
    return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "surrogateescape")


def _folder(part: str, reserved: Collection[str]) -> str:
    if part in reserved:
        part = _escape(part[0]) + part[1:]
    elif part.endswith(_WRITTEN):
        stem, _, suffix = part.rpartition(".")
        part = f"{stem}%2E{suffix}"
    part = _no_dot(part)
    # Some file systems drop a trailing dot, and training programs resolve "./" against their list.
    return _short(part[:-1] + _escape(".") if part.endswith(".") else part)


def _no_dot(part: str) -> str:
    return _escape(".") + part[1:] if part.startswith(".") else part


def _short(part: str) -> str:
    data = part.encode("utf-8")
    if len(data) <= _LONGEST:
        return part
    stem, dot, suffix = part.rpartition(".")
    end = dot + suffix if stem and len(suffix) < 8 else ""
    digest = sha256(data).hexdigest()[:32]
    return f"{data[: _LONGEST - 50].decode('utf-8', 'ignore')}~{digest}{end}"


SCHEMES = ("s3", "gs", "gcs", "hdfs", "abfs", "abfss", "file")
"""URI schemes of the file systems that pyarrow opens."""

_URI = re.compile(f"({'|'.join(SCHEMES)}):/+")


def is_uri(path: Path | str) -> bool:
    """Return whether a path is a URI; a ``Path`` collapses ``s3://`` to a single slash.

    >>> is_uri("s3://bucket/photos"), is_uri(Path("s3://bucket/photos")), is_uri("photos/s3")
    (True, True, False)
    """
    return _URI.match(str(path)) is not None


def uri_of(path: Path | str) -> str:
    """Return a URI as text, with the slashes that ``Path`` collapses.

    >>> uri_of(Path("s3://bucket/photos")), uri_of(Path("file:///photos"))
    ('s3://bucket/photos', 'file:///photos')
    """
    text = str(path)
    slashes = ":///" if text.startswith("file:") else "://"
    return _URI.sub(lambda found: f"{found[1]}{slashes}", text, count=1)


def shown(uri: str) -> str:
    """Return a URI without credentials and query, for messages and results.

    >>> shown("s3://key:secret@bucket/photos?region=eu-west-1")
    's3://bucket/photos'
    """
    scheme, _, rest = uri.partition("?")[0].partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
