"""The machine-learning backend of Label Studio: our boxes as its pre-annotations."""

import logging
import os
import secrets
from collections.abc import Sequence
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import wsol
from wsol.app.label_config import LabelConfig, read_label_config
from wsol.app.limits import read_json
from wsol.app.pool import Pool
from wsol.app.routes import refuse
from wsol.app.shelf import Choice
from wsol.app.task_images import TaskImages
from wsol.errors import ConfigError, ImageError, WsolError
from wsol.formats.portable import portable
from wsol.localization import Localization

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
        exception_handlers={HTTPException: refuse, WsolError: refuse},
    )


def token() -> str | None:
    """Return the token to ask Label Studio with, where there is one."""
    return os.environ.get(TOKEN)


class _Backend:
    """One method for each route."""

    def __init__(self, pool: Pool, images: TaskImages) -> None:
        self.pool, self.images = pool, images
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
        results = await run_sync(lambda: self._predict(tasks, config), limiter=self.one)
        return JSONResponse({"results": results, "model_version": self.version})

    async def ignore(self, request: Request) -> Response:
        """Take note of an annotation: nothing is learnt of it."""
        async for _ in request.stream():
            pass
        return JSONResponse({"status": "ok", "result": "wsol learns by wsol train"}, 201)

    def _tell_missing(self, config: LabelConfig) -> None:
        known = {name.casefold() for name in self.pool.first.classes}
        lost = sorted({label for name, label in config.labels.items() if name not in known})
        if lost:
            log.warning("labels that are no class of the network: %s", portable(", ".join(lost)))

    def _predict(
        self, tasks: Sequence[dict[str, Any]], config: LabelConfig
    ) -> list[dict[str, Any]]:
        results = []
        for task in tasks:
            regions: list[dict[str, Any]] = []
            data = task.get("data")
            try:
                with self.images.get(
                    data.get(config.value) if isinstance(data, dict) else None
                ) as path:
                    found, _ = self.pool.look(path, "task", Choice(), [path])
                if found.error is not None:
                    raise found.error
                regions = self._regions(found, config, task.get("id"))
            except ImageError as error:
                log.warning("task %r: %s", task.get("id"), portable(str(error)))
            score = max((region["score"] for region in regions), default=0.0)
            results.append({"result": regions, "score": score, "model_version": self.version})
        return results

    def _regions(
        self, found: Localization, config: LabelConfig, task: object
    ) -> list[dict[str, Any]]:
        regions = []
        for box, score, number in zip(found.boxes, found.box_scores, found.box_labels, strict=True):
            name = self.pool.first.classes[number]
            label = config.label_of(name)
            if label is None:
                log.warning("task %r: left out a box of %r, which is no label", task, name)
                continue
            regions.append(region(box.tolist(), float(score), label, found.image_size, config))
        return regions


def region(
    box: Sequence[float], score: float, label: str, size: tuple[int, int], config: LabelConfig
) -> dict[str, Any]:
    """Return a box as Label Studio has it: in percent of the picture.

    Args:
        box: x0 y0 x1 y1 in pixels.
        score: in [0, 1].
        label: of the project.
        size: width and height of the picture in pixels.
        config: of the project.

    >>> config = LabelConfig("label", "image", "image", {})
    >>> region([5, 0, 10, 10], 0.5, "cat", (50, 20), config)["value"]
    {'x': 10.0, 'y': 0.0, 'width': 10.0, 'height': 50.0, 'rotation': 0, 'rectanglelabels': ['cat']}
    """
    width, height = size
    x0, y0, x1, y1 = box
    return {
        "id": secrets.token_hex(5),
        "from_name": config.from_name,
        "to_name": config.to_name,
        "type": "rectanglelabels",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "score": score,
        "value": {
            "x": 100 * x0 / width,
            "y": 100 * y0 / height,
            "width": 100 * (x1 - x0) / width,
            "height": 100 * (y1 - y0) / height,
            "rotation": 0,
            "rectanglelabels": [label],
        },
    }
