"""Rows that wait on the disk until a file can be written whole."""

import io
import json
import shutil
import weakref
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, TextIO

from wsol._utils.files import write_atomically


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


class Spool:
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


class JsonList(Spool):
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

    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as file:
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
