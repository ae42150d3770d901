"""The pictures of Label Studio's tasks: from allowed folders, from the task, or from there."""

import base64
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from wsol.errors import ImageError

LOCAL_FILES = "/data/local-files/"
"""Path of Label Studio's addresses of local files; the file is named by ``d``."""

SECONDS = 30
"""That Label Studio has to answer."""


class TaskImages:
    """Gets pictures that tasks name, and nothing else that a task might name.

    Args:
        folder: for copies, while they are looked at.
        folders: whose files may be named.
        url: of Label Studio, the only server that is asked; default: none is.
        token: to ask it with.
        most_bytes: of a file.
    """

    def __init__(
        self,
        folder: Path,
        folders: Sequence[Path],
        url: str | None,
        token: str | None,
        most_bytes: int,
    ) -> None:
        """Keep what is allowed."""
        self.folder, self.most_bytes = folder, most_bytes
        self.folders = [each.resolve() for each in folders]
        self.url, self.token = url and url.rstrip("/") + "/", token

    @contextmanager
    def get(self, name: object) -> Iterator[Path]:
        """Yield the file of a picture.

        Args:
            name: as the task has it.

        Raises:
            ImageError: it cannot be had.
        """
        if not isinstance(name, str) or not name:
            raise ImageError("task", "names no picture")
        copy = self.folder / secrets.token_hex(8)
        try:
            yield self._file(name, copy)
        finally:
            copy.unlink(missing_ok=True)

    def _file(self, name: str, copy: Path) -> Path:
        """Return the file below an allowed folder that an address means, or a copy of what it is.

        Whatever is wrong with one task is an error of its own: the others have theirs.
        """
        try:
            local = self._local(name)
            if local is not None:
                return local
            copy.write_bytes(self._inline(name) if name.startswith("data:") else self._fetch(name))
        except HTTPError as error:
            raise ImageError("task", f"Label Studio answers {error.code}") from error
        except (OSError, HTTPException, ValueError, LookupError, TypeError) as error:
            raise ImageError("task", f"cannot be had: {error}") from error
        return copy

    def _local(self, name: str) -> Path | None:
        """Return the file below an allowed folder that an address means, or None."""
        parts = urlsplit(name)
        if not parts.path.endswith(LOCAL_FILES) or not self._is_there(name):
            return None
        for wanted in parse_qs(parts.query).get("d", []):
            for folder in self.folders:
                try:
                    # Links are followed first: what counts is where the file really is.
                    file = (folder / wanted.lstrip("/")).resolve()
                    if file.is_relative_to(folder) and file.is_file():
                        return file
                except (OSError, ValueError):
                    continue
        return None

    def _inline(self, name: str) -> bytes:
        kind, _, text = name.partition(",")
        if not kind.endswith(";base64") or len(text) > self.most_bytes * 4 // 3 + 4:
            raise ImageError("task", f"must be base64 of at most {self.most_bytes:,} bytes")
        return base64.b64decode(text, validate=True)

    def _is_there(self, name: str) -> bool:
        """Return whether an address, with or without a host, is at Label Studio."""
        target, own = urlsplit(urljoin(self.url or "http://none/", name)), urlsplit(self.url or "")
        if not urlsplit(name).netloc and not urlsplit(name).scheme:
            return True
        return bool(self.url) and (target.scheme, target.netloc) == (own.scheme, own.netloc)

    def _fetch(self, name: str) -> bytes:
        if self.url is None:
            raise ImageError(name, "is at Label Studio: say where that is with --label-studio-url")
        if not self._is_there(name):
            raise ImageError(name, f"is not at {self.url}, and no other server is asked")
        return self._ask(urljoin(self.url, name), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        if not self.token:
            return {}
        if self.token.count(".") != 2:
            return {"Authorization": f"Token {self.token}"}
        # A personal access token is good for getting another one that is good for five minutes.
        body = json.dumps({"refresh": self.token}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._ask(urljoin(str(self.url), "api/token/refresh/"), headers=headers, body=body)
        return {"Authorization": f"Bearer {json.loads(answer)['access']}"}

    def _ask(self, url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        opener = build_opener(_NoRedirect)
        with opener.open(Request(url, body, headers), timeout=SECONDS) as answer:
            data: bytes = answer.read(self.most_bytes + 1)
        if len(data) > self.most_bytes:
            raise ValueError(f"larger than {self.most_bytes:,} bytes")
        return data


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirection: it could lead anywhere, and take the token with it."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Any:
        """Follow none."""
        return None
