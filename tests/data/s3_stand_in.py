"""A stand-in of S3 on this machine: objects of one bucket, listed and read over real HTTP."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

BUCKET = "bucket"

PAGE = 3
"""Keys in an answer at most, so that a listing has several."""


class S3:
    """The stand-in's content.

    Attributes:
        objects: content by key.
        port: where it listens.
        asked: method and path of each request.
        forbidden: keys that nobody may read.
    """

    def __init__(self, port: int) -> None:
        """Start with nothing."""
        self.port = port
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.forbidden: set[str] = set()

    def add(self, folder: Path, prefix: str) -> None:
        """Take all files of a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.objects[f"{prefix}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()

    def uri(self, folder: str) -> str:
        """Return what a user gives for a folder of it."""
        return f"s3://{BUCKET}/{folder}?endpoint_override=127.0.0.1:{self.port}&scheme=http"


class _Handler(BaseHTTPRequestHandler):
    s3: S3

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path)[1:].partition("/")
        self.s3.asked.append(f"{self.command} {key}")
        if bucket != BUCKET:
            self._error(404, "NoSuchBucket")
        elif not key and "list-type" in (query := parse_qs(parts.query)):
            self._list({name: values[0] for name, values in query.items()})
        elif not key:
            self._send(200, b"", {})
        elif key in self.s3.forbidden:
            self._error(403, "AccessDenied")
        elif key not in self.s3.objects:
            self._error(404, "NoSuchKey")
        else:
            self._read(self.s3.objects[key])

    def _read(self, content: bytes) -> None:
        wanted = self.headers.get("Range", "")
        if not wanted:
            self._send(200, content, {})
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        end = min(int(last or len(content)), len(content) - 1)
        where = f"bytes {first}-{end}/{len(content)}"
        self._send(206, content[int(first) : end + 1], {"Content-Range": where})

    def _list(self, query: dict[str, str]) -> None:
        prefix, split = query.get("prefix", ""), query.get("delimiter", "")
        found: dict[str, int | None] = {}
        for key, content in sorted(self.s3.objects.items()):
            if key.startswith(prefix):
                head, is_folder, _ = key.removeprefix(prefix).partition(split or "\0")
                found[prefix + head + is_folder] = None if is_folder else len(content)
        names = [name for name in found if name > query.get("continuation-token", "")]
        page = names[: min(PAGE, int(query.get("max-keys", PAGE)))]
        rows = "".join(
            f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
            if found[name] is None
            else f"<Contents><Key>{escape(name)}</Key><Size>{found[name]}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for name in page
        )
        more = len(page) < len(names)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        text = (
            '<?xml version="1.0"?><ListBucketResult>'
            f"<Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{rows}</ListBucketResult>"
        )
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _error(self, status: int, code: str) -> None:
        text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>no</Message></Error>'
        self._send(status, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextmanager
def serve_s3() -> Iterator[S3]:
    """Run a stand-in until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    s3 = S3(server.server_address[1])
    server.RequestHandlerClass = type("Handler", (_Handler,), {"s3": s3})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield s3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
