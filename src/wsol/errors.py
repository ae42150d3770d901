"""What wsol raises: one line each that says what, where and what to do next."""

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class WsolError(Exception):
    """Base of all errors that a user can act on; the command line prints it as one line.

    >>> str(WsolError("no such thing"))
    'no such thing'
    """


class ConfigError(WsolError):
    """An option, key or name is wrong."""


class DataError(WsolError):
    """A data set as a whole cannot be used, for example an empty class folder."""


class AnnotationError(DataError):
    """One row of an annotation file cannot be used.

    >>> str(AnnotationError("boxes.csv", 3, "x1 is left of x0"))
    'boxes.csv:3: x1 is left of x0'
    """

    def __init__(self, path: Path | str, line: int | None, reason: str) -> None:
        """Keep what and where, for programs that handle the error."""
        super().__init__(path, line, reason)
        self.path, self.line, self.reason = path, line, reason

    def __str__(self) -> str:
        """Return place and reason as one line."""
        place = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {self.reason}"


class ImageError(WsolError):
    """One file of an image, a mask or a score map cannot be read.

    >>> str(ImageError("a.jpg", "the file is empty"))
    'a.jpg: the file is empty'
    """

    def __init__(self, path: Path | str, reason: str) -> None:
        """Keep what and where, for programs that handle the error."""
        # All arguments go to the base, so that the error survives a trip between processes.
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        """Return place and reason as one line."""
        return f"{self.path}: {self.reason}"


class ErrorLimitError(WsolError):
    """More items cannot be used than the user wants to go on with."""


class RunError(WsolError):
    """A run folder or checkpoint cannot be used."""


# CUDA, HIP, XPU, MPS, cuDNN and NCCL say the first; the CUDA libraries the next, of which the last
# is what is left where memory is too short for their own state; torch's CPU allocators, numpy and
# onnxruntime the others.
_OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|ALLOC(ATION)?_FAILED|CU\w+_STATUS_NOT_INITIALIZED|Invalid buffer size"
    r"|(can.?t|cannot|could not|unable to|failed to) allocate|not enough memory|insufficient memory"
    r"|bad_alloc|bad allocation",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of Python, the system, numpy or torch says that memory ran out.

    Most have no class of their own, so their texts are looked at. torch need not be imported.

    Args:
        error: any, but for ours, whose texts are for people.

    >>> is_out_of_memory(RuntimeError("CUDA error: out of memory")), is_out_of_memory(KeyError())
    (True, False)
    """
    if isinstance(error, WsolError):
        return False
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # Also by the name of the class, as texts of torch have changed before.
    is_named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_named or _OUT_OF_MEMORY.search(str(error)) is not None


def raise_if_out_of_memory(error: Exception) -> None:
    """Raise the error again if memory ran out; call it where any error is given another meaning.

    Args:
        error: that was caught.
    """
    if is_out_of_memory(error):
        raise error


def not_installed(package: str, requirement: str) -> ConfigError:
    """Return the error of a package that is missing, in the same words everywhere.

    Args:
        package: name of what is missing.
        requirement: to install, an extra such as ``wsol[plot]`` or the package itself.

    >>> str(not_installed("matplotlib", "wsol[plot]"))
    'matplotlib is not installed: pip install "wsol[plot]"'
    """
    # Quoted, as shells such as zsh expand brackets.
    return ConfigError(f'{package} is not installed: pip install "{requirement}"')


MAX_SHOWN = 10
"""Names that a message lists at most."""

NEAREST = 5
"""Names that it lists where there are more."""

MAX_CHARACTERS = 100
"""Of one name or value in a message."""


def shortened(text: str, most: int = MAX_CHARACTERS) -> str:
    """Return a text for a message, without the middle of a long one.

    Args:
        text: any.
        most: characters that are kept.

    >>> len(shortened("a" * 1000)) < 110
    True
    """
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-(most // 2) :]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that names the nearest known name, or a few others.

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
