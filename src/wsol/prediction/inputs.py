"""The images that a command is given."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from pathlib import Path

from wsol._utils.names import is_uri, shown, uri_of
from wsol.data.datasets.cub import is_cub
from wsol.data.file_index import IMAGE_SUFFIXES, Names, PathsBelow
from wsol.data.images import index_images
from wsol.data.labels import (
    GivenLabels,
    file_labels,
    folder_labels,
    read_class_map,
    with_new_names,
)
from wsol.data.names import FOLDERS
from wsol.data.sources import RemoteFiles, index_remote
from wsol.errors import ConfigError, DataError

log = logging.getLogger("wsol")


@dataclass(frozen=True)
class ImageCollection:
    """Image files and what they are called, in order.

    Attributes:
        root: folder that the names are relative to, or its URI.
        names: of the files, which are their ids.
        labels: classes of each, where they are given.
    """

    root: Path
    names: Names
    labels: GivenLabels | None = None

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

    def select(self, some: slice) -> "ImageCollection":
        """Return some of them.

        Args:
            some: which.
        """
        labels = None if self.labels is None else self.labels[some]
        return replace(self, names=self.names[some], labels=labels)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.names)


def collect(inputs: Sequence[Path]) -> ImageCollection:
    """Return the image files among files and folders.

    Args:
        inputs: files, taken as they are, and folders, searched for images; or one folder's URI.

    Returns:
        Images that are called by their paths below the folder where one folder is given,
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
        images = ImageCollection(remote[0], index_remote(uri_of(remote[0]), IMAGE_SUFFIXES))
    elif len(inputs) == 1 and inputs[0].is_dir():
        # The root of files that are given one by one is Path(), which equals ".".
        root = inputs[0] if inputs[0] != Path() else Path.cwd()
        images = ImageCollection(root, index_images(root))
    else:
        images = ImageCollection(Path(), Names(chain.from_iterable(map(_found, inputs))))
    if not len(images):
        where = ", ".join(map(str, inputs)) or "nothing given"
        raise DataError(f"no images to predict: {where}")
    if len(inputs) > 1 and (repeated := images.names.repeated()):
        name, count = repeated
        raise DataError(f"{name}: given {count} times; give each image once")
    return images


def with_labels(
    images: ImageCollection,
    labels_from: Path,
    class_map: Path | None = None,
    split_folders: Sequence[str] = (),
) -> ImageCollection:
    """Return images with the labels that are given of them.

    Args:
        images: all of them.
        labels_from: a file of labels, or ``FOLDERS``.
        class_map: file of new names of classes; an image all of whose classes are left out there
            is left out here.
        split_folders: which folders are splits, see ``read_split_folders``.

    Returns:
        The images; the classes of their labels are those that occur, sorted.

    Raises:
        DataError: the labels or the class map cannot be used, or no image has a label.
        ConfigError: the labels are those of folders, and the images are not in one folder.

    >>> images = ImageCollection(Path("photos"), Names(["cat/1.jpg", "dog/2.jpg"]))
    >>> labels = with_labels(images, FOLDERS).labels
    >>> labels.classes, list(labels)
    (('cat', 'dog'), [(0,), (1,)])
    """
    if labels_from != FOLDERS:
        found = file_labels(images.root, images.names, labels_from)
    elif images.root == Path():
        raise ConfigError(
            "labels_from is folders, but there are several images or folders: give the one folder "
            "that has the class folders"
        )
    else:
        # CUB's class folders are all below images/.
        above = "images/" if is_cub(images.root) else ""
        names = [name.removeprefix(above) for name in images.names]
        found = folder_labels(images.root / above, names, split_folders)
    new_names = {} if class_map is None else read_class_map(class_map)
    renamed = list(with_new_names(found, new_names))
    classes = tuple(sorted({name for own in renamed for name in own or ()}))
    if not classes:
        raise DataError(f"{class_map or labels_from}: leaves no class of the images")
    index_of = {name: index for index, name in enumerate(classes)}
    kept = [own is not None for own in renamed]
    if left_out := len(kept) - sum(kept):
        log.info("%d images of classes that %s leaves out are left out", left_out, class_map)
    if unlabelled := sum(own == () for own in renamed):
        log.warning("%d images have no label in %s", unlabelled, labels_from)
    return replace(
        images,
        names=Names(compress(images.names, kept)) if left_out else images.names,
        labels=GivenLabels(
            classes, ([index_of[name] for name in own] for own in renamed if own is not None)
        ),
    )


def _found(given: Path) -> Iterator[str]:
    """Yield a file, or the images beneath a folder."""
    if given.is_dir():
        yield from ((given / name).as_posix() for name in index_images(given))
    elif given.exists():
        yield given.as_posix()
    else:
        raise DataError(f"{given}: no such file or folder")
