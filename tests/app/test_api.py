"""What the page asks of the server, over HTTP."""

import asyncio
import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from starlette.requests import Request

from wsol import Localizer
from wsol._utils.names import escape_name
from wsol.app.routes import refuse
from wsol.formats import list_formats
from wsol.maps import boxes_at, objects_at, scale_boxes
from wsol.models import create_network
from wsol.runs.run import RunInfo, save_run

from .conftest import Serve

Files = list[tuple[str, tuple[str, bytes]]]


def form(*files: tuple[str, bytes]) -> Files:
    """Return files as parts of a form."""
    return [("files", file) for file in files]


def upload(client: httpx.Client, *paths: Path) -> list[dict]:
    """Send images and return their rows."""
    answer = client.post("/api/images", files=form(*((p.name, p.read_bytes()) for p in paths)))
    assert answer.status_code == 200
    return answer.json()["images"]


def test_the_page_is_told_what_there_is(app: httpx.Client) -> None:
    """Classes, localizers, layers and limits."""
    info = app.get("/api/info").json()
    assert info["classes"][1:3] == ["disc", "square"]
    assert info["threshold"] == 0.4
    assert "layer4" in info["layers"]
    assert {"cam", "gradcam"} < set(info["localizers"])
    assert "coco" in info["formats"]
    assert info["limits"]["file"] == 1 << 20


def test_what_is_found_is_what_python_finds(
    empty: httpx.Client, photos: list[Path], small_run: Path
) -> None:
    """Boxes, class, probabilities and map are those of ``Localizer``."""
    locate = Localizer(small_run, device="cpu", precision="fp32")
    rows = upload(empty, *photos)
    assert len(rows) == 3
    likely = list(locate.classify(photos))
    for row, path, expected, result in zip(rows, photos, likely, locate(photos), strict=True):
        assert (row["name"], row["status"]) == (path.name, result.status)
        assert (row["width"], row["height"]) == result.original_size
        assert row["class"] == result.label == expected[0][0]
        assert row["label"] == result.class_index
        assert np.allclose([box[:4] for box in row["boxes"]], result.boxes)
        assert row["score"] == pytest.approx(result.score, abs=1e-6)
        assert [name for name, _ in row["likely"]] == [escape_name(name) for name, _ in expected]
        assert len(expected) == 5
        assert [share for _, share in row["likely"]] == pytest.approx([s for _, s in expected])
        png = empty.get(f"/api/images/{row['id']}/map")
        assert png.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(png.content)) as grey:
            assert np.array_equal(np.asarray(grey), (result.heat_map * 255).astype(np.uint8))
    assert empty.get("/api/images").json()["images"] == rows


def test_photos_are_created_again_and_not_too_large(
    empty: httpx.Client, photos: list[Path]
) -> None:
    """The page gets a JPEG of the server's own making, whatever was sent."""
    (row,) = upload(empty, photos[2])
    answer = empty.get(f"/api/images/{row['id']}/photo")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    with Image.open(io.BytesIO(answer.content)) as photo:
        assert (photo.format, photo.size) == ("JPEG", (1280, 640))


def test_a_bad_file_fails_alone(
    empty: httpx.Client, photos: list[Path], uploads: Callable[[httpx.Client], list[str]]
) -> None:
    """Each file has its answer, in order, and nothing stays of those that are refused."""
    good = photos[0].read_bytes()
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "png")
    answer = empty.post(
        "/api/images",
        files=form(
            ("a.png", good),
            ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            ("page.jpg", b"<html><script>alert(1)</script>"),
            ("empty.jpg", b""),
            ("cut.png", good[: len(good) // 2]),
            ("bomb.png", bomb.getvalue()),
            ("large.png", good + bytes(1 << 20)),
            ("b.png", good),
        ),
    )
    errors = [row["error"] for row in answer.json()["images"]]
    expected = [
        None,
        "not an image file of a known format",
        "not an image file of a known format",
        "the file is empty",
        "cannot be decoded as PNG",
        "30000 x 30000 pixels exceed the limit",
        "larger than 1,048,576 bytes",
        None,
    ]
    for error, text in zip(errors, expected, strict=True):
        assert (error is None) == (text is None)
        assert text is None or text in error
        assert error is None or "/" not in error, "no path of the server is told"
    assert len(uploads(empty)) == 4, "two images and what the page shows of them"


def test_names_are_text_and_lead_nowhere(
    empty: httpx.Client, photos: list[Path], uploads: Callable[[httpx.Client], list[str]]
) -> None:
    """Files lie under the server's names; a name is told as it was sent."""
    names = ["../../x.png", "/etc/passwd", "..\\..\\x.png", "=cmd|x.png", "<b>.png", "日本 .png"]
    data = photos[0].read_bytes()
    answer = empty.post("/api/images", files=form(*((name, data) for name in names)))
    rows = answer.json()["images"]
    assert [row["sent"] for row in rows] == names
    files = ["x.png", "etc/passwd", "2/x.png", "=cmd|x.png", "<b>.png", "日本 .png"]
    assert [row["name"] for row in rows] == files
    folder = Path(empty.headers["x-folder"])
    assert not (folder.parent / "x.png").exists()
    assert set(uploads(empty)) == {f"{row['id']}{end}" for row in rows for end in ("", ".jpg")}
    for path in ("..%2f..%2fetc%2fpasswd", "%2e%2e", rows[0]["id"] + "x"):
        assert empty.get(f"/api/images/{path}/photo").status_code == 404
        assert empty.get(f"/page/{path}").status_code == 404


def test_no_more_images_than_the_limit(
    serve: Callable, photos: list[Path], uploads: Callable[[httpx.Client], list[str]]
) -> None:
    """What is too much is refused in one line, and what is there stays."""
    with serve(max_images=2) as client:
        rows = upload(client, photos[0], photos[1], photos[0])
        assert [row["error"] for row in rows[:2]] == [None, None]
        assert rows[2]["error"] == "the limit of 2 images is reached; remove some first"
        assert len(uploads(client)) == 4
        client.delete(f"/api/images/{rows[0]['id']}")
        assert len(uploads(client)) == 2
        assert upload(client, photos[0])[0]["error"] is None
    with serve(max_kept=1) as client:
        big = photos[0].read_bytes() + bytes(1 << 20)
        answers = [client.post("/api/images", files=form(("a.png", big))) for _ in range(2)]
        errors = [answer.json()["images"][0]["error"] for answer in answers]
        assert errors[0] is None
        assert "bytes; remove some first" in errors[1]


def test_many_send_at_once(serve: Callable, photos: list[Path]) -> None:
    """Names stay apart and limits are kept, whoever is first."""
    with serve(max_images=5) as client, ThreadPoolExecutor(8) as threads:
        files = form(("a.png", photos[0].read_bytes()))
        jobs = [threads.submit(client.post, "/api/images", files=files) for _ in range(8)]
        rows = [job.result().json()["images"][0] for job in jobs]
        kept = [row["name"] for row in rows if row["error"] is None]
        assert sorted(kept) == ["2/a.png", "3/a.png", "4/a.png", "5/a.png", "a.png"]
        assert len(client.get("/api/images").json()["images"]) == 5
        assert client.get("/api/download?format=coco").status_code == 200


def test_another_way_to_look(empty: httpx.Client, photos: list[Path], small_run: Path) -> None:
    """Localizer, layer and class are those that were chosen, and the row says so."""
    (row,) = upload(empty, photos[0])
    label = row["likely"][3][0]
    choice = {"localizer": "layercam", "layer": "layer2", "label": label}
    answer = empty.post(f"/api/images/{row['id']}/localize", json=choice)
    again = answer.json()
    locate = Localizer(
        small_run, localizer="layercam", layers="layer2", device="cpu", precision="fp32"
    )
    (expected,) = locate([photos[0]], label=label)
    assert np.allclose([box[:4] for box in again["boxes"]], expected.boxes)
    assert (again["class"], again["score"]) == (label, pytest.approx(expected.score))
    assert (again["localizer"], again["layer"]) == ("layercam", "layer2")
    assert again["threshold"] == locate.threshold
    assert again["likely"] == row["likely"]
    assert again["boxes"] != row["boxes"]
    assert empty.get("/api/images").json()["images"] == [again]


def test_a_file_that_is_gone_is_one_line(empty: httpx.Client, photos: list[Path]) -> None:
    """It tells no path of the server, and a download has what is known."""
    (row,) = upload(empty, photos[0])
    Path(empty.headers["x-folder"], row["id"]).unlink()
    answer = empty.post(f"/api/images/{row['id']}/localize", json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "no such file"})
    assert empty.get("/api/download?format=csv").status_code == 200


def test_every_class_can_be_chosen(
    empty: httpx.Client, photos: list[Path], small_run: Path
) -> None:
    """Also one whose name no line of text can hold: it comes back as it was told."""
    (row,) = upload(empty, photos[0])
    for name, _ in row["likely"]:
        again = empty.post(f"/api/images/{row['id']}/localize", json={"label": name}).json()
        assert (again["class"], again["chosen"]) == (name, name)
    classes = empty.get("/api/info").json()["classes"]
    assert classes[3] == "cross%0A%2541"
    odd = empty.post(f"/api/images/{row['id']}/localize", json={"label": classes[3]}).json()
    assert odd["label"] == 3


def test_classes_of_one_name_are_told_apart(
    serve: Serve, photos: list[Path], tmp_path: Path
) -> None:
    """The likeliest is looked for by its number, and each can be chosen by number or by name."""
    network = create_network("test_resnet", num_classes=3, pretrained=False)
    *_, bias = (each for each in network.parameters() if each.shape == (3,))
    with torch.no_grad():
        bias += torch.tensor([0.0, 5.0, 100.0])
    info = RunInfo(
        backbone="test_resnet",
        output_stride=16,
        classes=("crane", "jay", "crane"),
        image_size=64,
        localizer="gradcam",
        threshold=0.4,
        threshold_from="default",
        data="",
        boxes=None,
        val_fraction=0.1,
        seed=0,
    )
    (tmp_path / "run").mkdir()
    save_run(tmp_path / "run", network, info)
    with serve(run=tmp_path / "run") as client:
        assert client.get("/api/info").json()["classes"] == ["crane#0", "jay", "crane#2"]
        (row,) = upload(client, photos[0])
        assert (row["label"], row["class"]) == (2, "crane#2")
        assert [name for name, _ in row["likely"]] == ["crane#2", "jay", "crane#0"]
        assert {box[5] for box in row["boxes"]} <= {2}
        place = f"/api/images/{row['id']}/localize"
        for label in (0, 2):
            for options in (label, f"crane#{label}"):
                again = client.post(place, json={"label": options}).json()
                assert (again["label"], again["class"]) == (label, f"crane#{label}")
        for wrong in ("crane", 3, -1, True):
            answer = client.post(place, json={"label": wrong})
            assert answer.status_code == 400, wrong


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"localizer": "camm"}, "did you mean 'cam'?"),
        ({"localizer": "cam", "layer": "nowhere"}, "nowhere"),
        ({"label": "no such class"}, "no class 'no such class'"),
        ({"localizer": ["cam"]}, "localizer: ['cam']"),
        ({"instances": "two"}, "instances: 'two'"),
        ({"localizer": "psol"}, "psol"),
        ({"localizer": "attention_rollout"}, "attention"),
    ],
)
def test_a_wrong_choice_is_one_line(
    empty: httpx.Client, photos: list[Path], choice: dict, message: str
) -> None:
    """It changes nothing."""
    (row,) = upload(empty, photos[0])
    answer = empty.post(f"/api/images/{row['id']}/localize", json=choice)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert empty.get("/api/images").json()["images"] == [row]


def test_downloads_have_the_threshold_that_is_set(
    empty: httpx.Client, photos: list[Path], small_run: Path
) -> None:
    """The boxes in the file are those of the maps at this threshold, of names that are apart."""
    data = photos[0].read_bytes()
    empty.post("/api/images", files=form(("../a.png", data), ("a.png", data)))
    (found,) = Localizer(small_run, device="cpu", precision="fp32")([photos[0]])
    for instances in ("single", "multiple"):
        for row in empty.get("/api/images").json()["images"]:
            empty.post(f"/api/images/{row['id']}/localize", json={"instances": instances})
        for threshold in (0.4, 0.7):
            # 0.4 is the run's own: no threshold is asked for.
            options = "" if threshold == 0.4 else f"&threshold={threshold}"
            answer = empty.get(f"/api/download?format=coco{options}")
            assert answer.headers["content-type"] == "application/zip"
            with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
                assert archive.testzip() is None
                rows = json.loads(archive.read("predictions.json"))
            assert {row["file_name"] for row in rows} == {"a.png", "2/a.png"}
            boxes = np.array([row["bbox"] for row in rows if row["file_name"] == "a.png"])
            boxes[:, 2:] += boxes[:, :2]
            whole = objects_at(found.heat_map, threshold).boxes
            largest = boxes_at(found.heat_map, threshold, "largest")
            expected = whole if instances == "multiple" else largest
            assert np.allclose(boxes, scale_boxes(expected, (64, 64), (90, 60)))


@pytest.mark.parametrize(("looked_at", "threshold"), [(1, 0.4), (2, 0.29)])
def test_boxes_and_masks_of_a_download_agree(
    empty: httpx.Client, photos: list[Path], looked_at: int, threshold: float
) -> None:
    """Where some or all images were looked at by a localizer with another threshold."""
    for row in upload(empty, *photos[:2])[:looked_at]:
        answer = empty.post(f"/api/images/{row['id']}/localize", json={"localizer": "cam"})
        assert answer.json()["threshold"] == 0.29
    files = []
    for options in ("", f"&threshold={threshold}"):
        answer = empty.get(f"/api/download?format=coco,masks{options}")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
            files.append({name: archive.read(name) for name in archive.namelist()})
    as_it_is, at_threshold = files
    assert any(name.endswith(".png") for name in as_it_is)
    assert as_it_is == at_threshold
    boxes = {row["file_name"]: row["bbox"] for row in json.loads(as_it_is["predictions.json"])}
    shown = {
        row["name"]: row["boxes"][0][:4]
        for row in empty.get("/api/images").json()["images"]
        if row["threshold"] == threshold
    }
    assert shown
    for name, (x0, y0, x1, y1) in shown.items():
        assert np.allclose(boxes[name], (x0, y0, x1 - x0, y1 - y0), atol=0.1)


@pytest.mark.parametrize("name", list_formats())
def test_every_format_is_downloaded(empty: httpx.Client, photos: list[Path], name: str) -> None:
    """With names that stay below the folder where the zip is unpacked."""
    data = photos[0].read_bytes()
    names = ("../../x.png", "x.png", "=cmd|x.png", "<b>.png", "日本 .png", "a\nb.png", "C:\\x.png")
    empty.post("/api/images", files=form(*((each, data) for each in names)))
    answer = empty.get(f"/api/download?format={name}")
    assert answer.status_code == 200
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        members = archive.namelist()
        images = [archive.read(each) for each in members if "images/" in each]
    assert members
    for member in members:
        assert ".." not in Path(member).parts
        assert not Path(member).is_absolute()
    if name == "yolo":
        assert images == [data] * len(names), "the images that were sent, and no others"


def test_a_download_leaves_nothing(
    empty: httpx.Client, photos: list[Path], uploads: Callable[[httpx.Client], list[str]]
) -> None:
    """Neither a folder nor a zip stays, and a wrong format is one line."""
    upload(empty, photos[0])
    before = uploads(empty)
    assert empty.get("/api/download?format=coco").status_code == 200
    assert uploads(empty) == before
    for query in ("format=cocoo", "", "format=coco&threshold=1.5", "format=coco&threshold=x"):
        answer = empty.get(f"/api/download?{query}")
        assert answer.status_code == 400
        assert answer.json()["error"]


def test_unknown_routes_and_methods_are_refused(app: httpx.Client) -> None:
    """With a line in JSON, and the same headers as all answers."""
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PUT", "/api/images", 405),
        ("GET", "/api/images/1/localize", 405),
        ("DELETE", "/api/images/1", 404),
    ):
        answer = app.request(method, path)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_memory_that_runs_out_is_one_line() -> None:
    """And the server goes on; a fault of the program is logged by it."""
    memory = RuntimeError("CUDA error: out of memory\nmore")
    answer = asyncio.run(refuse(Request({"type": "http"}), memory))
    assert answer.status_code == 507
    assert b"\n" not in answer.body
    with pytest.raises(RuntimeError, match="a fault"):
        asyncio.run(refuse(Request({"type": "http"}), RuntimeError("a fault")))
