"""A folder of masks as PNG."""

from pathlib import Path

from wsol.data.annotations.annotations import MaskAnnotations, MaskFiles
from wsol.data.file_index import find_files
from wsol.data.images import find_images
from wsol.errors import DataError

MASK_SUFFIX = ".png"
IGNORE = "_ignore"
"""End of the name, without suffix, of a file of pixels to leave out."""


def read_mask_folder(root: Path, images: Path | None = None) -> MaskAnnotations:
    """Read which images have masks, by the names of the files.

    Without `images` each file is the mask of one image, whose id is the file's path without
    suffix. With `images` the ids are those of the pictures that have a mask, and the masks of
    `crow/a.jpg` are `crow/a.png` and all `crow/a_*.png`, of which `crow/a_ignore.png` marks
    pixels to leave out. A file that could belong to several pictures belongs to the one with the
    longest name.

    Args:
        root: Folder of PNG files, in any folders below it.
        images: Folder of the pictures.

    Raises:
        DataError: If there is no mask, or one that belongs to no picture.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     Path(folder, "crow").mkdir()
    ...     Path(folder, "crow/a.png").touch()
    ...     read_mask_folder(Path(folder)).ids
    ('crow/a',)
    """
    files = find_files(root, {MASK_SUFFIX})
    if not files:
        raise DataError(f"{root}: no masks here, which are files ending in {MASK_SUFFIX}")
    if images is None:
        stems = [_stem(name) for name in files]
        masks = tuple(MaskFiles((root / name,)) for name in files)
        return MaskAnnotations(root, tuple(stems), (None,) * len(files), masks)
    pictures: dict[str, str] = {}
    for name in find_images(images):
        twin = pictures.setdefault(_stem(name), name)
        if twin != name:
            raise DataError(f"{images}: a mask could be that of {twin!r} or of {name!r}")
    objects: dict[str, list[Path]] = {}
    ignored: dict[str, Path] = {}
    for name in files:
        stem = _stem(name)
        owner = _owner(stem, pictures)
        if owner is None:
            raise DataError(f"{root / name}: {images} has no picture that this is a mask of")
        if stem == owner + IGNORE:
            ignored[owner] = root / name
        else:
            objects.setdefault(owner, []).append(root / name)
    return MaskAnnotations(
        root,
        tuple(pictures[stem] for stem in objects),
        (None,) * len(objects),
        tuple(MaskFiles(tuple(paths), ignored.get(stem)) for stem, paths in objects.items()),
    )


def _stem(name: str) -> str:
    return str(Path(name).with_suffix(""))


def _owner(stem: str, pictures: dict[str, str]) -> str | None:
    """Return the longest picture's name that a mask's name is, or begins with before a ``_``."""
    while stem not in pictures:
        stem, mark, _ = stem.rpartition("_")
        if not mark:
            return None
    return stem
