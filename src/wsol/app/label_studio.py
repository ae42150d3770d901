"""Machine-learning backend for Label Studio, which adds boxes as pre-annotations."""

import base64
import http.client
import json
import logging
import secrets
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urljoin, urlsplit
from urllib.request import HTTPRedirectHandler, build_opener
from xml.etree import ElementTree

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import wsol
from wsol._utils.names import escape_name
from wsol.app.routes import REFUSED, read_json, refuse
from wsol.app.service import LocalizerCache
from wsol.app.storage import Choice
from wsol.data.images import load_image
from wsol.errors import ConfigError, ImageError
from wsol.formats.label_studio import regions
from wsol.results.localization import Localization
from wsol.types import without_index

LOCAL_FILES = "/data/local-files/"
"""Path of Label Studio's URLs of local files; the query parameter ``d`` is the file."""

SECONDS = 30
"""Timeout in seconds of requests to Label Studio."""


class TaskImages:
    """Gets the images of tasks, from allowed folders and from Label Studio only.

    Args:
        folder: folder for temporary copies.
        folders: folders whose files tasks may refer to.
        url: URL of Label Studio, the only server that is contacted; None: no server.
        token: access token of Label Studio, or None.
        most_bytes: maximum size of a file in bytes.
    """

    def __init__(
        self,
        folder: Path,
        folders: Sequence[Path],
        url: str | None,
        token: str | None,
        most_bytes: int,
    ) -> None:
        """Store the allowed folders and server."""
        self.folder, self.most_bytes = folder, most_bytes
        self.folders = [each.resolve() for each in folders]
        self.url, self.token = url and url.rstrip("/") + "/", token

    @contextmanager
    def get(self, name: object) -> Iterator[Path]:
        """Yield the path of an image by its URL in a task; a copy is removed afterwards.

        Raises:
            ImageError: the image is not allowed or not available.
        """
        if not isinstance(name, str) or not name:
            raise ImageError("task", "has no image")
        copy = self.folder / secrets.token_hex(8)
        try:
            yield self._file(name, copy)
        finally:
            copy.unlink(missing_ok=True)

    def _file(self, name: str, copy: Path) -> Path:
        """Return the local file of a URL in an allowed folder, or a downloaded copy.

        Errors are raised as ImageError, so that they only concern one task.
        """
        try:
            local = self._local(name)
            if local is not None:
                return local
            copy.write_bytes(self._inline(name) if name.startswith("data:") else self._fetch(name))
        except HTTPError as error:
            raise ImageError("task", f"Label Studio responds with status {error.code}") from error
        except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
            raise ImageError("task", f"cannot be downloaded: {error}") from error
        return copy

    def _local(self, name: str) -> Path | None:
        """Return the local file of a URL in an allowed folder, or None."""
        parts = urlsplit(name)
        if not parts.path.endswith(LOCAL_FILES) or not self._is_there(name):
            return None
        for target, folder in product(parse_qs(parts.query).get("d", []), self.folders):
            try:
                # Links are resolved first, as the check concerns the real path.
                file = (folder / target.lstrip("/")).resolve()
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
        """Return whether a URL, absolute or relative, is one of Label Studio."""
        target, own = urlsplit(urljoin(self.url or "http://none/", name)), urlsplit(self.url or "")
        if not urlsplit(name).netloc and not urlsplit(name).scheme:
            return True
        return bool(self.url) and (target.scheme, target.netloc) == (own.scheme, own.netloc)

    def _fetch(self, name: str) -> bytes:
        if self.url is None:
            raise ImageError(name, "is stored in Label Studio; set --label_studio_url to its URL")
        if not self._is_there(name):
            raise ImageError(name, f"is not at {self.url}; other servers are not contacted")
        return self._ask(urljoin(self.url, name), headers=self._headers())

    def _headers(self) -> dict[str, str]:
        if not self.token:
            return {}
        if self.token.count(".") != 2:
            return {"Authorization": f"Token {self.token}"}
        # A personal access token is exchanged for an access token that is valid for five minutes.
        body = json.dumps({"refresh": self.token}).encode()
        headers = {"Content-Type": "application/json"}
        answer = self._ask(urljoin(str(self.url), "api/token/refresh/"), headers=headers, body=body)
        return {"Authorization": f"Bearer {json.loads(answer)['access']}"}

    def _ask(self, url: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        opener = build_opener(_NoRedirect)
        with opener.open(urllib.request.Request(url, body, headers), timeout=SECONDS) as answer:
            data: bytes = answer.read(self.most_bytes + 1)
        if len(data) > self.most_bytes:
            raise ValueError(f"larger than {self.most_bytes:,} bytes")
        return data


class _NoRedirect(HTTPRedirectHandler):
    """Refuses redirects, which could send the token to another server."""

    def redirect_request(self, *_: Any) -> None:
        """Return no request that follows the redirect."""


@dataclass(frozen=True)
class LabelConfig:
    """Names in a labeling configuration that boxes refer to.

    Attributes:
        from_name: name of the tag with the labels.
        to_name: name of the tag with the image.
        value: key of the image in the data of a task.
        labels: labels of the project by class name, in original and in lower case.
    """

    from_name: str
    to_name: str
    value: str
    labels: dict[str, str]

    def label_of(self, class_name: str) -> str | None:
        """Return the label of a class, or None if the project has none.

        The case is ignored, unless the project has labels that only differ in case. If two classes
        share a name, a label of this name applies to both.
        """
        name = class_name.casefold()
        return (
            self.labels.get(class_name)
            or self.labels.get(name)
            or self.labels.get(without_index(name))
        )


def read_label_config(text: object) -> LabelConfig:
    """Parse the box labels in a labeling configuration: ``RectangleLabels`` for an ``Image``.

    A label applies to the class of the same name, and to those in its attribute
    ``predicted_values``, separated by commas, as in the official backends of Label Studio.

    Raises:
        ConfigError: the configuration is not valid, or has a document type, whose entities may
            expand without limit.

    >>> config = read_label_config(
    ...     '<View><Image name="photo" value="$image"/><RectangleLabels name="box" toName="photo">'
    ...     '<Label value="Bird" predicted_values="jay, magpie"/></RectangleLabels></View>'
    ... )
    >>> config.value, config.label_of("bird"), config.label_of("magpie"), config.label_of("cat")
    ('image', 'Bird', 'Bird', None)
    """
    if not isinstance(text, str) or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ConfigError("the labeling configuration must be XML without a document type")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ConfigError(f"the labeling configuration cannot be read: {error}") from error
    images = {tag.get("name"): tag for tag in root.iter("Image")}
    for tag in root.iter("RectangleLabels"):
        to_name = tag.get("toName", "").split(",")[0].strip()
        value = images[to_name].get("value", "") if to_name in images else ""
        if value.startswith("$") and tag.get("name"):
            return LabelConfig(tag.get("name", ""), to_name, value[1:], _labels(tag))
    raise ConfigError("the labeling configuration needs RectangleLabels for an Image")


def _labels(tag: ElementTree.Element) -> dict[str, str]:
    labels: dict[str, str] = {}
    own = {value: each for each in tag.iter("Label") if (value := each.get("value"))}
    # Annotations use the alias of a label, if it has one.
    kept = {value: each.get("alias") or value for value, each in own.items()}
    pairs = [
        (name.strip(), kept[value])
        for value, each in own.items()
        for name in each.get("predicted_values", "").split(",")
    ]
    pairs += [(value, kept[value]) for value in own]
    # A label of the same case takes precedence over one of another case.
    for name, label in [*pairs, *((name.casefold(), label) for name, label in pairs)]:
        labels.setdefault(name, label)
    labels.pop("", None)
    return labels


log = logging.getLogger("wsol")

TOKEN = "LABEL_STUDIO_API_KEY"
"""Environment variable with the access token of Label Studio."""


def create_backend(cache: LocalizerCache, images: TaskImages) -> Starlette:
    """Return the application that Label Studio sends requests to, without request limits.

    Source: ``label_studio_ml/api.py`` in HumanSignal/label-studio-ml-backend for the responses,
    ``label_studio/ml/api_connector.py`` in HumanSignal/label-studio for the requests.
    """
    backend = _Backend(cache, images)
    return Starlette(
        routes=[
            Route("/", backend.health),
            Route("/health", backend.health),
            Route("/setup", backend.setup, methods=["POST"]),
            Route("/predict", backend.predict, methods=["POST"]),
            Route("/train", backend.ignore, methods=["POST"]),
            Route("/webhook", backend.ignore, methods=["POST"]),
        ],
        exception_handlers=dict.fromkeys(REFUSED, refuse),
    )


class _Backend:
    """Handlers of the routes."""

    def __init__(self, cache: LocalizerCache, images: TaskImages) -> None:
        self.cache, self.images = cache, images
        self.info = cache.first.info(Path())
        self.version = f"wsol {wsol.__version__}, {escape_name(cache.first.description)}"
        self.most_bytes = cache.config.max_request << 20
        self.one = CapacityLimiter(1)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "wsol"})

    async def setup(self, request: Request) -> Response:
        """Return the version, and log labels of the project that the network does not have."""
        options = await read_json(request)
        try:
            config = read_label_config(options.get("schema"))
            self._tell_missing(config)
        except ConfigError as error:
            log.warning("%s", error)
        return JSONResponse({"model_version": self.version})

    async def predict(self, request: Request) -> Response:
        """Return the boxes of each task's image."""
        options = await read_json(request, self.most_bytes)
        config = read_label_config(options.get("label_config"))
        tasks = options.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise HTTPException(400, "tasks must be a list of objects")
        results = await run_sync(
            lambda: self._predict(tasks, config), limiter=self.one, abandon_on_cancel=True
        )
        return JSONResponse({"results": results, "model_version": self.version})

    async def ignore(self, request: Request) -> Response:
        """Accept an annotation without training on it."""
        async for _ in request.stream():
            pass
        return JSONResponse({"status": "ok", "result": "use wsol train to train"}, 201)

    def _tell_missing(self, config: LabelConfig) -> None:
        names = self.cache.first.classes
        known = {escape_name(name).casefold() for name in (*names, *map(without_index, names))}
        means = config.labels.items()
        lost = sorted({label for name, label in means if name.casefold() not in known})
        if lost:
            log.warning(
                "labels that are not classes of the network: %s", escape_name(", ".join(lost))
            )

    def _predict(
        self, tasks: Sequence[dict[str, Any]], config: LabelConfig
    ) -> list[dict[str, Any]]:
        with ExitStack() as copies:
            # All images are loaded first, as localizers may be fitted to all of them.
            paths = [self._image(task, config, copies) for task in tasks]
            good = [path for path in paths if path is not None]
            found = [
                None if path is None else self._localize(task, path, good)
                for task, path in zip(tasks, paths, strict=True)
            ]
        return [
            self._prediction(task, each, config) for task, each in zip(tasks, found, strict=True)
        ]

    def _image(self, task: dict[str, Any], config: LabelConfig, copies: ExitStack) -> Path | None:
        data = task.get("data")
        try:
            name = data.get(config.value) if isinstance(data, dict) else None
            path = copies.enter_context(self.images.get(name))
            # Unreadable images are excluded, as localizers may be fitted to all of them.
            load_image(path, max_pixels=self.cache.config.max_pixels)
        except ImageError as error:
            _warn(task, error.reason)
            return None
        return path

    def _localize(
        self, task: dict[str, Any], path: Path, others: Sequence[Path]
    ) -> Localization | None:
        found, _ = self.cache.localize(path, "task", Choice(), others)
        if found.error is not None:
            _warn(task, found.error.reason)
            return None
        return found

    def _prediction(
        self, task: dict[str, Any], found: Localization | None, config: LabelConfig
    ) -> dict[str, Any]:
        kept = []
        for box in [] if found is None else regions(found, self.info):
            (name,) = box["value"]["rectanglelabels"]
            label = config.label_of(name)
            if label is None:
                _warn(task, f"left out a box of the class {name!r}, which is not a label")
                continue
            value = box["value"] | {"rectanglelabels": [label]}
            place = {"from_name": config.from_name, "to_name": config.to_name}
            kept.append(box | place | {"value": value})
        score = max((box["score"] for box in kept), default=0.0)
        return {"result": kept, "score": score, "model_version": self.version}


def _warn(task: dict[str, Any], reason: str) -> None:
    log.warning("task %s: %s", escape_name(str(task.get("id"))[:50]), escape_name(reason[:200]))
