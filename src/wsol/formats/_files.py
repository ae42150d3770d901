"""Helpers of writers: temporary rows, folders that are replaced as a whole, table cells."""

import csv
import io
import json
import shutil
import weakref
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, ClassVar, TextIO
from xml.sax.saxutils import escape, quoteattr

from wsol._utils.files import new_folder, replace_folder, write_atomically
from wsol._utils.names import escape_name, safe_path, unescape_name
from wsol.errors import ConfigError
from wsol.results.localization import Localization, PredictionInfo

_QUOTED = ("=", "+", "-", "@", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""First characters of formulas, including full-width forms, and the quote itself."""


def to_cell(text: str) -> str:
    """Return a text as a cell that spreadsheets do not treat as a formula.

    The text is escaped by ``escape_name``, which removes tabs and line breaks, and prefixed with
    ``'`` if it begins with ``=``, ``+``, ``-``, ``@`` or ``'``.

    >>> to_cell("=cmd|x.jpg"), to_cell("a=b.jpg")
    ("'=cmd|x.jpg", 'a=b.jpg')
    """
    return inert(escape_name(text))


def inert(cell: str) -> str:
    """Return a text of ``escape_name`` as a cell that is not a formula."""
    return f"'{cell}" if cell.startswith(_QUOTED) else cell


def from_cell(cell: str) -> str:
    """Return the original text of a cell of ``to_cell``.

    >>> from_cell("'=cmd|x.jpg")
    '=cmd|x.jpg'
    """
    return unescape_name(cell.removeprefix("'"))


def nameless_file(owner: object, folder: Path) -> IO[bytes]:
    """Return a temporary file without a name, which is removed with its owner or the program."""
    with ExitStack() as stack:
        file = stack.enter_context(TemporaryFile(dir=folder))
        weakref.finalize(owner, _discard, stack.pop_all())
    return file


def _discard(stack: ExitStack) -> None:
    # Errors of a full disk do not matter, as the content is discarded.
    with suppress(OSError):
        stack.close()


class TempTextFile:
    """Text that is collected in a temporary file without a name.

    This limits memory, and keeps incomplete files out of the output folder.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file in a folder."""
        self.file = io.TextIOWrapper(nameless_file(self, folder), encoding="utf-8", newline="")

    def copy_to(self, target: TextIO) -> None:
        """Append everything to an open file."""
        self.file.seek(0)
        shutil.copyfileobj(self.file, target, 1 << 20)


class CsvFile(TempTextFile):
    """CSV file in UTF-8 that is written row by row; texts are quoted, numbers are not."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        """Write the names of the columns to a temporary file in a folder."""
        super().__init__(folder)
        self.writer = csv.writer(self.file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        self.writer.writerow(columns)

    def add(self, row: Sequence[str | float | None]) -> None:
        """Append a row, whose texts are results of ``to_cell``; None is an empty cell."""
        self.writer.writerow(row)

    def close(self, path: Path) -> None:
        """Write the file atomically."""

        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="") as file:
                self.copy_to(file)

        write_atomically(path, write)


class JsonList(TempTextFile):
    """List in a JSON file, with one row per line."""

    separator = "\n"

    def add(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self.file.write(self.separator + json.dumps(row, allow_nan=False))
        self.separator = ",\n"

    def copy_to(self, target: TextIO) -> None:
        """Append the list to an open file."""
        target.write("[")
        super().copy_to(target)
        target.write("\n]")


def write_lists(path: Path, lists: Mapping[str, JsonList | dict[str, str]] | JsonList) -> None:
    """Write a JSON file atomically: an object of lists and small objects, or a list."""

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as file:
            if isinstance(lists, JsonList):
                lists.copy_to(file)
            else:
                for number, (name, rows) in enumerate(lists.items()):
                    file.write(("," if number else "{") + f"\n{json.dumps(name)}: ")
                    if isinstance(rows, JsonList):
                        rows.copy_to(file)
                    else:
                        file.write(json.dumps(rows))
                file.write("\n}")
            file.write("\n")

    write_atomically(path, write)


LIST = "images.csv"
"""File that lists every image of a prediction: its name, file in the folder, status and error."""


class AtomicFolder:
    """Output folder that is written to a temporary name and renamed at the end.

    The folder of an earlier prediction is replaced as a whole. The output folder must be locked by
    the caller (``wsol._utils.files``); creating an object writes nothing there. Folders of images
    must not have the ``reserved`` names.

    Raises:
        ConfigError: a folder or file of this name exists and was not written by wsol.
    """

    def __init__(self, folder: Path, name: str, reserved: Collection[str] = ()) -> None:
        """Check that an existing folder can be replaced."""
        self.folder, self.reserved = folder / name, reserved
        if self.folder.exists() and not (self.folder / LIST).is_file():
            raise ConfigError(
                f"{self.folder}: was not written by wsol; move it away, or use another --out"
            )
        self.list = CsvFile(folder, ("image_id", "file", "status", "error"))

    @cached_property
    def chunk(self) -> Path:
        """Hidden temporary folder of the files, created on first use."""
        chunk = new_folder(self.folder)
        self._discard = weakref.finalize(self, shutil.rmtree, chunk, ignore_errors=True)
        return chunk

    def note(self, result: Localization, file: str) -> None:
        """Add an image to the list, with the path of its file; empty for an unreadable image."""
        reason = "" if result.error is None else result.error.reason
        self.list.add((to_cell(result.image_id), inert(file), result.status, to_cell(reason)))

    def named(self, result: Localization, suffix: str = "") -> str:
        """Return the path of an image's file: the full name of the image and a suffix."""
        return safe_path(result.image_id, self.reserved) + suffix

    def stem(self, folder: str, result: Localization, suffix: str) -> PurePosixPath:
        """Return a unique path in a subfolder, without suffix: the image's name without its suffix.

        If another image has this path, such as ``a.png`` next to ``a.jpg``, it is the full name.
        """
        whole = PurePosixPath(self.named(result))
        stem = whole.with_suffix("")
        if self._is_taken(folder, stem, suffix):
            stem = whole
        while self._is_taken(folder, stem, suffix):
            stem = PurePosixPath(f"{stem}_")
        return stem

    def _is_taken(self, folder: str, stem: PurePosixPath, suffix: str) -> bool:
        return (self.chunk / folder / f"{stem}{suffix}").exists()

    def path(self, file: str) -> Path:
        """Return the path to write a file to, and create its folder."""
        path = self.chunk / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Write the list, and rename the folder to its final name."""
        self.list.close(self.chunk / LIST)
        replace_folder(self.folder, self.chunk)
        self._discard.detach()


class FolderWriter:
    """Base of the formats that write a folder, with a list of all images in ``images.csv``.

    Args:
        folder: existing output folder.
        info: information on the prediction, with classes, threshold and model.

    Raises:
        ConfigError: an existing folder of this name was not written by wsol.
    """

    name: ClassVar[str]
    reserved: ClassVar[Collection[str]] = ()

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Check the output folder."""
        self.info, self.folder = info, AtomicFolder(folder, self.name, self.reserved)

    def add(self, result: Localization) -> None:
        """Add an image."""
        file = self.write(result) if result.error is None else ""
        self.folder.note(result, file)

    def write(self, result: Localization) -> str:
        """Write the files of a readable image; return the path of the main one in the folder."""
        raise NotImplementedError

    def close(self) -> None:
        """Rename the folder to its final name."""
        self.folder.close()


def element(name: str, content: object, indent: int = 0) -> str:
    """Return an XML element: of text, of elements by name, or one for each item of a list.

    Texts are escaped by ``escape_name`` and for XML.

    >>> print(element("box", {"name": "<b>", "x": [1, 2]}), end="")
    <box>
      <name>&lt;b&gt;</name>
      <x>1</x>
      <x>2</x>
    </box>
    """
    if isinstance(content, list):
        return "".join(element(name, item, indent) for item in content)
    space = " " * indent
    if isinstance(content, dict):
        inner = "".join(element(key, value, indent + 2) for key, value in content.items())
        return f"{space}<{name}>\n{inner}{space}</{name}>\n"
    return f"{space}<{name}>{escape(escape_name(str(content)))}</{name}>\n"


def attributes(**values: object) -> str:
    """Return XML attributes of a tag, escaped by ``escape_name`` and quoted.

    >>> attributes(name="a<b", id=1)
    ' name="a&lt;b" id="1"'
    """
    return "".join(
        f" {name}={quoteattr(escape_name(str(value)))}" for name, value in values.items()
    )


def pixels(value: float) -> str:
    """Format a coordinate with at most three decimals."""
    return f"{value:.3f}".rstrip("0").rstrip(".")
