"""The pictures that a command is given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from wsol.data.find import IMAGE_SUFFIXES
from wsol.data.flat_names import Names, PathsBelow
from wsol.data.images import index_images
from wsol.data.remote import RemoteFiles, index_remote
from wsol.errors import DataError
from wsol.uri import is_uri, shown, uri_of


@dataclass(frozen=True)
class Pictures:
    """Image files and what they are called, in order.

    Attributes:
        root: folder that the names are relative to, or its URI.
        names: of the files, which are their ids.
    """

    root: Path
    names: Names

    @property
    def are_remote(self) -> bool:
        """Whether they are on another file system."""
        return is_uri(self.root)

    @property
    def paths(self) -> PathsBelow | RemoteFiles:
        """The files."""
        if self.are_remote:
            return RemoteFiles(uri_of(self.root), self.names)
        return PathsBelow(self.root, self.names)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)


def collect(inputs: Sequence[Path]) -> Pictures:
    """Return the image files among files and folders.

    Args:
        inputs: files, taken as they are, and folders, searched for images; or one folder's URI.

    Returns:
        Pictures that are called by their paths below the folder where one folder is given,
        otherwise by the paths themselves.

    Raises:
        DataError: a path does not exist, is given twice, or no image is found.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "a.jpg").touch()
    ...     list(collect([Path(folder)]).names)
    ['a.jpg']
    """
    remote = [given for given in inputs if is_uri(given)]
    if remote and len(inputs) > 1:
        raise DataError(f"{shown(uri_of(remote[0]))}: give one folder elsewhere, and nothing else")
    if remote:
        pictures = Pictures(remote[0], index_remote(uri_of(remote[0]), IMAGE_SUFFIXES))
    elif len(inputs) == 1 and inputs[0].is_dir():
        pictures = Pictures(inputs[0], index_images(inputs[0]))
    else:
        pictures = Pictures(Path(), Names(chain.from_iterable(map(_found, inputs))))
    if not len(pictures):
        where = ", ".join(map(str, inputs)) or "nothing given"
        raise DataError(f"no images to predict: {where}")
    if len(inputs) > 1 and (repeated := pictures.names.repeated()):
        name, count = repeated
        raise DataError(f"{name}: given {count} times; give each image once")
    return pictures


def _found(given: Path) -> Iterator[str]:
    """Yield a file, or the images beneath a folder."""
    if given.is_dir():
        yield from ((given / name).as_posix() for name in index_images(given))
    elif given.exists():
        yield given.as_posix()
    else:
        raise DataError(f"{given}: no such file or folder")
