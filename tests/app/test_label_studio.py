"""The backend, asked as Label Studio asks: the bodies are those of its ``ml/api_connector.py``."""

import errno
import json
import logging
import os
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import httpx
import jsonschema
import numpy as np
import pytest

from wsol import Localizer
from wsol.app.label_studio import TaskImages, _Backend, read_label_config
from wsol.errors import ConfigError, ImageError
from wsol.formats import PredictionInfo
from wsol.results.localization import Localization

CONFIG = """<View>
  <Image name="photo" value="$image"/>
  <RectangleLabels name="box" toName="photo">
    <Label value="Disc"/><Label value="Square" alias="sq" background="#f00"/>
    <Label value="Other" predicted_values="cross%0A%2541,star, ring ,
      &lt;img src=x onerror=alert(1)&gt;"/>
  </RectangleLabels>
</View>"""

# What Label Studio's documentation says of a prediction with boxes.
NUMBER = {"type": "number", "minimum": 0, "maximum": 100}
PREDICTION = {
    "type": "object",
    "required": ["result", "score", "model_version"],
    "properties": {
        "model_version": {"type": "string"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "result": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "from_name", "to_name", "type", "value", "score"],
                "properties": {
                    "id": {"type": "string"},
                    "type": {"const": "rectanglelabels"},
                    "from_name": {"const": "box"},
                    "to_name": {"const": "photo"},
                    "original_width": {"type": "integer", "minimum": 1},
                    "original_height": {"type": "integer", "minimum": 1},
                    "image_rotation": {"const": 0},
                    "score": {"type": "number", "minimum": 0, "maximum": 1},
                    "value": {
                        "type": "object",
                        "required": ["x", "y", "width", "height", "rotation", "rectanglelabels"],
                        "properties": {
                            **dict.fromkeys(("x", "y", "width", "height"), NUMBER),
                            "rotation": {"const": 0},
                            "rectanglelabels": {
                                "type": "array",
                                "items": {"enum": ["Disc", "sq", "Other"]},
                                "minItems": 1,
                                "maxItems": 1,
                            },
                        },
                    },
                },
            },
        },
    },
}


def body(*names: object) -> dict:
    """Return what Label Studio sends to ask for predictions."""
    tasks = [
        {
            "id": 10 + number,
            "data": {"image": name},
            "meta": {},
            "created_at": "2026-01-01T00:00:00Z",
            "is_labeled": False,
            "overlap": 1,
            "project": 3,
            "annotations": [],
            "predictions": [],
        }
        for number, name in enumerate(names)
    ]
    return {
        "tasks": tasks,
        "project": "3.1700000000",
        "label_config": CONFIG,
        "params": {
            "login": None,
            "password": None,
            "hostname": "http://evil.example",
            "context": None,
        },
    }


class Studio:
    """A server with one image at the place of an upload, that notes what it is asked."""

    def __init__(self, image: bytes) -> None:
        """Start it."""
        options = self.options = []
        self.token: object = {"access": "short"}
        studio = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                options.append((self.path, self.headers.get("Authorization")))
                if self.path.startswith("/away"):
                    self.send_response(302)
                    self.send_header("Location", "/data/upload/3/a.png")
                    self.end_headers()
                    return
                found = self.path.startswith("/data/upload/")
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(image if found else b"no")

            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                options.append((self.path, sent))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(studio.token).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def studio(photos: list[Path]) -> Iterator[Studio]:
    """Return a Label Studio with one upload."""
    studio = Studio(photos[0].read_bytes())
    yield studio
    studio.close()


@pytest.fixture(scope="module")
def backend(serve: Callable, photos: list[Path]) -> Iterator[httpx.Client]:
    """Return a client of a backend that may read the folder of the images."""
    with serve(label_studio=True, files=(photos[0].parent,), max_file=1) as client:
        yield client


def test_it_is_up(backend: httpx.Client) -> None:
    """Label Studio asks this first, and then what version there is."""
    for path in ("/", "/health"):
        assert backend.get(path).json()["status"] == "UP"
    options = {
        "project": "3.1700000000",
        "schema": CONFIG,
        "hostname": "http://localhost:8080",
        "access_token": "secret",
        "extra_params": None,
    }
    answer = backend.post("/setup", json=options)
    assert answer.status_code == 200
    assert answer.json()["model_version"].startswith("wsol ")
    assert backend.post("/setup", json=options | {"schema": "<View></View>"}).status_code == 200


def test_boxes_are_those_of_prediction(
    backend: httpx.Client, photos: list[Path], small_run: Path
) -> None:
    """In percent, under the labels and names of the project."""
    names = [f"/data/local-files/?d={quote(path.name)}" for path in photos]
    answer = backend.post("/predict", json=body(*names))
    assert answer.status_code == 200
    results = answer.json()["results"]
    locate = Localizer(small_run, device="cpu", precision="fp32")
    assert len(results) == 3
    for prediction, found in zip(results, locate(photos), strict=True):
        jsonschema.validate(prediction, PREDICTION)
        assert prediction["score"] == pytest.approx(found.box_scores[0], abs=1e-6)
        (region,) = prediction["result"]
        width, height = found.original_size
        assert (region["original_width"], region["original_height"]) == (width, height)
        value = region["value"]
        scale = np.array([width, height, width, height]) / 100
        box = np.array([value[name] for name in ("x", "y", "width", "height")]) * scale
        box[2:] += box[:2]
        assert np.allclose(box, found.boxes[0])
        expected = {"disc": "Disc", "square": "sq"}.get(found.label, "Other")
        assert value["rectanglelabels"] == [expected]


def test_a_image_in_the_task(backend: httpx.Client, photos: list[Path]) -> None:
    """It gives the same boxes as the file; nothing of it stays."""
    inline = f"data:image/png;base64,{b64encode(photos[0].read_bytes()).decode()}"
    names = (inline, f"/data/local-files/?d={quote(photos[0].name)}")
    one, other = backend.post("/predict", json=body(*names)).json()["results"]
    assert one["result"]
    assert [region["value"] for region in one["result"]] == [
        region["value"] for region in other["result"]
    ]
    assert not list(Path(backend.headers["x-folder"]).iterdir())


def test_images_that_cannot_be_had(
    backend: httpx.Client, photos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Each gives an empty result and a line; the others of the batch have theirs."""
    outside = photos[0].parent.parent / "outside.png"
    outside.write_bytes(photos[0].read_bytes())
    link = photos[0].parent / "link.png"
    link.symlink_to(outside)
    large = b64encode(photos[0].read_bytes() + bytes(1 << 20)).decode()
    bad = [
        None,
        {"image": 1},
        "",
        "/data/local-files/?d=../outside.png",
        f"/data/local-files/?d={outside}",
        "/data/local-files/?d=link.png",
        "/data/local-files/?d=no%00.png",
        "/data/local-files/?d=.",
        f"http://evil.example/data/local-files/?d={quote(photos[0].name)}",
        str(photos[0]),
        f"file://{photos[0]}",
        "http://127.0.0.1:1/a.png",
        "data:image/png,abc",
        "data:image/png;base64,@@@",
        "data:image/png;base64,é",
        "http://[foo/a.jpg",
        f"http://[{'f' * 5000}]/a.jpg",
        f"data:image/png;base64,{large}",
        f"data:image/svg+xml;base64,{b64encode(b'<svg/>').decode()}",
    ]
    good = f"/data/local-files/?d={quote(photos[0].name)}"
    with caplog.at_level(logging.WARNING, "wsol"):
        answer = backend.post("/predict", json=body(*bad, good))
    link.unlink()
    results = answer.json()["results"]
    assert answer.status_code == 200
    assert [len(each["result"]) for each in results] == [0] * len(bad) + [1]
    for each in results:
        jsonschema.validate(each, PREDICTION)
    lines = [line for line in caplog.messages if line.startswith("task ")]
    assert [line.split(":")[0] for line in lines] == [f"task {10 + n}" for n in range(len(bad))]
    assert all("\n" not in line and len(line) < 300 for line in lines)


def test_a_localizer_that_is_shown_images_first(serve: Callable, photos: list[Path]) -> None:
    """It is shown those that can be read; where none can be, nothing fails."""
    data = photos[0].read_bytes()
    cut, whole = (
        f"data:image/png;base64,{b64encode(each).decode()}" for each in (data[:-200], data)
    )
    with serve(label_studio=True, localizer="ddt") as client:
        for names in ((cut,), (cut, whole)):
            answer = client.post("/predict", json=body(*names))
            assert answer.status_code == 200
            found = [bool(each["result"]) for each in answer.json()["results"]]
            assert found == [name == whole for name in names]


def test_classes_that_are_no_label_are_left_out(
    backend: httpx.Client, photos: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """And named in the log."""
    options = body(f"/data/local-files/?d={quote(photos[0].name)}")
    options["label_config"] = CONFIG.replace("Disc", "x").replace("Square", "y").split("<Label")[0]
    options["label_config"] += '<Label value="whale"/></RectangleLabels></View>'
    with caplog.at_level(logging.WARNING, "wsol"):
        (result,) = backend.post("/predict", json=options).json()["results"]
        backend.post("/setup", json={"schema": options["label_config"]})
    assert (result["result"], result["score"]) == ([], 0.0)
    assert "left out a box of the class" in caplog.messages[0]
    assert caplog.messages[-1] == "labels that are not classes of the network: whale"


@pytest.mark.parametrize(
    "change",
    [
        {"tasks": None},
        {"tasks": [1]},
        {"label_config": None},
        {"label_config": "<View>"},
        {"label_config": "<View></View>"},
        {"label_config": "<!DOCTYPE x [<!ENTITY a 'b'>]>" + CONFIG},
    ],
)
def test_a_wrong_request_is_one_line(backend: httpx.Client, change: dict) -> None:
    """It is refused as a whole."""
    answer = backend.post("/predict", json=body() | change)
    assert answer.status_code == 400
    assert answer.json()["error"].count("\n") == 0


def test_entities_without_end_are_refused() -> None:
    """Before they are read."""
    bomb = '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa">'
    bomb += "".join(f'<!ENTITY {x} "{f"&{y};" * 10}">' for y, x in pairwise("abcdefghi"))
    with pytest.raises(ConfigError, match="document type"):
        read_label_config(f"{bomb}]><View>&i;</View>")


def test_annotations_are_taken_and_forgotten(backend: httpx.Client) -> None:
    """Label Studio tells of each; nothing fails, nothing is learnt."""
    for path in ("/train", "/webhook"):
        answer = backend.post(path, json={"action": "ANNOTATION_CREATED", "project": {"id": 3}})
        assert answer.status_code == 201


def test_the_page_is_not_served_as_well(backend: httpx.Client) -> None:
    """And the limits are the same."""
    assert backend.get("/api/info").status_code == 404
    assert backend.get("/health", headers={"host": "evil.example"}).status_code == 403
    evil = {"origin": "http://evil.example"}
    assert backend.post("/predict", json=body(), headers=evil).status_code == 403


def test_uploads_are_fetched_with_the_token(studio: Studio, tmp_path: Path) -> None:
    """From the address that was given, and only from there."""
    images = TaskImages(tmp_path, (), studio.url, "key", 1 << 20)
    for name in ("/data/upload/3/a.png", f"{studio.url}/data/upload/3/a.png"):
        with images.get(name) as path:
            assert path.stat().st_size > 100
    assert studio.options == [("/data/upload/3/a.png", "Token key")] * 2
    assert not list(tmp_path.iterdir())
    port = studio.server.server_port
    for name in (
        f"//localhost:{port}/data/upload/3/a.png",
        f"http://localhost:{port}/data/upload/3/a.png",
        f"https://127.0.0.1:{port}/data/upload/3/a.png",
        f"http://127.0.0.1:{port}@localhost:{port}/data/upload/3/a.png",
        f"{studio.url}.evil.example/data/upload/3/a.png",
        "file:///etc/passwd",
        "/no/such/upload.png",
        "/away/elsewhere.png",
    ):
        with pytest.raises(ImageError), images.get(name):
            pass
    assert [path for path, _ in studio.options[2:]] == [
        "/no/such/upload.png",
        "/away/elsewhere.png",
    ]
    small = TaskImages(tmp_path, (), studio.url, None, 10)
    with pytest.raises(ImageError, match="larger than 10 bytes"), small.get("/data/upload/3/a.png"):
        pass
    assert studio.options[-1] == ("/data/upload/3/a.png", None)


def test_a_personal_token_is_exchanged(studio: Studio, tmp_path: Path) -> None:
    """As Label Studio has it since 1.20: for one that is good for five minutes."""
    images = TaskImages(tmp_path, (), f"{studio.url}/", "a.b.c", 1 << 20)
    with images.get("/data/upload/3/a.png"):
        pass
    assert studio.options == [
        ("/api/token/refresh/", {"refresh": "a.b.c"}),
        ("/data/upload/3/a.png", "Bearer short"),
    ]


@pytest.mark.parametrize("token", [["short"], {}, None, 7])
def test_an_odd_answer_is_an_error_of_its_task(
    studio: Studio, tmp_path: Path, token: object
) -> None:
    """Not of all tasks."""
    studio.token = token
    images = TaskImages(tmp_path, (), studio.url, "a.b.c", 1 << 20)
    with (
        pytest.raises(ImageError, match="cannot be downloaded"),
        images.get("/data/upload/3/a.png"),
    ):
        pass


def test_a_full_disk_for_a_copy_is_an_error_of_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As is whatever else befalls the folder."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    images = TaskImages(tmp_path, (), None, None, 1 << 20)
    with (
        pytest.raises(ImageError, match="No space left"),
        images.get("data:image/png;base64,YWJj"),
    ):
        pass


def test_labels_that_differ_by_capitals_alone_are_two() -> None:
    """ImageNet has a dog and a piece of clothing of one name; others are found by any letters."""
    config = read_label_config(
        '<View><Image name="i" value="$image"/><RectangleLabels name="b" toName="i">'
        '<Label value="Cardigan"/><Label value="cardigan"/><Label value="Jay"/>'
        "</RectangleLabels></View>"
    )
    assert config.label_of("Cardigan") == "Cardigan"
    assert config.label_of("cardigan") == "cardigan"
    assert config.label_of("jay") == config.label_of("JAY") == "Jay"


def test_a_label_may_mean_one_class_of_a_name_or_all() -> None:
    """By the name with the class's number, or by the name alone."""
    config = read_label_config(
        '<View><Image name="i" value="$image"/><RectangleLabels name="b" toName="i">'
        '<Label value="crane#2"/><Label value="Crane"/></RectangleLabels></View>'
    )
    own = _Backend.__new__(_Backend)
    own.info, own.version = PredictionInfo(("crane", "jay", "crane"), Path(), 0.2), ""
    boxes = {"boxes": np.tile([0.0, 0, 4, 4], (3, 1)), "box_scores": np.array([0.9, 0.8, 0.7])}
    found = Localization("a.png", (8, 6), box_labels=np.array([0, 2, 1]), **boxes)
    result = own._prediction({"id": 1}, found, config)["result"]
    assert [box["value"]["rectanglelabels"] for box in result] == [["Crane"], ["crane#2"]]
