"""A stand-in of S3 on this machine: objects of one bucket, over real HTTP."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

BUCKET = "bucket"

PAGE = 3
"""Keys in an answer at most, so that a listing has several."""


class S3:
    """The stand-in's content.

    Attributes:
        objects: content by key.
        port: where it listens.
        options: method and path of each request.
        parts: of objects that are not whole yet.
        is_full: nothing more is taken.
        forbidden: keys that nobody may read.
    """

    def __init__(self, port: int) -> None:
        """Start with nothing."""
        self.port = port
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.options: list[str] = []
        self.is_full = False
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
    # Whoever sends asks first whether to go on.
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        """Take a part of an object."""
        body = self._body()
        query = parse_qs(urlsplit(self.path).query)
        key = self._key()
        self.s3.options.append(f"PUT {key}")
        if self.s3.is_full:
            self._error(507, "InsufficientStorage")
            return
        if "partNumber" in query:
            self.s3.parts.setdefault(key, {})[int(query["partNumber"][0])] = body
        else:
            self.s3.objects[key] = body
        self._send(200, b"", {})

    def do_DELETE(self) -> None:
        """Remove an object."""
        self.s3.options.append(f"DELETE {self._key()}")
        self.s3.objects.pop(self._key(), None)
        self._send(204, b"", {})

    def do_POST(self) -> None:
        """Begin or end an object of several parts, or remove objects."""
        body, key = self._body(), self._key()
        self.s3.options.append(f"POST {key}")
        query = urlsplit(self.path).query
        if query == "uploads":
            name = "InitiateMultipartUploadResult"
            answer = f"<{name}><UploadId>1</UploadId></{name}>"
        elif query == "delete":
            for name in re.findall("<Key>(.*?)</Key>", body.decode()):
                self.s3.objects.pop(unescape(name), None)
            answer = "<DeleteResult></DeleteResult>"
        else:
            parts = self.s3.parts.pop(key)
            self.s3.objects[key] = b"".join(parts[number] for number in sorted(parts))
            answer = "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>"
        self._send(200, f'<?xml version="1.0"?>{answer}'.encode(), {})

    def _key(self) -> str:
        return unquote(urlsplit(self.path).path)[1:].partition("/")[2]

    def _body(self) -> bytes:
        """Return what is sent, in chunks of HTTP or of S3 or of both, or of neither."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = _unchunked(self.rfile)
        if "aws-chunked" in self.headers.get("Content-Encoding", ""):
            body = _unchunked(BytesIO(body))
        return body

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path)[1:].partition("/")
        self.s3.options.append(f"{self.command} {key}")
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
            if key.startswith(prefix) and key != prefix:
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


def _unchunked(stream: BinaryIO) -> bytes:
    body = b""
    while size := int(stream.readline().partition(b";")[0], 16):
        body += stream.read(size)
        stream.readline()
    # Sums of what was sent may follow, up to an empty line.
    while stream.readline().strip():
        pass
    return body


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
