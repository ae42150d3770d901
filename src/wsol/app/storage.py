"""Storage of uploaded images under generated names, and parsing of upload forms."""

import re
import secrets
import shutil
from collections.abc import AsyncGenerator, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from wsol.data.images import load_image
from wsol.errors import ImageError
from wsol.results.localization import Localization
from wsol.results.store import decode_map
from wsol.types import Instances

SIDE = 1280
"""Longest side of the image that the page shows, in pixels."""


@dataclass(frozen=True)
class Choice:
    """Choice of localizer, layer, class and instances for an image; defaults are the app's.

    Attributes:
        localizer: name of the localizer.
        layer: name of a module, or empty for the default layer of the localizer.
        label: index of the class, or None for the most likely one.
        instances: ``single`` or ``multiple`` boxes.
    """

    localizer: str | None = None
    layer: str = ""
    label: int | None = None
    instances: Instances | None = None


@dataclass
class StoredImage:
    """Uploaded image and its localization.

    Attributes:
        name: file name from the client, only for display as text.
        path: path of the uploaded file; its name is generated.
        found: localization without heat map; its ``image_id`` is a unique relative path.
        heat_map: heat map as a gray PNG, a twentieth of its size; None if it is empty.
        likely: indices and probabilities of the most likely classes.
        choice: choice of the localization.
        threshold: threshold of the localizer.
    """

    name: str
    path: Path
    found: Localization
    heat_map: bytes | None
    likely: list[tuple[int, float]]
    choice: Choice
    threshold: float

    @property
    def id(self) -> str:
        """Generated id."""
        return self.path.name

    @property
    def shown(self) -> Path:
        """Path of a smaller JPEG for the page."""
        return shown_path(self.path)

    def whole(self) -> Localization:
        """Return the localization with its heat map."""
        return replace(self.found, heat_map=decode_map(self.heat_map))


class ImageStore:
    """Images by id, up to a maximum number and total size of their files in bytes."""

    def __init__(self, folder: Path, max_images: int, most_bytes: int) -> None:
        """Create an empty store in an existing folder."""
        self.folder, self.max_images, self.most_bytes = folder, max_images, most_bytes
        self.images: dict[str, StoredImage] = {}

    def __iter__(self) -> Iterator[StoredImage]:
        """Yield the images in the order of upload."""
        return iter(list(self.images.values()))

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def new_path(self) -> Path:
        """Return the path for a new file."""
        return self.folder / secrets.token_hex(8)

    def full(self) -> str | None:
        """Return the reason why no further image can be stored, or None."""
        if len(self) >= self.max_images:
            return f"the limit of {len(self):,} images is reached; remove some first"
        used = sum(file.stat().st_size for each in self for file in (each.path, each.shown))
        if used >= self.most_bytes:
            return f"the stored images take {used:,} bytes; remove some first"
        return None

    def add(self, image: StoredImage) -> None:
        """Add an image, or replace it."""
        self.images[image.id] = image

    def remove(self, path: Path) -> None:
        """Remove the image of a path, if it is stored, and its files."""
        self.images.pop(path.name, None)
        path.unlink(missing_ok=True)
        shown_path(path).unlink(missing_ok=True)


def shown_path(path: Path) -> Path:
    """Return the path of the JPEG that the page shows for an image."""
    return path.with_suffix(".jpg")


def save_upload(file: UploadFile, path: Path, most_bytes: int, max_pixels: int) -> None:
    """Write an uploaded file, and a JPEG of it for the page: upright and without metadata.

    Raises:
        ImageError: the file is too large, cannot be read as an image, or cannot be written.
    """
    try:
        with file.file as content:
            if (file.size or 0) > most_bytes:
                raise ImageError(path, f"larger than {most_bytes:,} bytes")
            with path.open("xb") as copy:
                shutil.copyfileobj(content, copy)
        image = load_image(path, max_pixels=max_pixels)
        image.thumbnail((SIDE, SIDE))
        image.save(shown_path(path), "jpeg", quality=88)
    except OSError as error:
        raise ImageError(path, f"cannot be stored: {error.strerror}") from error


def free_name(name: str, taken: Collection[str]) -> str:
    r"""Return a unique relative path for an uploaded file that does not lead out of its folder.

    A second file of the same name goes into a folder ``2``, so that file names do not change.

    Args:
        name: file name from the client, with or without folders.
        taken: relative paths of other files.

    >>> free_name("birds/a.jpg", []), free_name("a.jpg", ["A.jpg", "2/A.jpg"])
    ('birds/a.jpg', '3/a.jpg')
    >>> free_name("../../etc/passwd", []), free_name("C:\\..\\x", []), free_name("/..", [])
    ('etc/passwd', 'C:/x', 'image')
    """
    parts = [_short(part) for part in re.split(r"[/\\]", name.replace("\0", ""))]
    # Only the last folders of a deeper path are kept.
    kept = [part for part in parts if part not in ("", ".", "..")][-4:] or ["image"]
    path = free = "/".join(kept)
    # Some file systems are not case-sensitive.
    files = {each.casefold() for each in taken}
    folders = {folder for each in files for folder in _folders(each)}
    number = 1
    while free.casefold() in files | folders or files & _folders(free.casefold()):
        number += 1
        free = f"{number}/{path}"
    return free


def _folders(path: str) -> set[str]:
    return {str(folder) for folder in PurePosixPath(path).parents}


def _short(part: str) -> str:
    """Return a part of a path, truncated to 200 bytes; file systems allow 255."""
    data = part.encode("utf-8", "replace")
    if len(data) <= 200:
        return data.decode()
    end = PurePosixPath(part).suffix.encode("utf-8", "replace")[:20]
    return (data[: 200 - len(end)] + end).decode("utf-8", "ignore")


MAX_FILES = 1_000
"""Maximum number of files of a form."""


class _FormParser(MultiPartParser):
    """Starlette's parser, which also refuses a form that ends early.

    Files up to 1 MiB stay in memory; larger ones are temporary files without a name.
    """

    def __init__(self, request: Request) -> None:
        super().__init__(request.headers, self._stream(request), max_files=MAX_FILES)
        self.is_whole = False

    async def _stream(self, request: Request) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        # Raised here, as the parser closes its files if the stream fails.
        if not self.is_whole:
            raise MultiPartException("it ends too early")

    def on_end(self) -> None:
        """Note the end of the form."""
        self.is_whole = True


async def receive_files(request: Request) -> list[UploadFile]:
    """Return the files of a form, whose names are untrusted.

    Raises:
        HTTPException: the form is not valid, or its files cannot be stored.
        ClientDisconnect: the client has disconnected.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise HTTPException(400, "send files as multipart/form-data")
    try:
        form = await _FormParser(request).parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    except OSError as error:
        raise HTTPException(507, f"cannot store files: {error.strerror}") from error
    return [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
