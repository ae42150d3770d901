"""A prediction's folder on another file system, made in a folder here."""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import fs

from wsol._utils.names import is_uri, shown, uri_of
from wsol.data.sources import open_folder
from wsol.errors import ConfigError
from wsol.formats._files import LIST
from wsol.prediction.config import PredictConfig
from wsol.reports.report import INDEX
from wsol.results.store import FOLDER, INFO

log = logging.getLogger("wsol")

WHOLE_BY_THEMSELVES = ("s3", "gcs", "abfs")
"""File systems on which a file is there when all of it is, and not before."""

MARKS = (LIST, INDEX.as_posix())
"""Files of folders that are written as a whole: they say that wsol wrote them."""


class Mirror:
    """A folder here, and the one elsewhere that gets its files.

    Args:
        uri: of the folder elsewhere.
        here: the folder, which is empty.

    Raises:
        ConfigError: it cannot be reached, read or written, now or later.

    >>> with tempfile.TemporaryDirectory() as a, tempfile.TemporaryDirectory() as b:
    ...     mirror = Mirror(Path(b).as_uri(), Path(a))
    ...     _ = Path(a, "boxes.csv").write_text("1")
    ...     mirror.send()
    ...     Path(b, "boxes.csv").read_text()
    '1'
    """

    def __init__(self, uri: str, here: Path) -> None:
        """Open the file system."""
        self.uri, self.here = uri, here
        self.sent: set[Path] = set()
        with self._said():
            self.system, self.base = open_folder(uri)

    def fetch(self) -> None:
        """Take the record's files that are there."""
        with self._said():
            folder = f"{self.base}/{FOLDER}"
            if self.system.get_file_info(folder).type != fs.FileType.Directory:
                return
            (self.here / FOLDER).mkdir()
            for entry in self.system.get_file_info(fs.FileSelector(folder)):
                name = PurePosixPath(entry.path).name
                # What makes a record whole is made again of its parts.
                if entry.type == fs.FileType.File and name != INFO and not name.startswith("."):
                    path = self.here / FOLDER / name
                    with self.system.open_input_file(entry.path) as file:
                        path.write_bytes(file.read())
                    self.sent.add(path)

    def clear(self) -> None:
        """Remove the record that is there."""
        with self._said():
            folder = f"{self.base}/{FOLDER}"
            if self.system.get_file_info(folder).type == fs.FileType.Directory:
                self.system.delete_dir(folder)

    def send(self, folder: str = "") -> None:
        """Send the files that have not been sent yet.

        What says that wsol wrote a folder comes first, what makes a record whole last.

        Args:
            folder: of them; default: all.
        """
        new = [
            path
            for path in sorted((self.here / folder).rglob("*"))
            if path.is_file() and path not in self.sent and not path.name.startswith(".")
        ]
        marks = set(self._marks())
        # The plan says what the parts are: no part is there without it.
        new.sort(key=lambda path: (path.name == INFO, path not in marks, path.suffix == ".parquet"))
        with self._said():
            for path in new:
                self._put(path)
                self.sent.add(path)

    def finish(self) -> None:
        """Send what is left, and remove what folders that are written as a whole had before.

        Raises:
            ConfigError: such a folder there was not written by wsol.
        """
        with self._said():
            replaced = list(self._replaced())
        self.send()
        with self._said():
            for place in replaced:
                self.system.delete_file(place)

    def _replaced(self) -> Iterator[str]:
        """Yield the files elsewhere, in folders that are written as a whole, that are not here."""
        for mark in self._marks():
            folder = self.here / mark.relative_to(self.here).parts[0]
            there = fs.FileSelector(self._place(folder), allow_not_found=True, recursive=True)
            found = self.system.get_file_info(there)
            # What is hidden was cut off before it was moved to its place.
            files = {
                entry.path
                for entry in found
                if entry.type == fs.FileType.File and not entry.base_name.startswith(".")
            }
            if files and self._place(mark) not in files:
                raise ConfigError(
                    f"{shown(self.uri)}/{folder.name}: was not written by wsol: move it away and "
                    "run the same command again, or choose another --out"
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
        with self.system.open_output_stream(place) as file:
            file.write(path.read_bytes())

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"{shown(self.uri)}: cannot be used: {reason}; what is there is kept"
            ) from error


def _nothing() -> None:
    """Send nothing: the folder is here."""


@contextmanager
def working_in(config: PredictConfig) -> Iterator[tuple[PredictConfig, Callable[[], None]]]:
    """Give a prediction a folder here to work in, and send all of it to its place at the end.

    Args:
        config: the options; ``out`` may be a URI.

    Yields:
        Options whose ``out`` is a folder here, and a function to be called when parts are written:
        they are sent, so that a prediction that is stopped goes on.

    Raises:
        ConfigError: the place cannot be used, or an option does not go with it.
    """
    if not is_uri(config.out):
        yield config, _nothing
        return
    if config.shard:
        raise ConfigError(
            f"shard is {config.shard}, but {shown(uri_of(config.out))} cannot be locked: give "
            "--engine ray, which shares the work out, or a folder that all machines have"
        )
    with tempfile.TemporaryDirectory(prefix="wsol-") as here:
        mirror = Mirror(uri_of(config.out), Path(here))
        if config.overwrite:
            mirror.clear()
        mirror.fetch()
        yield replace(config, out=Path(here)), lambda: mirror.send(FOLDER)
        mirror.finish()
