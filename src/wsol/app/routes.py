"""Routes of the app: page, files and API."""

import json
from base64 import b64decode
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import wsol
import wsol.reports
from wsol._utils.names import escape_name, unescape_name
from wsol.app.service import InferenceService, localizer_names, pieces
from wsol.app.storage import Choice, StoredImage, receive_files
from wsol.errors import ImageError, WsolError, is_out_of_memory
from wsol.formats import list_formats
from wsol.options import FractionBelowOne, Range, checked, parse
from wsol.reports.page_data import encode_small_map, page_info, row_of, small_map
from wsol.types import Instances, class_index

OUTPUT_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of all responses, including errors."""

MAX_JSON = 1 << 20
"""Maximum size in bytes of a JSON request of the page."""


class RequestLimits:
    """Middleware that refuses foreign hosts, foreign origins and large bodies, and adds headers.

    Pages of other sites may send requests to this machine, and with DNS rebinding they may even
    read the responses. The browser reveals both in the headers ``Host`` and ``Origin``.

    Starlette's TrustedHostMiddleware and RequestBodyLimitMiddleware do less: they know no addresses
    of this machine, and respond in plain text, with status 400 to a foreign host.

    Args:
        app: wrapped application.
        names: host names of this machine, besides ``localhost`` and the called address.
        most_bytes: maximum size of a request body in bytes.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], most_bytes: int) -> None:
        """Store the limits."""
        self.app, self.most_bytes = app, most_bytes
        self.names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(OUTPUT_HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._foreign(headers, scope) or self._too_long(headers)
        if refusal is not None:
            await as_json(refusal)(scope, receive, send_with_headers)
            return
        await self.app(scope, self._counting(receive), send_with_headers)

    def _foreign(self, headers: Headers, scope: Scope) -> HTTPException | None:
        host = headers.get("host", "")
        if not self._is_own(host_name(host), scope):
            return HTTPException(403, "this is not a host name of this machine; add it to --names")
        if any(
            origin not in (f"http://{host}", f"https://{host}")
            for origin in headers.getlist("origin")
        ):
            return HTTPException(403, "requests from other sites are refused")
        return None

    def _is_own(self, name: str, scope: Scope) -> bool:
        if name in self.names:
            return True
        try:
            # DNS rebinding needs a host name; IP addresses are safe.
            address, called = ip_address(name), ip_address((scope.get("server") or ("",))[0])
        except ValueError:
            return False
        return address.is_loopback or address == called

    def _too_long(self, headers: Headers) -> HTTPException | None:
        length = headers.get("content-length", "0")
        return self._too_large() if length.isdecimal() and int(length) > self.most_bytes else None

    def _too_large(self) -> HTTPException:
        # The connection is closed, as the rest of the body is not read.
        return HTTPException(
            413,
            f"the request is larger than {self.most_bytes:,} bytes; send fewer files at once",
            {"Connection": "close"},
        )

    def _counting(self, receive: Receive) -> Receive:
        count = 0

        async def counted() -> MutableMapping[str, Any]:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if count > self.most_bytes:
                raise self._too_large()
            return message

        return counted


def host_name(host: str) -> str:
    """Return the name in a ``Host`` header, without port and brackets, in lower case.

    >>> host_name("LocalHost:8000"), host_name("[::1]:8000"), host_name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def as_json(error: HTTPException) -> JSONResponse:
    """Return an error as a JSON response with a one-line message."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def read_json(request: Request, most_bytes: int = MAX_JSON) -> dict[str, Any]:
    """Return the JSON object in the body of a request.

    Raises:
        HTTPException: the body is not a JSON object, or too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413, f"more than {most_bytes:,} bytes", {"Connection": "close"})
    try:
        content = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request must be JSON") from error
    if not isinstance(content, dict):
        raise HTTPException(400, "the request must be a JSON object")
    return content


MEDIA_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}

SCRIPTS = ("api.js", "uploads.js", "choices.js", "app.js")
"""Scripts of the app, in place of the script that starts a report."""


def page_files() -> dict[str, bytes]:
    """Return the content of each page file by name; no other files are served.

    >>> {"index.html", "app.js", "maps.js"} < set(page_files())
    True
    """
    files = {
        file.name: file.read_bytes()
        for folder in (Path(wsol.reports.__path__[0], "page"), Path(__file__).with_name("page"))
        for file in sorted(folder.iterdir())
        if file.suffix in MEDIA_TYPES
    }
    files["index.html"] = app_index(files["index.html"].decode("utf-8")).encode("utf-8")
    return files


def app_index(report: str) -> str:
    r"""Return the ``index.html`` of the app, made from that of a report with one line per file.

    >>> print(app_index('<title>wsol report</title>\n<script defer src="data/index.js"></script>'))
    <title>wsol app</title>
    """
    style = '<link rel="stylesheet" href="page/app.css">'
    scripts = [f'<script defer src="page/{name}"></script>' for name in SCRIPTS]
    lines = []
    for line in report.splitlines():
        if "page/start.js" in line:
            lines += [style, *scripts]
        # The app connects to its server, unlike a report; its policy is sent as a header.
        elif "data/index.js" not in line and "Content-Security-Policy" not in line:
            lines.append(line.replace("<title>wsol report<", "<title>wsol app<"))
    return "\n".join(lines)


REFUSED: tuple[type[Exception], ...] = (HTTPException, WsolError, MemoryError, RuntimeError)
"""Errors that ``refuse`` handles; many libraries raise RuntimeError when out of memory."""


def create_app(service: InferenceService) -> Starlette:
    """Return the application with page and API, without request limits."""
    routes = _Routes(service)
    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/page/{name}", routes.page),
            Route("/api/info", routes.info),
            Route("/api/images", routes.images, methods=["GET", "POST", "DELETE"]),
            Route("/api/images/{id}", routes.remove, methods=["DELETE"]),
            Route("/api/images/{id}/photo", routes.photo),
            Route("/api/images/{id}/map", routes.map),
            Route("/api/images/{id}/localize", routes.localize, methods=["POST"]),
            Route("/api/download", routes.download),
        ],
        exception_handlers=dict.fromkeys(REFUSED, refuse),
    )


async def refuse(_: Request, error: Exception) -> Response:
    """Return an error as a one-line response; errors that the client can fix have status 400.

    Raises:
        Exception: a bug of the program, which the server logs.
    """
    if is_out_of_memory(error):
        error = HTTPException(507, "out of memory; start the app with a lower --image_size")
    elif isinstance(error, RuntimeError):
        raise error
    if not isinstance(error, HTTPException):
        # Clients do not get paths of files on the server.
        error = HTTPException(400, error.reason if isinstance(error, ImageError) else str(error))
    return as_json(error)


class _Routes:
    """Handlers of the routes."""

    def __init__(self, service: InferenceService) -> None:
        self.service = service
        self.names = service.cache.first.info(service.store.folder).names
        # Only these files are served, for any path.
        self.files = page_files()

    async def page(self, request: Request) -> Response:
        """Return the page, a script or a style sheet."""
        name = request.path_params.get("name", "index.html")
        if name not in self.files:
            raise HTTPException(404, "no such file")
        return Response(self.files[name], media_type=MEDIA_TYPES[Path(name).suffix])

    async def info(self, _: Request) -> Response:
        """Return the information that the page needs before it shows images."""
        cache, config = self.service.cache, self.service.cache.config
        return JSONResponse(
            page_info(cache.first.info(self.service.store.folder))
            | {
                "id": self.service.store.folder.name,
                "version": wsol.__version__,
                "localizers": localizer_names(),
                "layers": cache.layers,
                "formats": list_formats(),
                "limits": {
                    "file": self.service.most_bytes,
                    "request": config.max_request << 20,
                    "images": config.max_images,
                    "pixels": config.max_pixels,
                },
            }
        )

    async def images(self, request: Request) -> Response:
        """List, add or remove images."""
        store = self.service.store
        if request.method == "DELETE":
            for image in store:
                store.remove(image.path)
        if request.method != "POST":
            return JSONResponse({"images": [row(image, self.names) for image in store]})
        choice = _choice(request.query_params, self.names)
        files = await receive_files(request)
        answers = await self.service.take(files, choice)
        rows = [
            row(answer, self.names)
            if isinstance(answer, StoredImage)
            else {"name": escape_name(file.filename or ""), "error": answer}
            for file, answer in zip(files, answers, strict=True)
        ]
        return JSONResponse({"images": rows})

    async def remove(self, request: Request) -> Response:
        self.service.store.remove(self._image(request).path)
        return JSONResponse({})

    async def photo(self, request: Request) -> Response:
        """Return the image as a JPEG for the browser."""
        return FileResponse(self._image(request).shown, media_type="image/jpeg")

    async def map(self, request: Request) -> Response:
        """Return the small heat map, as in a report, as a gray PNG."""
        png = encode_small_map(small_map(self._image(request).whole().heat_map))
        return Response(b64decode(png), media_type="image/png")

    async def localize(self, request: Request) -> Response:
        """Localize in an image again, with another localizer, layer or class."""
        image, options = self._image(request), await read_json(request)
        again = await self.service.localize(image, _choice(options, self.names))
        return JSONResponse(row(again, self.names))

    async def download(self, request: Request) -> Response:
        """Return a zip file with the boxes in one or more formats."""
        query = request.query_params
        formats = [name for name in query.get("format", "").split(",") if name]
        if not formats:
            raise HTTPException(400, f"format is missing; use one of: {', '.join(list_formats())}")
        threshold = parse(query.get("threshold"), FractionBelowOne)
        file = await self.service.download(
            formats, checked("threshold", threshold, FractionBelowOne | None)
        )
        return StreamingResponse(
            pieces(file),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="wsol-{formats[0]}.zip"'},
        )

    def _image(self, request: Request) -> StoredImage:
        image = self.service.store.images.get(request.path_params["id"])
        if image is None:
            raise HTTPException(404, "no such image; it may have been removed")
        return image


def row(image: StoredImage, names: Sequence[str]) -> dict[str, Any]:
    """Return the row of an image for the page: that of a report, with additional fields."""
    found, choice = image.found, image.choice
    return row_of(found, None, frozenset()) | {
        "id": image.id,
        "sent": escape_name(image.name),
        "map": image.heat_map is not None,
        "likely": [[escape_name(names[label]), score] for label, score in image.likely],
        "class": escape_name(names[found.class_index]),
        "chosen": "" if choice.label is None else escape_name(names[choice.label]),
        "localizer": choice.localizer or "",
        "layer": choice.layer,
        "instances": choice.instances or "",
        "threshold": image.threshold,
    }


def _choice(options: Mapping[str, Any], names: Sequence[str]) -> Choice:
    """Return the requested choice; an empty string is the default."""
    label = checked("label", options.get("label"), int | str | None)
    if isinstance(label, str):
        # Any class can be requested by its index or its name.
        label = class_index(unescape_name(label), names) if label else None
    return Choice(
        localizer=checked("localizer", options.get("localizer"), str | None) or None,
        layer=checked("layer", options.get("layer") or "", str),
        label=checked("label", label, Annotated[int, Range(at_least=0, below=len(names))] | None),
        instances=checked("instances", options.get("instances") or None, Instances | None),
    )
