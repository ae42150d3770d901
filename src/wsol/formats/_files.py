"""Files that writers share: temporary rows, folders replaced as a whole, table cells."""

import csv
import io
import json
import secrets
import shutil
import weakref
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import IO, Any, TextIO
from xml.sax.saxutils import escape, quoteattr

from wsol._utils.files import write_atomically, write_folder
from wsol._utils.names import escape_name, safe_path, unescape_name
from wsol.errors import ConfigError
from wsol.results.localization import Localization

_QUOTED = ("=", "+", "-", "@", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, also as the wide signs of East Asian fonts, and the mark itself."""


def to_cell(text: str) -> str:
    """Return a text as a cell that no spreadsheet takes for a formula.

    It is made ``escape_name``, which leaves no tab nor line break, and gets a ``'`` in front where
    it begins with ``=``, ``+``, ``-``, ``@`` or ``'``.

    Args:
        text: of any kind.

    >>> to_cell("=cmd|x.jpg"), to_cell("a=b.jpg")
    ("'=cmd|x.jpg", 'a=b.jpg')
    """
    return inert(escape_name(text))


def inert(cell: str) -> str:
    """Return a text that is ``escape_name`` already as a cell that is no formula.

    >>> inert("=a%0A.png")
    "'=a%0A.png"
    """
    return f"'{cell}" if cell.startswith(_QUOTED) else cell


def from_cell(cell: str) -> str:
    """Return the text that ``to_cell`` was given.

    >>> from_cell("'=cmd|x.jpg")
    '=cmd|x.jpg'
    """
    return unescape_name(cell.removeprefix("'"))


class CsvFile:
    """A CSV file in UTF-8 that is written row by row: texts are quoted, numbers are not.

    Args:
        folder: on whose disk the rows wait.
        columns: names.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        """Write the first line."""
        self.text_file = TempTextFile(folder)
        self.writer = csv.writer(
            self.text_file.file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n"
        )
        self.writer.writerow(columns)

    def add(self, row: Sequence[str | float | None]) -> None:
        """Append a row, whose texts are cells already; None is an empty cell."""
        self.writer.writerow(row)

    def close(self, path: Path) -> None:
        """Write the file, whole or not at all."""

        def write(chunk: Path) -> None:
            with chunk.open("w", encoding="utf-8", newline="") as file:
                self.text_file.copy_to(file)

        write_atomically(path, write)


def nameless_file(owner: object, folder: Path) -> IO[bytes]:
    """Return a file that no folder lists, and that goes with its owner or the program.

    Args:
        owner: lives as long as the file is needed.
        folder: on whose disk it is.
    """
    with ExitStack() as stack:
        file = stack.enter_context(TemporaryFile(dir=folder))
        weakref.finalize(owner, _discard, stack.pop_all())
    return file


def _discard(stack: ExitStack) -> None:
    # What cannot be written any more, on a full disk, is not wanted any more.
    with suppress(OSError):
        stack.close()


class TempTextFile:
    """Text that is gathered in a file without a name.

    So neither memory nor what a reader sees of the folder grows before the end.

    Args:
        folder: on whose disk it waits.
    """

    def __init__(self, folder: Path) -> None:
        """Open the file."""
        self.file = io.TextIOWrapper(nameless_file(self, folder), encoding="utf-8", newline="")

    def copy_to(self, target: TextIO) -> None:
        """Append everything to an open file."""
        self.file.seek(0)
        shutil.copyfileobj(self.file, target, 1 << 20)


class JsonList(TempTextFile):
    """A list in a JSON file, one row a line.

    Args:
        folder: on whose disk it waits.
    """

    separator = "\n"

    def add(self, row: dict[str, Any]) -> None:
        """Append one row."""
        self.file.write(self.separator + json.dumps(row, allow_nan=False))
        self.separator = ",\n"


def write_lists(path: Path, lists: Mapping[str, JsonList | dict[str, str]] | JsonList) -> None:
    """Write a JSON file, whole or not at all: an object of lists and small objects, or one list.

    Args:
        path: of the file.
        lists: its content.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     numbers = JsonList(Path(folder))
    ...     numbers.add({"number": 1})
    ...     write_lists(Path(folder, "a.json"), {"rows": numbers, "none": JsonList(Path(folder))})
    ...     json.loads(Path(folder, "a.json").read_text())
    {'rows': [{'number': 1}], 'none': []}
    """

    def write(chunk: Path) -> None:
        with chunk.open("w", encoding="utf-8") as file:
            if isinstance(lists, JsonList):
                _write_list(file, lists)
            else:
                for number, (name, rows) in enumerate(lists.items()):
                    file.write(("," if number else "{") + f"\n{json.dumps(name)}: ")
                    if isinstance(rows, JsonList):
                        _write_list(file, rows)
                    else:
                        file.write(json.dumps(rows))
                file.write("\n}")
            file.write("\n")

    write_atomically(path, write)


def _write_list(file: TextIO, rows: JsonList) -> None:
    file.write("[")
    rows.copy_to(file)
    file.write("\n]")


LIST = "images.csv"
"""Lists every image of a prediction: its name, its file in the folder, its status and error."""


class AtomicFolder:
    """Files that are written beside their place, and all moved there at the end.

    A folder that an earlier prediction wrote is replaced as a whole. One process at a time writes
    to a folder, which it holds (``wsol._utils.files``); only to begin a tree changes nothing there.

    Args:
        folder: of the prediction; it exists.
        name: of the folder to write in it.
        reserved: names that no folder of images must have.

    Raises:
        ConfigError: there is a folder or file of that name, and it was not written by wsol.
    """

    def __init__(self, folder: Path, name: str, reserved: Collection[str] = ()) -> None:
        """Look at what is in its way."""
        self.folder, self.reserved = folder / name, reserved
        if self.folder.exists() and not (self.folder / LIST).is_file():
            raise ConfigError(
                f"{self.folder}: was not written by wsol: move it away, or choose another --out"
            )
        self.list = CsvFile(folder, ("image_id", "file", "status", "error"))

    @cached_property
    def chunk(self) -> Path:
        """The hidden folder in which files wait, made for the first of them."""
        folder, name = self.folder.parent, self.folder.name
        # Who writes here is alone, so this is what killed processes have left.
        for left in folder.glob(f".{name}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        chunk = folder / f".{name}.{secrets.token_hex(8)}.part"
        chunk.mkdir()
        weakref.finalize(self, shutil.rmtree, chunk, ignore_errors=True)
        return chunk

    def note(self, result: Localization, file: str = "") -> None:
        """List an image.

        Args:
            result: of the image.
            file: its file, below the folder; none for an image that could not be read.
        """
        reason = "" if result.error is None else result.error.reason
        self.list.add((to_cell(result.image_id), inert(file), result.status, to_cell(reason)))

    def named(self, result: Localization, suffix: str = "") -> str:
        """Return the place of an image's file: the image's whole name and a suffix.

        Args:
            result: of the image.
            suffix: with its dot.
        """
        return safe_path(result.image_id, self.reserved) + suffix

    def stem(self, folder: str, result: Localization, suffix: str) -> PurePosixPath:
        """Return a place without suffix that is free: the image's name without suffix.

        Where another image has it, as ``a.png`` beside ``a.jpg``, it is the whole name.

        Args:
            folder: below the tree's, in which files of that suffix are written.
            result: of the image.
            suffix: with its dot.
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
        """Return where to write a file, in a folder that exists."""
        path = self.chunk / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Write the list, and move the folder to its place."""
        self.list.close(self.chunk / LIST)
        write_folder(self.folder, self._fill)

    def _fill(self, empty: Path) -> None:
        empty.rmdir()
        self.chunk.rename(empty)


def element(name: str, content: object, indent: int = 0) -> str:
    """Return a line with one element that holds text.

    Args:
        name: of the element.
        content: its text, which is made ``escape_name`` and escaped.
        indent: spaces in front.

    >>> element("name", "<b>").strip()
    '<name>&lt;b&gt;</name>'
    """
    return f"{' ' * indent}<{name}>{escape(escape_name(str(content)))}</{name}>\n"


def attributes(**values: object) -> str:
    """Return attributes as they stand in a tag, made ``escape_name`` and quoted.

    >>> attributes(name="a<b", id=1)
    ' name="a&lt;b" id="1"'
    """
    return "".join(
        f" {name}={quoteattr(escape_name(str(value)))}" for name, value in values.items()
    )


def pixels(value: float) -> str:
    """Return a coordinate to a thousandth of a pixel, a whole one without a point.

    >>> pixels(12.0), pixels(12.34567)
    ('12', '12.346')
    """
    return f"{value:.3f}".rstrip("0").rstrip(".")
