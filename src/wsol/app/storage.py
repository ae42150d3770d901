"""Storage of uploaded images under generated names, and parsing of upload forms."""

import re
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
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
    """Choice of localizer, layer, class and instances for an image.

    Attributes:
        localizer: name of the localizer, or None for the default one of the app.
        layer: name of a module, or empty for the default layer of the localizer.
        label: index of the class, or None for the most likely one.
        instances: ``single`` or ``multiple`` boxes, or None for the default of the app.
    """

    localizer: str | None = None
    layer: str = ""
    label: int | None = None
    instances: Instances | None = None


@dataclass
class StoredImage:
    """Uploaded image and its localization.

    Attributes:
        id: generated id.
        name: file name from the client, only for display as text.
        path: path of the uploaded file.
        shown: path of a smaller JPEG for the page.
        found: localization without heat map; its ``image_id`` is a unique relative path.
        heat_map: heat map as a gray PNG, a twentieth of its size; None if it is empty.
        likely: indices and probabilities of the most likely classes.
        choice: choice of the localization.
        threshold: threshold of the localizer.
    """

    id: str
    name: str
    path: Path
    shown: Path
    found: Localization
    heat_map: bytes | None
    likely: list[tuple[int, float]]
    choice: Choice
    threshold: float

    def whole(self) -> Localization:
        """Return the localization with its heat map."""
        return replace(self.found, heat_map=decode_map(self.heat_map))


class ImageStore:
    """Stores images up to a maximum number and size.

    Args:
        folder: existing folder of the files.
        max_images: maximum number of images.
        most_bytes: maximum total size of their files in bytes.
    """

    def __init__(self, folder: Path, max_images: int, most_bytes: int) -> None:
        """Create an empty store."""
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

    def free_name(self, name: str) -> str:
        """Return a unique name of an image that exports can use as a relative path.

        Args:
            name: file name from the client.
        """
        return free_name(name, [image.found.image_id for image in self])

    def add(self, image: StoredImage) -> None:
        """Add an image, or replace it."""
        self.images[image.id] = image

    def remove(self, image: StoredImage) -> None:
        """Remove an image and its files."""
        self.images.pop(image.id, None)
        image.path.unlink(missing_ok=True)
        image.shown.unlink(missing_ok=True)


def save_shown(path: Path, shown: Path, max_pixels: int) -> None:
    """Write a JPEG of an image for the page: upright, without metadata, at most ``SIDE`` pixels.

    Args:
        path: path of the image.
        shown: path of the JPEG to write.
        max_pixels: pixel limit; larger images are refused.

    Raises:
        ImageError: the image cannot be read, or the JPEG cannot be written.
    """
    image = load_image(path, max_pixels=max_pixels)
    image.thumbnail((SIDE, SIDE))
    try:
        image.save(shown, "jpeg", quality=88)
    except OSError as error:
        shown.unlink(missing_ok=True)
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


MAX_PARTS = 1_000
"""Maximum number of parts of a form."""


@dataclass
class Upload:
    """Uploaded file of a form.

    Attributes:
        name: file name from the client; untrusted, and not used as a path.
        path: path of the content.
        size: number of sent bytes.
    """

    name: str
    path: Path
    size: int = 0


async def receive_files(
    request: Request, new_path: Callable[[], Path], most_bytes: int
) -> list[Upload]:
    """Write the files of a form to disk, and return them with their full size.

    If the request ends early or is refused, all written files are removed.

    Args:
        request: request of type ``multipart/form-data``, with an unread body.
        new_path: function that returns the path of the next file.
        most_bytes: maximum number of bytes per file to write; the rest is discarded.

    Raises:
        HTTPException: the form is not valid.
        ClientDisconnect: the client has disconnected.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise HTTPException(400, "send files as multipart/form-data")
    form = _Form(new_path, most_bytes)
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin,
                "on_header_field": form.header_field,
                "on_header_value": form.header_value,
                "on_header_end": form.header_end,
                "on_headers_finished": form.open,
                "on_part_data": form.write,
                "on_part_end": form.close,
                "on_end": form.end,
            },
        )
        async for chunk in request.stream():
            parser.write(chunk)
        parser.finalize()
        if not form.is_whole:
            raise HTTPException(400, "the form ends too early")
    except FormParserError as error:
        form.forget()
        raise HTTPException(400, "the form cannot be read") from error
    except OSError as error:
        form.forget()
        raise HTTPException(507, f"cannot store files: {error.strerror}") from error
    except BaseException:
        form.forget()
        raise
    return form.uploads


class _Form:
    """Callbacks of the parser, which collect the headers of a part and write its data to a file."""

    def __init__(self, new_path: Callable[[], Path], most_bytes: int) -> None:
        self.new_path, self.most_bytes = new_path, most_bytes
        self.uploads: list[Upload] = []
        self.stack = ExitStack()
        self.file: BinaryIO | None = None
        self.parts = 0
        self.is_whole = False
        self.field = self.value = b""
        self.headers: dict[bytes, bytes] = {}

    def begin(self) -> None:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise HTTPException(413, f"more than {MAX_PARTS:,} files; send fewer at once")
        self.headers = {}

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self.field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        self.headers[self.field.lower()] = self.value
        self.field = self.value = b""

    def open(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        name = options.get(b"filename")
        if name is not None:
            upload = Upload(name.decode("utf-8", "replace"), self.new_path())
            self.uploads.append(upload)
            self.file = self.stack.enter_context(upload.path.open("xb"))

    def write(self, data: bytes, start: int, end: int) -> None:
        if self.file is not None:
            upload = self.uploads[-1]
            left = max(self.most_bytes - upload.size, 0)
            self.file.write(data[start : min(end, start + left)])
            upload.size += end - start

    def close(self) -> None:
        self.file = None
        self.stack.close()

    def end(self) -> None:
        self.is_whole = True

    def forget(self) -> None:
        self.stack.close()
        for upload in self.uploads:
            upload.path.unlink(missing_ok=True)
