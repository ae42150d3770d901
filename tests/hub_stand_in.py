"""A stand-in of the Hugging Face Hub on this machine: what huggingface_hub asks, over real HTTP.

It keeps commits of files, and a log of what was asked for. Files that are not text go the way of
Git LFS, as on the Hub; the client is told to leave Xet alone.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from huggingface_hub import constants

from wsol.runs import hub as engine_hub

TOKEN = "hf_stand_in"

Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits by hash, branches by name."""

    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Files] = field(default_factory=dict)

    def commit(self, branch: str, files: Files) -> str:
        """Add a commit with these files and no others to a branch."""
        content = repr((sorted(files.items()), self.branches)).encode()
        sha = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        return sha

    def find(self, revision: str) -> str | None:
        """Return the commit that a revision names."""
        sha = self.branches.get(revision, revision)
        return sha if sha in self.commits else None


class Hub:
    """The stand-in's content.

    Attributes:
        url: of it.
        repositories: by owner and name.
        options: method and path of each request, in order.
        status: answered to everything, where it is not 0.
        sizes: told of files, by name, instead of the true ones.
    """

    def __init__(self, url: str) -> None:
        """Start with nothing."""
        self.url = url
        self.repositories: dict[str, Repository] = {}
        self.options: list[str] = []
        self.blobs: dict[str, bytes] = {}
        self.status = 0
        self.sizes: dict[str, int] = {}

    def add(self, name: str, files: Files, *, private: bool = False) -> str:
        """Make a repository with one commit, and return its hash."""
        repository = self.repositories.setdefault(name, Repository(private))
        return repository.commit("main", files)

    def downloaded(self) -> set[str]:
        """Return the names of files whose content was asked for."""
        gets = [line.removeprefix("GET ") for line in self.options if line.startswith("GET ")]
        return {path.partition("/resolve/")[2].split("/", 1)[1] for path in gets if "/res" in path}


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._handle()

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.options.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        if self.hub.status:
            self._json({"error": "the stand-in is told to fail"}, self.hub.status)
        elif path.startswith("/lfs/"):
            self.hub.blobs[path.removeprefix("/lfs/")] = body
            self._json({})
        elif path == "/api/validate-yaml":
            text = json.loads(body)["content"].split("---\n")[1]
            self._json({"errors": [], "warnings": []} | {"read": str(yaml.safe_load(text))})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._batch(json.loads(body))
        elif "/resolve/" in path:
            name, _, rest = path[1:].partition("/resolve/")
            self._resolve(name, *rest.split("/", 1))
        else:
            owner, name, *rest = path.removeprefix("/api/models/").split("/", 3)
            self._model(f"{owner}/{name}", rest, body)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _create(self, options: dict[str, Any]) -> None:
        name = f"{options['organization']}/{options['name']}"
        if not self._has_token():
            self._json({"error": "Invalid username or password."}, 401)
        elif name in self.hub.repositories:
            error = {"error": "You already created this model repo"}
            self._json(error | {"url": f"{self.hub.url}/{name}"}, 409)
        else:
            self.hub.add(
                name, {".gitattributes": b""}, private=options.get("visibility") == "private"
            )
            self._json({"url": f"{self.hub.url}/{name}"})

    def _batch(self, options: dict[str, Any]) -> None:
        objects = [
            each | {"actions": {"upload": {"href": f"{self.hub.url}/lfs/{each['oid']}"}}}
            for each in options["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _model(self, name: str, rest: list[str], body: bytes) -> None:
        repository = self._repository(name)
        if repository is None:
            return
        action, revision = (rest + ["", "main"][len(rest) :])[:2] if rest else ("", "main")
        if action == "branch":
            taken = revision in repository.branches
            repository.branches.setdefault(revision, repository.branches["main"])
            self._json({}, 409 if taken else 200)
            return
        sha = repository.find(revision)
        if sha is None:
            self._json({"error": "no such revision"}, 404, {"X-Error-Code": "RevisionNotFound"})
        elif action == "tree":
            self._json(
                [
                    {
                        "type": "file",
                        "path": path,
                        "oid": _oid(data),
                        "size": self._size(path, data),
                    }
                    for path, data in repository.commits[sha].items()
                ]
            )
        elif action == "preupload":
            self._preupload(json.loads(body))
        elif action == "commit":
            if not self._has_token():
                self._json({"error": "Invalid username or password."}, 401)
                return
            files = dict(repository.commits[sha])
            self._apply(files, body)
            new = repository.commit(revision, files)
            self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{new}", "commitOid": new})
        else:
            siblings = [{"rfilename": path} for path in repository.commits[sha]]
            self._json(
                {"id": name, "sha": sha, "private": repository.private, "siblings": siblings}
            )

    def _preupload(self, options: dict[str, Any]) -> None:
        self._json(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith("tensors") else "regular",
                        "shouldIgnore": False,
                        "oid": None,
                    }
                    for file in options["files"]
                ]
            }
        )

    def _apply(self, files: Files, body: bytes) -> None:
        """Change files by the lines of a commit."""
        for line in body.splitlines():
            key, value = (part := json.loads(line))["key"], part["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]

    def _resolve(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        sha = repository.find(revision) if repository else None
        if repository is None or sha is None:
            return
        data = repository.commits[sha].get(path)
        if data is None:
            self._json({"error": "no such file"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": sha}
        if self.command == "HEAD":
            headers["X-Linked-Size"] = str(self._size(path, data))
        self._send(data, 200, headers)

    def _repository(self, name: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self._has_token()):
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return None
        return repository

    def _size(self, path: str, data: bytes) -> int:
        return self.hub.sizes.get(path, len(data))

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _json(self, content: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        kind = {"Content-Type": "application/json"}
        self._send(json.dumps(content).encode(), status, kind | (headers or {}))

    def _send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """Run a stand-in until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"hub": hub})
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def go_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what the environment variable HF_ENDPOINT does for a process that starts."""
    files = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + files)
    monkeypatch.setattr(constants, "ENDPOINT", url)


def forget() -> None:
    """Do as another process would, which remembers no name."""
    engine_hub._download.cache_clear()
