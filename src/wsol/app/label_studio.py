"""The machine-learning backend of Label Studio: our boxes as its pre-annotations."""

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import wsol
from wsol._utils.names import portable
from wsol.app.label_config import LabelConfig, read_label_config
from wsol.app.label_studio_images import TaskImages
from wsol.app.localizer_cache import Pool
from wsol.app.middleware import read_json
from wsol.app.routes import REFUSED, refuse
from wsol.app.storage import Choice
from wsol.data.images import load_image
from wsol.errors import ConfigError, ImageError
from wsol.formats.label_studio import regions
from wsol.names import without_index
from wsol.results.localization import Localization

log = logging.getLogger("wsol")

TOKEN = "LABEL_STUDIO_API_KEY"
"""Environment variable with the token of Label Studio."""


def create_backend(pool: Pool, images: TaskImages) -> Starlette:
    """Return the routes that Label Studio asks, without limits.

    Source: ``label_studio_ml/api.py`` in HumanSignal/label-studio-ml-backend for the answers,
    ``label_studio/ml/api_connector.py`` in HumanSignal/label-studio for the requests.

    Args:
        pool: looks at pictures.
        images: gets them.
    """
    backend = _Backend(pool, images)
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


def token() -> str | None:
    """Return the token to ask Label Studio with, where there is one."""
    return os.environ.get(TOKEN)


class _Backend:
    """One method for each route."""

    def __init__(self, pool: Pool, images: TaskImages) -> None:
        self.pool, self.images = pool, images
        self.about = pool.first.about(Path())
        self.version = f"wsol {wsol.__version__}, {portable(pool.first.description)}"
        self.most_bytes = pool.config.max_request << 20
        self.one = CapacityLimiter(1)

    async def health(self, _: Request) -> Response:
        """Say that it runs."""
        return JSONResponse({"status": "UP", "model_class": "wsol"})

    async def setup(self, request: Request) -> Response:
        """Tell the version; what a project labels comes again with every prediction."""
        asked = await read_json(request)
        try:
            config = read_label_config(asked.get("schema"))
            self._tell_missing(config)
        except ConfigError as error:
            log.warning("%s", error)
        return JSONResponse({"model_version": self.version})

    async def predict(self, request: Request) -> Response:
        """Give the boxes of each task's picture."""
        asked = await read_json(request, self.most_bytes)
        config = read_label_config(asked.get("label_config"))
        tasks = asked.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            raise HTTPException(400, "tasks must be a list of objects")
        results = await run_sync(
            lambda: self._predict(tasks, config), limiter=self.one, abandon_on_cancel=True
        )
        return JSONResponse({"results": results, "model_version": self.version})

    async def ignore(self, request: Request) -> Response:
        """Take note of an annotation: nothing is learnt of it."""
        async for _ in request.stream():
            pass
        return JSONResponse({"status": "ok", "result": "wsol learns by wsol train"}, 201)

    def _tell_missing(self, config: LabelConfig) -> None:
        names = self.pool.first.classes
        known = {portable(name).casefold() for name in (*names, *map(without_index, names))}
        means = config.labels.items()
        lost = sorted({label for name, label in means if name.casefold() not in known})
        if lost:
            log.warning("labels that are no class of the network: %s", portable(", ".join(lost)))

    def _predict(
        self, tasks: Sequence[dict[str, Any]], config: LabelConfig
    ) -> list[dict[str, Any]]:
        with ExitStack() as copies:
            # All of them first, for localizers that want to see a collection.
            paths = [self._picture(task, config, copies) for task in tasks]
            good = [path for path in paths if path is not None]
            found = [
                None if path is None else self._look(task, path, good)
                for task, path in zip(tasks, paths, strict=True)
            ]
        return [
            self._prediction(task, each, config) for task, each in zip(tasks, found, strict=True)
        ]

    def _picture(self, task: dict[str, Any], config: LabelConfig, copies: ExitStack) -> Path | None:
        data = task.get("data")
        try:
            name = data.get(config.value) if isinstance(data, dict) else None
            path = copies.enter_context(self.images.get(name))
            # A localizer that is shown a collection first wants pictures that can be read.
            load_image(path, max_pixels=self.pool.config.max_pixels)
        except ImageError as error:
            _warn(task, error.reason)
            return None
        return path

    def _look(
        self, task: dict[str, Any], path: Path, others: Sequence[Path]
    ) -> Localization | None:
        found, _ = self.pool.look(path, "task", Choice(), others)
        if found.error is not None:
            _warn(task, found.error.reason)
            return None
        return found

    def _prediction(
        self, task: dict[str, Any], found: Localization | None, config: LabelConfig
    ) -> dict[str, Any]:
        boxes = [] if found is None else regions(found, self.about)
        kept = []
        for box in boxes:
            (name,) = box["value"]["rectanglelabels"]
            label = config.label_of(name)
            if label is None:
                _warn(task, f"left out a box of the class {name!r}, which is no label")
                continue
            value = box["value"] | {"rectanglelabels": [label]}
            place = {"from_name": config.from_name, "to_name": config.to_name}
            kept.append(box | place | {"value": value})
        score = max((box["score"] for box in kept), default=0.0)
        return {"result": kept, "score": score, "model_version": self.version}


def _warn(task: dict[str, Any], reason: str) -> None:
    log.warning("task %s: %s", portable(str(task.get("id"))[:50]), portable(reason[:200]))
