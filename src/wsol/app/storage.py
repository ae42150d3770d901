"""The images that were uploaded, in a folder of the server's own, under names of its own."""

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
    """How an image is looked at.

    Attributes:
        localizer: its name, or None for the one that the app was started with.
        layer: a module, or empty for the localizer's own.
        label: number of the class, as some share a name, or None for the likeliest.
        objects: ``single`` box or ``multiple``, or None as the app was started.
    """

    localizer: str | None = None
    layer: str = ""
    label: int | None = None
    instances: Instances | None = None


@dataclass
class StoredImage:
    """One uploaded image, and what was found in it.

    Attributes:
        id: of the server's making.
        name: as it was sent, to be shown as text and for nothing else.
        path: the file.
        shown: a smaller JPEG of it.
        found: without its heat map; its ``image_id`` is a relative path that no other image here
            has.
        heat_map: the map's grey levels as PNG, a twentieth of its size; None where it is empty.
        likely: numbers and probabilities of its likeliest classes.
        choice: how it was looked at.
        threshold: of the localizer that looked.
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
        """Return what was found, with its heat map."""
        return replace(self.found, heat_map=decode_map(self.heat_map))


class ImageStore:
    """Keeps images, so many and so large at most.

    Args:
        folder: of the files; it exists.
        max_images: that are kept at once.
        most_bytes: that their files have.
    """

    def __init__(self, folder: Path, max_images: int, most_bytes: int) -> None:
        """Start with none."""
        self.folder, self.max_images, self.most_bytes = folder, max_images, most_bytes
        self.images: dict[str, StoredImage] = {}

    def __iter__(self) -> Iterator[StoredImage]:
        """Yield the images in the order in which they came."""
        return iter(list(self.images.values()))

    def __len__(self) -> int:
        """Return their number."""
        return len(self.images)

    def new_path(self) -> Path:
        """Return the place of a new file."""
        return self.folder / secrets.token_hex(8)

    def full(self) -> str | None:
        """Return why there is no room for one more image, or None."""
        if len(self) >= self.max_images:
            return f"{len(self):,} images are here already: remove some first"
        used = sum(file.stat().st_size for each in self for file in (each.path, each.shown))
        if used >= self.most_bytes:
            return f"the images here take {used:,} bytes already: remove some first"
        return None

    def free_name(self, name: str) -> str:
        """Return a name of an image that exports may use as a relative path.

        Args:
            name: as it was sent.
        """
        return free_name(name, [image.found.image_id for image in self])

    def add(self, image: StoredImage) -> None:
        """Keep an image, or what was found when it was looked at again."""
        self.images[image.id] = image

    def remove(self, image: StoredImage) -> None:
        """Forget an image and its files."""
        self.images.pop(image.id, None)
        image.path.unlink(missing_ok=True)
        image.shown.unlink(missing_ok=True)


def save_shown(path: Path, shown: Path, max_pixels: int) -> None:
    """Write a JPEG of an image that the page can show: upright, without metadata, not too large.

    Args:
        path: of the image.
        shown: to write.
        max_pixels: larger images are refused.

    Raises:
        ImageError: it cannot be read.
    """
    image = load_image(path, max_pixels=max_pixels)
    image.thumbnail((SIDE, SIDE))
    try:
        image.save(shown, "jpeg", quality=88)
    except OSError as error:
        shown.unlink(missing_ok=True)
        raise ImageError(path, f"cannot be kept: {error.strerror}") from error


def free_name(name: str, taken: Collection[str]) -> str:
    r"""Return a relative path for a file: below its folder, and no other's, whatever was sent.

    A second file of one name goes into a folder ``2``, so that all names stay what they were.

    Args:
        name: as it was sent, with or without folders.
        taken: such paths of other files.

    >>> free_name("birds/a.jpg", []), free_name("a.jpg", ["A.jpg", "2/A.jpg"])
    ('birds/a.jpg', '3/a.jpg')
    >>> free_name("../../etc/passwd", []), free_name("C:\\..\\x", []), free_name("/..", [])
    ('etc/passwd', 'C:/x', 'image')
    """
    parts = [_short(part) for part in re.split(r"[/\\]", name.replace("\0", ""))]
    # Of a deeper path the last folders are enough.
    kept = [part for part in parts if part not in ("", ".", "..")][-4:] or ["image"]
    path = free = "/".join(kept)
    # Some systems know no capital letters.
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
    """Return a part of a path that file systems take: 255 bytes, and some for a number."""
    data = part.encode("utf-8", "replace")
    if len(data) <= 200:
        return data.decode()
    end = PurePosixPath(part).suffix.encode("utf-8", "replace")[:20]
    return (data[: 200 - len(end)] + end).decode("utf-8", "ignore")


MAX_PARTS = 1_000
"""Parts of a form."""


@dataclass
class Upload:
    """One file of a form.

    Attributes:
        name: as it was sent; it may be anything, and no path is made of it.
        path: where the content lies.
        size: bytes that were sent.
    """

    name: str
    path: Path
    size: int = 0


async def receive_files(
    request: Request, new_path: Callable[[], Path], most_bytes: int
) -> list[Upload]:
    """Return the files of a form, each written up to a number of bytes, with its true size.

    Where the request ends early or is refused, what has been written is removed.

    Args:
        request: ``multipart/form-data``, its body not read.
        new_path: gives the place of the next file.
        most_bytes: of one file that are written; the rest is read and forgotten.

    Raises:
        HTTPException: no such form.
        ClientDisconnect: the sender is gone.
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
        raise HTTPException(507, f"no file can be kept: {error.strerror}") from error
    except BaseException:
        form.forget()
        raise
    return form.uploads


class _Form:
    """The parser's callbacks: they keep the headers of a part, and write its data to a file."""

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
            raise HTTPException(413, f"more than {MAX_PARTS:,} files: send fewer at once")
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
            room = max(self.most_bytes - upload.size, 0)
            self.file.write(data[start : min(end, start + room)])
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
