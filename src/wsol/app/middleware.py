"""What stands before every route: who may ask, how much may be sent, and what a browser may do."""

import json
from collections.abc import Collection, MutableMapping
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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
"""Of every answer, errors too."""

MAX_JSON = 1 << 20
"""Bytes of the largest JSON that the page sends."""


class Limits:
    """Refuses foreign hosts, foreign origins and endless bodies, and adds headers to all answers.

    A page from elsewhere may send requests to this machine, and by a name of its own that it lets
    point here (DNS rebinding) it may even read the answers. Its browser tells, by ``Host`` and
    ``Origin``.

    Args:
        app: what answers.
        names: of this machine, besides ``localhost`` and the address that was called.
        most_bytes: of a request's body.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], most_bytes: int) -> None:
        """Keep the rules."""
        self.app, self.most_bytes = app, most_bytes
        self.names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
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
            return HTTPException(403, "this name is not one of this machine: see --names")
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
            # A site that points a name here is told by the name; an address is nobody's name.
            address, called = ip_address(name), ip_address((scope.get("server") or ("",))[0])
        except ValueError:
            return False
        return address.is_loopback or address == called

    def _too_long(self, headers: Headers) -> HTTPException | None:
        length = headers.get("content-length", "0")
        return self._too_large() if length.isdecimal() and int(length) > self.most_bytes else None

    def _too_large(self) -> HTTPException:
        # What else is being sent is not read.
        return HTTPException(
            413,
            f"the request is larger than {self.most_bytes:,} bytes: send fewer files at once",
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
    """Return the name in a ``Host`` header, without port and brackets, in small letters.

    >>> host_name("LocalHost:8000"), host_name("[::1]:8000"), host_name("127.0.0.1")
    ('localhost', '::1', '127.0.0.1')
    """
    name = host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def as_json(error: HTTPException) -> JSONResponse:
    """Return an error as an answer, one line in a JSON object."""
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def read_json(request: Request, most_bytes: int = MAX_JSON) -> dict[str, Any]:
    """Return the JSON object that a request sends.

    Args:
        request: its body has not been read.
        most_bytes: of the body.

    Raises:
        HTTPException: it is none, or too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise HTTPException(413, f"more than {most_bytes:,} bytes", {"Connection": "close"})
    try:
        content = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the request is no JSON") from error
    if not isinstance(content, dict):
        raise HTTPException(400, "the request must be a JSON object")
    return content
