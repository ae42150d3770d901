"""A download is whole, however often the server breaks off."""

import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from wsol.data.preparation.download import download
from wsol.errors import DataError

DATA = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves one file badly.

    Attributes:
        data: the file.
        tag: its entity tag; None for none.
        breaks: bytes after which each of the first answers breaks off.
        ranges: whether ranges are known.
        errors: statuses of the first answers.
        lengths: whether lengths are stated.
        options: the Range of each request.
    """

    data, tag, ranges, lengths = DATA, '"one"', True, True

    def __init__(self) -> None:
        """Listen at any port."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.breaks: list[int] = []
        self.errors: list[int] = []
        self.options: list[str | None] = []

    @property
    def url(self) -> str:
        """Return where the file is."""
        return f"http://127.0.0.1:{self.server_port}/a.tgz"


class Handler(BaseHTTPRequestHandler):
    """Answers as RFC 9110 has it, until it breaks off."""

    server: Server

    def do_GET(self) -> None:
        """Send the file, or what is asked of it."""
        server, options = self.server, self.headers.get("Range")
        server.options.append(options)
        if server.errors:
            self.send_error(server.errors.pop(0))
            return
        start = 0
        same = self.headers.get("If-Range") == server.tag
        if options and server.ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", options)[1])
        if start >= len(server.data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = server.data[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(server.data)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.breaks.pop(0)] if server.breaks else body)

    def log_message(self, *arguments: object) -> None:
        """Keep silent."""


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a running server."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: Server, folder: Path) -> bytes:
    """Download, and return what came; nothing is left beside it."""
    path = folder / "a.tgz"
    download(server.url, path, pause=0.0)
    assert [file.name for file in folder.iterdir()] == ["a.tgz"]
    return path.read_bytes()


def test_it_goes_on_where_it_broke_off(server: Server, tmp_path: Path) -> None:
    """Each further request asks only for what is missing."""
    server.breaks = [100_000, 50_000, 1]
    assert get(server, tmp_path) == DATA
    assert server.options == [None, "bytes=100000-", "bytes=150000-", "bytes=150001-"]


def test_a_second_call_goes_on(server: Server, tmp_path: Path) -> None:
    """What a call that gave up, or was killed, left is not read again."""
    server.breaks = [70_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="stopped after 70,000 bytes"):
        download(server.url, tmp_path / "a.tgz", pause=0.0)
    assert not (tmp_path / "a.tgz").exists()
    assert get(server, tmp_path) == DATA
    assert server.options[-1] == "bytes=70000-"


def test_a_server_without_ranges_is_read_again(server: Server, tmp_path: Path) -> None:
    """An answer of 200 replaces what is there, instead of following it."""
    server.ranges, server.breaks = False, [100_000, 200_000]
    assert get(server, tmp_path) == DATA


def test_another_file_is_not_joined_to_the_old_one(server: Server, tmp_path: Path) -> None:
    """When the entity tag has changed, all is read anew."""
    server.breaks = [70_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="stopped after"):
        download(server.url, tmp_path / "a.tgz", pause=0.0)
    server.data, server.tag = DATA[::-1], '"two"'
    assert get(server, tmp_path) == DATA[::-1]


@pytest.mark.parametrize("tag", [None, 'W/"weak"'])
def test_without_a_strong_validator_all_is_read_again(
    server: Server, tmp_path: Path, tag: str | None
) -> None:
    """Nothing proves that the rest is of the same file."""
    server.tag, server.breaks = tag, [100_000]
    assert get(server, tmp_path) == DATA
    assert server.options == [None, None]


def test_a_part_that_is_the_whole_is_taken(server: Server, tmp_path: Path) -> None:
    """A kill between the last byte and the new name costs nothing."""
    get(server, tmp_path)
    (tmp_path / "a.tgz").rename(tmp_path / ".a.tgz.part")
    note = f'{{"url": "{server.url}", "validator": "\\"one\\""}}'
    (tmp_path / ".a.tgz.json").write_text(note)
    assert get(server, tmp_path) == DATA
    assert server.options[-1] == "bytes=300000-"


def test_a_busy_server_is_asked_again_and_a_refusal_is_final(
    server: Server, tmp_path: Path
) -> None:
    """503 passes; 404 does not, and names the option."""
    server.errors = [503, 500]
    assert get(server, tmp_path) == DATA
    (tmp_path / "a.tgz").unlink()
    server.errors = [404]
    with pytest.raises(DataError, match="404 Not Found; use another --url"):
        get(server, tmp_path)
    assert len(server.options) == 4


def test_what_cannot_be_asked(tmp_path: Path) -> None:
    """No server, and an address of another kind: file: would read this machine's files."""
    with pytest.raises(DataError, match="http or https"):
        download("file:///etc/passwd", tmp_path / "a")
    with Server() as server:
        url = server.url
    with pytest.raises(DataError, match="stopped after 0 bytes"):
        download(url, tmp_path / "a", pause=0.0)
