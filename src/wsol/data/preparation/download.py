"""Downloads that go on where they broke off."""

import hashlib
import json
import re
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final, cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from wsol._utils.files import write_json
from wsol._utils.progress import Meters
from wsol.data.preparation.extract import check_room
from wsol.errors import DataError

ATTEMPTS: Final = 5
"""Attempts in a row that bring nothing new before a download is given up."""

_PIECE: Final = 2**20
_FOR_LATER: Final = (408, 425, 429, 500, 502, 503, 504)


def download(url: str, path: Path, meters: Meters, *, pause: float = 2.0) -> None:
    """Download a file, going on with what an earlier call left.

    The part that is there is kept only if the server still has the same file, which it says by
    an entity tag or a date; otherwise, and where the server knows no ranges, all is read anew.

    Args:
        url: Of http or https.
        path: Where to; it is there only when it is whole. The part lies beside it.
        meters: Show the progress.
        pause: Seconds before the second attempt; each further one waits twice as long.

    Raises:
        DataError: If the server refuses, brings nothing `ATTEMPTS` times in a row, or there is no
            room.

    Source: RFC 9110, sections 13.1.5 (If-Range) and 14 (ranges).
    """
    if not re.match(r"https?://", url):
        raise DataError(f"{url}: downloads are of http or https")
    if path.exists():
        return
    part, note = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.json")
    failures, before = 0, -1
    while True:
        try:
            _attempt(url, part, note, meters)
            break
        except HTTPError as error:
            if error.code not in _FOR_LATER:
                raise DataError(
                    f"{url}: {error.code} {error.reason}; give another --url"
                ) from error
            reason = f"{error.code} {error.reason}"
        except URLError as error:
            reason = str(error.reason)
        except (HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        except OSError as error:
            raise DataError(f"{part}: cannot be written: {error.strerror}") from error
        size = _size(part)
        failures = failures + 1 if size <= before else 1
        before = max(size, before)
        if failures >= ATTEMPTS:
            raise DataError(
                f"{url}: broke off after {size:,} bytes: {reason}; the same command goes on there"
            )
        time.sleep(pause * 2 ** (failures - 1))
    part.replace(path)
    note.unlink(missing_ok=True)


def _attempt(url: str, part: Path, note: Path, meters: Meters) -> None:
    """Read until the end, or raise what came in between."""
    have, validator = _size(part), _read_note(note, url)
    request = Request(url, headers={"User-Agent": "wsol", "Accept-Encoding": "identity"})
    if have and validator:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", validator)
    else:
        have = 0
    try:
        response = cast(HTTPResponse, urlopen(request, timeout=60))
    except HTTPError as error:
        if error.code == 416:
            _settle(error, part, have)
            return
        raise
    with response:
        start, total = _extent(response, have)
        if start == 0:
            write_json(note, {"url": url, "validator": _validator(response)})
        check_room(part.parent, 0 if total is None else total - start)
        with (
            meters(f"download {url}", total or 0) as meter,
            part.open("r+b" if start else "wb") as file,
        ):
            file.seek(start)
            file.truncate()
            meter.advance(start)
            while piece := response.read(_PIECE):
                file.write(piece)
                meter.advance(len(piece))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"{_size(part):,} of {total:,} bytes came")


def _extent(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return the place of the first byte that comes, and the bytes of the whole file."""
    length = response.headers.get("Content-Length", "")
    if response.status != 206:
        return 0, int(length) if length.isdecimal() else None
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if given is None or int(given[1]) != have:
        raise HTTPException("the server sent another range than was asked for")
    return have, int(given[2]) if given[2] != "*" else have + int(length or 0)


def _settle(error: HTTPError, part: Path, have: int) -> None:
    """Take what is there for the whole file if the server says that it has no more."""
    total = error.headers.get("Content-Range", "").rpartition("/")[2]
    if total != str(have):
        part.unlink(missing_ok=True)
        raise ConnectionError("the server has fewer bytes than were read before") from error


def _validator(response: HTTPResponse) -> str | None:
    """Return what tells this state of the file from others; a weak tag does not."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _read_note(note: Path, url: str) -> str | None:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        validator = content["validator"] if content["url"] == url else None
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return validator if isinstance(validator, str) else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


MD5: Final = {
    "cub": "97eceeb196236b17998738112f37df78",
    "train": "1d675b47d978889d74fa0da5fadfb00e",
    "val": "29b22e2961454d5413ddabcf34fc5622",
    "boxes": "f4cd18b5ea29fe6bbea62ec9c20d80f0",
}
"""By what an archive is for: CUB_200_2011.tgz (CaltechDATA 65de6-vp158), ILSVRC2012_img_train.tar,
ILSVRC2012_img_val.tar and ILSVRC2012_bbox_val_v3.tgz (image-net.org). None is published for
ImageNetV2, CUBV2 and OpenImages30k."""

_HASH_BYTES = 2**22


def check_md5(path: Path, expected: str, meters: Meters) -> None:
    """Read a whole file and compare its checksum.

    Args:
        path: The file.
        expected: MD5 in hexadecimal digits.
        meters: Show the progress.

    Raises:
        DataError: If it differs, or the file cannot be read.
    """
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with meters(f"check {path.name}", path.stat().st_size) as meter, path.open("rb") as file:
            while piece := file.read(_HASH_BYTES):
                digest.update(piece)
                meter.advance(len(piece))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; give the archive's path") from error
    if digest.hexdigest() != expected:
        raise DataError(
            f"{path}: its MD5 is {digest.hexdigest()}, that of the official archive {expected}: "
            "get it again, or take it as it is with --checksum none"
        )
