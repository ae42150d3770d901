"""Prediction with a remote output folder, which mirrors a local temporary folder."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pyarrow import fs

from wsol._utils.names import is_uri, shown, uri_of
from wsol.data.sources import REMOTE_ERRORS, open_folder
from wsol.errors import ConfigError
from wsol.formats._files import LIST
from wsol.prediction.config import PredictConfig
from wsol.reports.report import INDEX
from wsol.results.store import FOLDER, INFO

log = logging.getLogger("wsol")

WHOLE_BY_THEMSELVES = ("s3", "gcs", "abfs")
"""File systems on which a file only becomes visible when it is complete."""

MARKS = (LIST, INDEX.as_posix())
"""Files that mark a folder as written by wsol, in folders that are replaced as a whole."""


class Mirror:
    """Mirrors a local folder, which is empty at first, to a remote one.

    Raises:
        ConfigError: the remote folder cannot be reached, read or written; also raised by the
            methods.
    """

    def __init__(self, uri: str, here: Path) -> None:
        """Open the file system."""
        self.uri, self.here = uri, here
        self.sent: set[Path] = set()
        with self._said():
            self.system, self.base = open_folder(uri)

    def fetch(self) -> None:
        """Download the existing files of the store."""
        with self._said():
            folder = f"{self.base}/{FOLDER}"
            if self.system.get_file_info(folder).type != fs.FileType.Directory:
                return
            (self.here / FOLDER).mkdir()
            for entry in self.system.get_file_info(fs.FileSelector(folder)):
                name = PurePosixPath(entry.path).name
                # The file that completes a store is written again from its chunks.
                if entry.type == fs.FileType.File and name != INFO and not name.startswith("."):
                    path = self.here / FOLDER / name
                    with self.system.open_input_file(entry.path) as file:
                        path.write_bytes(file.read())
                    self.sent.add(path)

    def clear(self) -> None:
        """Remove the remote store."""
        with self._said():
            folder = f"{self.base}/{FOLDER}"
            if self.system.get_file_info(folder).type == fs.FileType.Directory:
                self.system.delete_dir(folder)

    def send(self, folder: str = "") -> None:
        """Upload the files in a folder that have not been uploaded yet.

        Files that mark a folder as written by wsol come first, the file that completes a store
        last.
        """
        new = [
            path
            for path in sorted((self.here / folder).rglob("*"))
            if path.is_file() and path not in self.sent and not path.name.startswith(".")
        ]
        marks = set(self._marks())
        # The plan describes the chunks, so it is uploaded before them.
        new.sort(key=lambda path: (path.name == INFO, path not in marks, path.suffix == ".parquet"))
        with self._said():
            for path in new:
                self._put(path)
                self.sent.add(path)

    def finish(self) -> None:
        """Upload the remaining files, and remove old files in folders that are replaced as a whole.

        Raises:
            ConfigError: a remote folder that would be replaced was not written by wsol.
        """
        with self._said():
            replaced = list(self._replaced())
        self.send()
        with self._said():
            for place in replaced:
                self.system.delete_file(place)

    def _replaced(self) -> Iterator[str]:
        """Yield the remote files without local counterpart, in folders that are replaced."""
        for mark in self._marks():
            folder = self.here / mark.relative_to(self.here).parts[0]
            there = fs.FileSelector(self._place(folder), allow_not_found=True, recursive=True)
            found = self.system.get_file_info(there)
            # Hidden files are incomplete uploads.
            files = {
                entry.path
                for entry in found
                if entry.type == fs.FileType.File and not entry.base_name.startswith(".")
            }
            if files and self._place(mark) not in files:
                raise ConfigError(
                    f"{shown(self.uri)}/{folder.name}: was not written by wsol; move it away and "
                    "run the same command again, or use another --out"
                )
            yield from files.difference(map(self._place, folder.rglob("*")))

    def _marks(self) -> list[Path]:
        return [path for mark in MARKS for path in self.here.glob(f"*/{mark}")]

    def _put(self, path: Path) -> None:
        place = self._place(path)
        if self.system.type_name in WHOLE_BY_THEMSELVES:
            self._write(path, place)
            return
        folder, _, name = place.rpartition("/")
        self.system.create_dir(folder, recursive=True)
        self._write(path, f"{folder}/.{name}.part")
        self.system.move(f"{folder}/.{name}.part", place)

    def _place(self, path: Path) -> str:
        return f"{self.base}/{path.relative_to(self.here).as_posix()}"

    def _write(self, path: Path, place: str) -> None:
        # pyarrow's copy_files writes a line to stderr for each file that cannot be uploaded.
        with self.system.open_output_stream(place) as file:
            file.write(path.read_bytes())

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except REMOTE_ERRORS as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{shown(self.uri)}: cannot be used: {reason}; existing files are kept"
            ) from error


def _nothing() -> None:
    """Upload nothing, as the output folder is local."""


@contextmanager
def working_in(config: PredictConfig) -> Iterator[tuple[PredictConfig, Callable[[], None]]]:
    """Provide a local output folder for a prediction, and upload it if ``out`` is a URI.

    Yields:
        Options with a local ``out``, and a function to call after each written chunk, which uploads
        it, so that a stopped prediction can be resumed.

    Raises:
        ConfigError: the remote folder cannot be used, or an option does not support it.
    """
    if not is_uri(config.out):
        yield config, _nothing
        return
    if config.shard:
        raise ConfigError(
            f"shard: {shown(uri_of(config.out))} cannot be locked; use --engine ray instead, or a "
            "folder that all machines share"
        )
    with tempfile.TemporaryDirectory(prefix="wsol-") as here:
        mirror = Mirror(uri_of(config.out), Path(here))
        if config.overwrite:
            mirror.clear()
        mirror.fetch()
        yield replace(config, out=Path(here)), lambda: mirror.send(FOLDER)
        mirror.finish()
