"""Names that any file format can hold, and the way back."""

import re

_UNFIT = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]|%(?=[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4})"
)
_ESCAPE = re.compile("(?:%[0-9A-Fa-f]{2})+|%u[0-9A-Fa-f]{4}")


def portable(name: str) -> str:
    r"""Return a name as UTF-8 text without control characters, for every format alike.

    What XML, JSON or a line of text cannot hold (control characters, bytes that are not UTF-8) is
    written as its bytes, ``%`` and two digits each; so is a ``%`` that would look like one. All
    other names stay as they are, and different names stay different.

    Args:
        name: of a file, as Python has it (bytes that are not UTF-8 as lone surrogates), or of a
            class.

    >>> portable("cats & dogs/日本 100%.jpg"), portable("a\nb\udcff%41.jpg")
    ('cats & dogs/日本 100%.jpg', 'a%0Ab%FF%2541.jpg')
    """
    return _UNFIT.sub(lambda found: _escape(found[0]), name)


def original(name: str) -> str:
    r"""Return the name that ``portable`` was given.

    >>> original("a%0Ab%FF%2541.jpg")
    'a\nb\udcff%41.jpg'
    """
    return _ESCAPE.sub(lambda found: _unescape(found[0]), name)


def _escape(character: str) -> str:
    if "\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff":
        # Half a character, and no byte: only other systems' file names have it.
        return f"%u{ord(character):04X}"
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def _unescape(escape: str) -> str:
    if escape[1] == "u":
        return chr(int(escape[2:], 16))
    return bytes.fromhex(escape.replace("%", "")).decode("utf-8", "surrogateescape")
