"""Files of a form, written where they are told while they arrive."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import Request

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
