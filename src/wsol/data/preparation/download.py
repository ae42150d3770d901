"""Resumable downloads, and checksums of archives."""

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
from wsol._utils.progress import byte_meter
from wsol.data.preparation.extract import State, check_disk_space
from wsol.errors import DataError

# pooch cannot resume; huggingface_hub and httpx do not check that the server's file is the same.
ATTEMPTS: Final = 5
"""Maximum number of consecutive attempts without progress."""

_PIECE: Final = 2**20
_FOR_LATER: Final = (408, 425, 429, 500, 502, 503, 504)


def download(url: str, path: Path, *, pause: float = 2.0) -> None:
    """Download a file with http or https, and resume a partial download in the same folder.

    A partial download is resumed if the entity tag or date of the server shows that the file has
    not changed, and the server supports ranges; otherwise, the download is restarted. The pause in
    seconds before the second attempt is doubled for each further one.

    Raises:
        DataError: If the server refuses the request, `ATTEMPTS` consecutive attempts make no
            progress, or there is too little disk space.

    Source: RFC 9110, sections 13.1.5 (If-Range) and 14 (ranges).
    """
    if not re.match(r"https?://", url):
        raise DataError(f"{url}: not supported; use a URL with http or https")
    if path.exists():
        return
    part, note = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.json")
    failures, before = 0, -1
    while True:
        try:
            _attempt(url, part, note)
            break
        except HTTPError as error:
            if error.code not in _FOR_LATER:
                raise DataError(f"{url}: {error.code} {error.reason}; use another --url") from error
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
                f"{url}: stopped after {size:,} bytes: {reason}; run the same command to resume"
            )
        time.sleep(pause * 2 ** (failures - 1))
    part.replace(path)
    note.unlink(missing_ok=True)


def _attempt(url: str, part: Path, note: Path) -> None:
    """Download until the end of the file, or raise an error."""
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
        check_disk_space(part.parent, 0 if total is None else total - start)
        with (
            byte_meter(f"download {url}", total or 0) as meter,
            part.open("r+b" if start else "wb") as file,
        ):
            file.seek(start)
            file.truncate()
            meter.advance(start)
            while piece := response.read(_PIECE):
                file.write(piece)
                meter.advance(len(piece))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"received {_size(part):,} of {total:,} bytes")


def _extent(response: HTTPResponse, have: int) -> tuple[int, int | None]:
    """Return the offset of the first byte in the response, and the total size of the file."""
    length = response.headers.get("Content-Length", "")
    if response.status != 206:
        return 0, int(length) if length.isdecimal() else None
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if given is None or int(given[1]) != have:
        raise HTTPException("the server sent another range than requested")
    return have, int(given[2]) if given[2] != "*" else have + int(length or 0)


def _settle(error: HTTPError, part: Path, have: int) -> None:
    """Accept the partial file as complete if its size is that of the file on the server."""
    total = error.headers.get("Content-Range", "").rpartition("/")[2]
    if total != str(have):
        part.unlink(missing_ok=True)
        raise ConnectionError("the file on the server is smaller than the partial file") from error


def _validator(response: HTTPResponse) -> str | None:
    """Return the strong entity tag or the date, which identify the version of the file."""
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
"""MD5 by option of the archive: CUB_200_2011.tgz (CaltechDATA 65de6-vp158),
ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_bbox_val_v3.tgz (image-net.org).
None is published for ImageNetV2, CUBV2 and OpenImages30k."""

_HASH_BYTES = 2**22


def check_md5(path: Path, name: str, state: State) -> None:
    """Raise DataError if an archive has another MD5 than the official one; record the check."""
    if state.is_finished(path, "md5"):
        return
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with (
            byte_meter(f"check {path.name}", path.stat().st_size) as meter,
            path.open("rb") as file,
        ):
            while piece := file.read(_HASH_BYTES):
                digest.update(piece)
                meter.advance(len(piece))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; use the path of the archive") from error
    if digest.hexdigest() != MD5[name]:
        raise DataError(
            f"{path}: the MD5 is {digest.hexdigest()}, that of the official archive {MD5[name]}; "
            "get it again, or skip this check with --checksum none"
        )
    state.finish(path, "md5")
