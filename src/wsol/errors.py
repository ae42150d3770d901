"""Exceptions of wsol and helpers for their one-line messages: where, what is wrong, what to do."""

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class WsolError(Exception):
    """Base class of all errors that a user can fix; the command line prints it as one line.

    >>> str(WsolError("no such thing"))
    'no such thing'
    """


class ConfigError(WsolError):
    """An option, key or name is not valid."""


class DataError(WsolError):
    """A data set cannot be used, for example because of an empty class folder."""


class AnnotationError(DataError):
    """One row of an annotation file cannot be used.

    >>> str(AnnotationError("boxes.csv", 3, "x1 is left of x0"))
    'boxes.csv:3: x1 is left of x0'
    """

    def __init__(self, path: Path | str, line: int | None, reason: str) -> None:
        """Store path, line number and reason."""
        super().__init__(path, line, reason)
        self.path, self.line, self.reason = path, line, reason

    def __str__(self) -> str:
        """Return location and reason as one line."""
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}"


class ImageError(WsolError):
    """An image, mask or score map cannot be read.

    >>> str(ImageError("a.jpg", "the file is empty"))
    'a.jpg: the file is empty'
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        """Store path and reason."""
        # The base class gets all arguments, so that the error can be pickled between processes.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        """Return path and reason as one line."""
        return f"{self.path}: {self.reason}"


class ErrorLimitError(WsolError):
    """The number of unusable items exceeds the limit that the user has set."""


class RunError(WsolError):
    """A run folder or checkpoint cannot be used."""


# First alternative: CUDA, HIP, XPU, MPS, cuDNN and NCCL. Next ones: the CUDA libraries, which raise
# NOT_INITIALIZED if memory is too short for their internal state. Others: torch's CPU allocators,
# numpy and onnxruntime.
_OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|ALLOC(ATION)?_FAILED|CU\w+_STATUS_NOT_INITIALIZED|Invalid buffer size"
    r"|(can.?t|cannot|could not|unable to|failed to) allocate|not enough memory|insufficient memory"
    r"|bad_alloc|bad allocation",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, the system, numpy or torch means out of memory.

    Most libraries have no special class for this error, so its message is searched. torch is not
    imported.

    Args:
        error: any exception; False for a `WsolError`, whatever its message.

    >>> is_out_of_memory(RuntimeError("CUDA error: out of memory")), is_out_of_memory(KeyError())
    (True, False)
    """
    if isinstance(error, WsolError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # The class name is checked too, as the messages of torch have changed before.
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or _OUT_OF_MEMORY.search(str(error)) is not None


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise the error again if it means out of memory.

    Call it in handlers that would otherwise convert any error to another one.

    Args:
        error: the caught exception.
    """
    if is_out_of_memory(error):
        raise error


def not_installed(package: str, requirement: str) -> ConfigError:
    """Return the error of a missing optional package.

    Args:
        package: name of the missing package.
        requirement: requirement to install: an extra such as ``wsol[plot]``, or the package.

    >>> str(not_installed("matplotlib", "wsol[plot]"))
    'matplotlib is not installed: pip install "wsol[plot]"'
    """
    # Quoted, as shells such as zsh expand brackets.
    return ConfigError(f'{package} is not installed: pip install "{requirement}"')


MAX_SHOWN = 10
"""Number of names up to which a message lists all of them."""

NEAREST = 5
"""Number of names that a message lists otherwise."""

MAX_CHARACTERS = 100
"""Maximum length of a name or value in a message."""


def shortened(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return a text for a message, with the middle of a long text omitted.

    Args:
        text: any text.
        most: maximum number of characters to keep.

    >>> len(shortened("a" * 1000)) < 110
    True
    """
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2) :]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the closest known name, or a list of known names.

    >>> did_you_mean("adll", ["none", "adl"])
    "did you mean 'adl'?"
    >>> did_you_mean("xyz", ["none", "adl"])
    'choose from: adl, none'
    """
    names = sorted(known)
    name = name[:MAX_CHARACTERS]
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = names
    if len(names) > MAX_SHOWN:
        shown = get_close_matches(name, names, n=NEAREST, cutoff=0)
    others = len(names) - len(shown)
    end = f" and {others:,} others" if others else ""
    return f"choose from: {', '.join(map(shortened, shown))}{end}"
