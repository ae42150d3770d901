"""Collection of the input images of a command, and their labels."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, compress
from pathlib import Path

from wsol._utils.names import is_uri, shown, uri_of
from wsol.data.datasets.cub import is_cub
from wsol.data.file_index import IMAGE_SUFFIXES, NamedFiles, Names
from wsol.data.images import index_images
from wsol.data.labels import (
    GivenLabels,
    file_labels,
    folder_labels,
    read_class_map,
    with_new_names,
)
from wsol.data.names import FOLDERS
from wsol.data.sources import RemoteFile, index_remote
from wsol.errors import ConfigError, DataError

log = logging.getLogger("wsol")


@dataclass(frozen=True)
class ImageCollection:
    """Ordered collection of image files.

    Attributes:
        root: folder that the names are relative to, or its URI.
        names: names of the files, which are the image ids.
        labels: known classes of each image.
    """

    root: Path
    names: Names
    labels: GivenLabels | None = None

    @property
    def are_remote(self) -> bool:
        """Whether the images are on a remote file system."""
        return is_uri(self.root)

    @property
    def paths(self) -> NamedFiles[Path] | NamedFiles[RemoteFile]:
        """Paths of the images, or remote files."""
        if self.are_remote:
            return NamedFiles(self.names, partial(RemoteFile, uri_of(self.root)))
        return NamedFiles(self.names, self.root.joinpath)

    def select(self, some: slice) -> "ImageCollection":
        """Return a slice of the collection."""
        labels = None if self.labels is None else self.labels[some]
        return replace(self, names=self.names[some], labels=labels)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.names)


def collect(inputs: Sequence[Path]) -> ImageCollection:
    """Collect images from files and folders, or from the URI of one folder.

    Names are relative to the folder if it is the only input; otherwise they are the paths.

    Raises:
        DataError: a path does not exist or occurs twice, or no image is found.
    """
    remote = [given for given in inputs if is_uri(given)]
    if remote and len(inputs) > 1:
        raise DataError(
            f"{shown(uri_of(remote[0]))}: cannot be combined with other inputs; use a single "
            "remote folder"
        )
    if remote:
        images = ImageCollection(remote[0], index_remote(uri_of(remote[0]), IMAGE_SUFFIXES))
    elif len(inputs) == 1 and inputs[0].is_dir():
        # Path(), which equals ".", is the root of images from more than one input.
        root = inputs[0] if inputs[0] != Path() else Path.cwd()
        images = ImageCollection(root, index_images(root))
    else:
        images = ImageCollection(Path(), Names(chain.from_iterable(map(_found, inputs))))
    if not len(images):
        where = ", ".join(map(str, inputs)) or "images is empty"
        raise DataError(f"{where}: no images found; use image files or a folder of images")
    if len(inputs) > 1 and (repeated := images.names.repeated()):
        name, count = repeated
        raise DataError(f"{name}: occurs {count} times; pass each image once")
    return images


def with_labels(
    images: ImageCollection,
    labels_from: Path,
    class_map: Path | None = None,
    split_folders: Sequence[str] = (),
) -> ImageCollection:
    """Return images with the labels of a file or of ``FOLDERS``; the classes are sorted.

    Images that have no class left after the class map are left out.

    Raises:
        DataError: the labels or the class map cannot be used, or no image has a label.
        ConfigError: ``labels_from`` is ``FOLDERS``, and the images are not in one folder.

    >>> images = ImageCollection(Path("photos"), Names(["cat/1.jpg", "dog/2.jpg"]))
    >>> labels = with_labels(images, FOLDERS).labels
    >>> labels.classes, list(labels)
    (('cat', 'dog'), [(0,), (1,)])
    """
    if labels_from != FOLDERS:
        found = file_labels(images.root, images.names, labels_from)
    elif images.root == Path():
        raise ConfigError(
            "labels_from: folders needs a single input folder; use the folder that contains the "
            "class folders"
        )
    else:
        # The class folders of CUB are below images/.
        above = "images/" if is_cub(images.root) else ""
        names = [name.removeprefix(above) for name in images.names]
        found = folder_labels(images.root / above, names, split_folders)
    new_names = {} if class_map is None else read_class_map(class_map)
    renamed = list(with_new_names(found, new_names))
    classes = tuple(sorted({name for own in renamed for name in own or ()}))
    if not classes:
        raise DataError(
            f"{class_map or labels_from}: no image has a remaining class; keep at least one class"
        )
    index_of = {name: index for index, name in enumerate(classes)}
    kept = [own is not None for own in renamed]
    if left_out := len(kept) - sum(kept):
        log.info("left out %d images, all of whose classes %s leaves out", left_out, class_map)
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
    """Yield a file, or the images below a folder."""
    if given.is_dir():
        yield from ((given / name).as_posix() for name in index_images(given))
    elif given.exists():
        yield given.as_posix()
    else:
        raise DataError(f"{given}: no such file or folder")
