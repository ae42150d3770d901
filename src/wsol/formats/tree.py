"""A folder of files that is whole or not there, with a list of all pictures."""

import secrets
import shutil
import weakref
from collections.abc import Collection
from functools import cached_property
from pathlib import Path, PurePosixPath

from wsol._utils.files import write_folder
from wsol._utils.place import place
from wsol.errors import ConfigError
from wsol.formats.cells import CsvFile, inert, to_cell
from wsol.results.localization import Localization

LIST = "images.csv"
"""Lists every picture of a prediction: its name, its file in the folder, its status and error."""


class Tree:
    """Files that are written beside their place, and all moved there at the end.

    A folder that an earlier prediction wrote is replaced as a whole. One process at a time writes
    to a folder, which it holds (``wsol._utils.locks``); only to begin a tree changes nothing there.

    Args:
        folder: of the prediction; it exists.
        name: of the folder to write in it.
        reserved: names that no folder of pictures must have.

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
    def part(self) -> Path:
        """The hidden folder in which files wait, made for the first of them."""
        folder, name = self.folder.parent, self.folder.name
        # Who writes here is alone, so this is what killed processes have left.
        for left in folder.glob(f".{name}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        part = folder / f".{name}.{secrets.token_hex(8)}.part"
        part.mkdir()
        weakref.finalize(self, shutil.rmtree, part, ignore_errors=True)
        return part

    def note(self, result: Localization, file: str = "") -> None:
        """List a picture.

        Args:
            result: of the picture.
            file: its file, below the folder; none for a picture that could not be read.
        """
        reason = "" if result.error is None else result.error.reason
        self.list.add((to_cell(result.image_id), inert(file), result.status, to_cell(reason)))

    def named(self, result: Localization, suffix: str = "") -> str:
        """Return the place of a picture's file: the picture's whole name and a suffix.

        Args:
            result: of the picture.
            suffix: with its dot.
        """
        return place(result.image_id, self.reserved) + suffix

    def stem(self, folder: str, result: Localization, suffix: str) -> PurePosixPath:
        """Return a place without suffix that is free: the picture's name without suffix.

        Where another picture has it, as ``a.png`` beside ``a.jpg``, it is the whole name.

        Args:
            folder: below the tree's, in which files of that suffix are written.
            result: of the picture.
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
        return (self.part / folder / f"{stem}{suffix}").exists()

    def path(self, file: str) -> Path:
        """Return where to write a file, in a folder that exists."""
        path = self.part / file
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def close(self) -> None:
        """Write the list, and move the folder to its place."""
        self.list.close(self.part / LIST)
        write_folder(self.folder, self._fill)

    def _fill(self, empty: Path) -> None:
        empty.rmdir()
        self.part.rename(empty)
