"""The page and its API."""

import math
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from wsol.app.desk import Desk
from wsol.app.download import pieces
from wsol.app.limits import as_json, read_json
from wsol.app.pool import localizer_names
from wsol.app.shelf import Choice, Picture
from wsol.app.upload import receive_files
from wsol.errors import WsolError
from wsol.formats import list_formats
from wsol.formats.portable import portable
from wsol.formats.record import encode_map

MEDIA_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}


def create_app(desk: Desk) -> Starlette:
    """Return the page and its API, without limits.

    Args:
        desk: what they work on.
    """
    routes = _Routes(desk)
    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/page/{name}", routes.page),
            Route("/api/about", routes.about),
            Route("/api/pictures", routes.pictures, methods=["GET", "POST", "DELETE"]),
            Route("/api/pictures/{id}", routes.remove, methods=["DELETE"]),
            Route("/api/pictures/{id}/photo", routes.photo),
            Route("/api/pictures/{id}/map", routes.map),
            Route("/api/pictures/{id}/look", routes.look, methods=["POST"]),
            Route("/api/download", routes.download),
        ],
        exception_handlers={HTTPException: refuse, WsolError: refuse},
    )


async def refuse(_: Request, error: Exception) -> Response:
    """Answer an error with one line; what the sender can change is a bad request."""
    if not isinstance(error, HTTPException):
        error = HTTPException(400, str(error))
    return as_json(error)


class _Routes:
    """One method for each route."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        # Nothing but these files is served, whatever a path says.
        self.files = page_files()

    async def page(self, request: Request) -> Response:
        """The page, its scripts and its styles."""
        file = self.files.get(request.path_params.get("name", "index.html"))
        if file is None:
            raise HTTPException(404, "no such file")
        return Response(file.read_bytes(), media_type=MEDIA_TYPES[file.suffix])

    async def about(self, _: Request) -> Response:
        """What the page must know before it shows pictures."""
        pool, config = self.desk.pool, self.desk.pool.config
        return JSONResponse(
            {
                "classes": [portable(name) for name in pool.first.classes],
                "threshold": pool.first.threshold,
                "objects": pool.first.objects,
                "model": portable(pool.first.description),
                "run": None if config.run is None else portable(str(config.run)),
                "localizers": localizer_names(),
                "taps": pool.taps,
                "formats": list_formats(),
                "limits": {
                    "file": self.desk.most_bytes,
                    "request": config.max_request << 20,
                    "pictures": config.max_pictures,
                    "pixels": config.max_pixels,
                },
            }
        )

    async def pictures(self, request: Request) -> Response:
        """List, add or remove pictures."""
        shelf = self.desk.shelf
        if request.method == "DELETE":
            for picture in shelf:
                shelf.remove(picture)
        if request.method != "POST":
            return JSONResponse({"pictures": [row(picture) for picture in shelf]})
        uploads = await receive_files(request, shelf.new_path, self.desk.most_bytes)
        answers = await self.desk.take(uploads)
        rows = [
            row(answer)
            if isinstance(answer, Picture)
            else {"name": portable(upload.name), "error": answer}
            for upload, answer in zip(uploads, answers, strict=True)
        ]
        return JSONResponse({"pictures": rows})

    async def remove(self, request: Request) -> Response:
        """Forget one picture."""
        self.desk.shelf.remove(self._picture(request))
        return JSONResponse({})

    async def photo(self, request: Request) -> Response:
        """The picture, as JPEG that a browser can show."""
        return FileResponse(self._picture(request).shown, media_type="image/jpeg")

    async def map(self, request: Request) -> Response:
        """The heat map's grey levels as PNG."""
        png = encode_map(self._picture(request).found.heat_map)
        return Response(png, media_type="image/png")

    async def look(self, request: Request) -> Response:
        """Look at a picture with another localizer, at another tap or for another class."""
        picture, asked = self._picture(request), await read_json(request)
        choice = Choice(
            localizer=_text(asked, "localizer"),
            tap=_text(asked, "tap") or "",
            label=_text(asked, "label"),
        )
        return JSONResponse(row(await self.desk.look(picture, choice)))

    async def download(self, request: Request) -> Response:
        """A zip of one or more formats."""
        query = request.query_params
        formats = [name for name in query.get("format", "").split(",") if name]
        if not formats:
            raise HTTPException(400, f"name a format: {', '.join(list_formats())}")
        file = await self.desk.download(formats, _share(query.get("threshold")), _objects(query))
        return StreamingResponse(
            pieces(file),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="wsol-{formats[0]}.zip"'},
        )

    def _picture(self, request: Request) -> Picture:
        picture = self.desk.shelf.pictures.get(request.path_params["id"])
        if picture is None:
            raise HTTPException(404, "no such picture: it may have been removed")
        return picture


def row(picture: Picture) -> dict[str, Any]:
    """Return what the page is told of a picture."""
    found = picture.found
    width, height = found.image_size
    boxes = zip(
        found.boxes.tolist(), found.box_scores.tolist(), found.box_labels.tolist(), strict=True
    )
    return {
        "id": picture.id,
        "name": portable(picture.name),
        "file": portable(found.image_id),
        "width": width,
        "height": height,
        "status": found.status,
        "error": None,
        "label": found.class_index,
        "score": found.score,
        "boxes": [[*box, score, label] for box, score, label in boxes],
        "truth": None,
        "map": bool(found.heat_map.size),
        "photo": True,
        "likely": [[portable(name), score] for name, score in picture.likely],
        "class": portable(found.label),
        "localizer": picture.choice.localizer,
        "tap": picture.choice.tap,
        "threshold": picture.threshold,
    }


def page_files() -> dict[str, Path]:
    """Return the files of the page by name: those of the report, and the app's own."""
    own = Path(str(resources.files("wsol.app"))) / "page"
    report = Path(str(resources.files("wsol.review"))) / "page"
    return {
        file.name: file
        for folder in (report, own)
        if folder.is_dir()
        for file in folder.iterdir()
        if file.suffix in MEDIA_TYPES
    }


def _text(asked: dict[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > 500):
        raise HTTPException(400, f"{name} must be a text")
    return value or None


def _share(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise HTTPException(400, "threshold must be in [0, 1)")
    return value


def _objects(query: Any) -> Literal["one", "several"] | None:
    value = query.get("objects")
    if value not in (None, "one", "several"):
        raise HTTPException(400, "objects must be one or several")
    found: Literal["one", "several"] | None = value
    return found
