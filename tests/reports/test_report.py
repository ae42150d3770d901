"""The report's folder: what is in it, how large, and that it is whole or not there."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest
from PIL import Image

from wsol.cli.main import main
from wsol.errors import ConfigError, DataError, ImageError
from wsol.maps.normalize import grey_levels
from wsol.reports.page_data import (
    MAP_SIDE,
    GroundTruth,
    ReportMetrics,
    encode_small_map,
    script_json,
    small_map,
    summarize,
)
from wsol.reports.report import CHUNK, write_report
from wsol.results.localization import Localization, PredictionInfo
from wsol.results.store import PredictionWriter

from .conftest import CLASSES, OWN, SIZE, located, save_photo, smooth_map, write_boxes


def index_of(folder: Path) -> dict[str, Any]:
    """Return what the page is told."""
    text = (folder / "data/index.js").read_text(encoding="ascii")
    content: dict[str, Any] = json.loads(text.removeprefix("wsol.takeIndex(").rstrip(");\n"))
    return content


def maps_of(folder: Path, chunk: int) -> list[str | None]:
    """Return the maps of one file."""
    text = (folder / f"data/maps-{chunk:05d}.js").read_text(encoding="ascii")
    content: list[str | None] = json.loads(text[len(f"wsol.takeMaps({chunk},") : -len(");\n")])
    return content


def some_results(folder: Path, number: int) -> list[Localization]:
    """Return results with one photograph each."""
    rng = np.random.default_rng(0)
    results = []
    for index in range(number):
        save_photo(folder / f"{index}.jpg", SIZE, index)
        results.append(located(f"{index}.jpg", smooth_map(rng, 30, 40), SIZE, index % 3))
    return results


def test_every_image_has_its_row_map_and_photograph(tmp_path: Path) -> None:
    """Over several files of maps, with errors and empty maps among them."""
    photos = tmp_path / "photos"
    results = some_results(photos, CHUNK + 3)
    results.insert(2, Localization("x.jpg", error=ImageError("x.jpg", "the file is empty")))
    results.insert(4, located("1.jpg", np.zeros((30, 40), np.float32), SIZE, 1))
    results.append(located("lost.jpg", results[0].heat_map, SIZE))
    written = write_report(results, PredictionInfo(CLASSES, photos, OWN), tmp_path / "out")
    assert (written.number, written.shown, written.errors) == (CHUNK + 6, CHUNK + 6, 2)
    content = index_of(tmp_path / "out")
    assert content["about"]["statuses"] == {"ok": CHUNK + 4, "error": 1, "no_object": 1}
    for number, (row, result) in enumerate(zip(content["rows"], results, strict=True)):
        assert row["name"] == result.image_id
        assert row["status"] == result.status
        assert [box[:4] for box in row["boxes"]] == result.boxes.tolist()
        found = maps_of(tmp_path / "out", number // CHUNK)[number % CHUNK]
        photo = tmp_path / f"out/photos/{number:06d}.jpg"
        assert photo.exists() == row["photo"] == (result.image_id not in ("x.jpg", "lost.jpg"))
        if result.heat_map.size:
            grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(str(found)))))
            np.testing.assert_array_equal(grey, grey_levels(result.heat_map))
        else:
            assert found is None
    assert "no such file" in content["rows"][-1]["error"]


def test_photographs_are_upright_small_and_tell_nothing_else(tmp_path: Path) -> None:
    """EXIF orientation is applied; no EXIF is carried."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a secret"
    image = Image.new("RGB", (300, 200), "red")
    image.paste("blue", (0, 0, 300, 100))
    image.save(tmp_path / "a.jpg", exif=exif)
    result = located("a.jpg", smooth_map(np.random.default_rng(0), 8, 8), (200, 300))
    write_report([result], PredictionInfo(CLASSES, tmp_path, OWN), tmp_path / "out", side=150)
    copy = tmp_path / "out/photos/000000.jpg"
    assert b"secret" not in copy.read_bytes()
    with Image.open(copy) as shown:
        assert shown.size == (100, 150)
        assert not shown.getexif()
        assert shown.getpixel((90, 75))[2] > 200


def test_small_maps_are_means_and_few_bytes() -> None:
    """A map of 448 pixels becomes one of 64, and 5,000 of them stay below 25 MB."""
    rng = np.random.default_rng(0)
    score_map = smooth_map(rng, 448, 448)
    grey = small_map(score_map)
    assert grey.shape == (MAP_SIDE, MAP_SIDE)
    blocks = grey_levels(score_map).reshape(64, 7, 64, 7).mean((1, 3))
    assert np.abs(grey - blocks).max() <= 0.5 + 1e-4
    assert small_map(smooth_map(rng, 100, 400)).shape == (16, 64)
    assert small_map(smooth_map(rng, 1, 400)).shape == (1, 64)
    sizes = [len(encode_small_map(small_map(smooth_map(rng, 448, 448)))) for _ in range(20)]
    assert np.mean(sizes) * 5_000 < 22e6


def test_a_long_prediction_is_shown_in_part(tmp_path: Path) -> None:
    """Evenly spread, counted whole, and never held whole."""
    save_photo(tmp_path / "0.jpg", SIZE)
    alive: WeakSet[Localization] = WeakSet()

    def results() -> Iterator[Localization]:
        for number in range(1000):
            score_map = smooth_map(np.random.default_rng(number), 12, 12, 1)
            result = Localization("0.jpg", SIZE, "cat", 0, number / 1000, score_map)
            alive.add(result)
            assert len(alive) < 4
            yield result

    info = PredictionInfo(CLASSES, tmp_path, OWN)
    written = write_report(results(), info, tmp_path / "out", number=1000, max_images=40)
    assert (written.number, written.shown) == (1000, 40)
    content = index_of(tmp_path / "out")
    assert [row["score"] for row in content["rows"]] == [25 * i / 1000 for i in range(40)]
    assert content["about"]["number"] == 1000
    written = write_report(results(), info, tmp_path / "out", max_images=7)
    assert written.shown == 7


def test_figures_are_counted_over_all(tmp_path: Path) -> None:
    """Box, class and both, with images that have no map counted as wrong."""
    score_map = np.zeros((10, 10), np.float32)
    score_map[2:6, 2:6] = 1
    box = np.array([[2.0, 2, 6, 6]])
    figures = ReportMetrics(PredictionInfo(CLASSES, tmp_path, 0.35))

    def add(label: int, ground_truth: GroundTruth | None) -> None:
        result = located("a", score_map, (10, 10), label)
        figures.add(summarize(result, ground_truth, figures.thresholds))

    add(0, GroundTruth(box, ("cat",), ("cat",)))
    add(1, GroundTruth(box, ("cat",), ("cat",)))
    add(0, GroundTruth(box + 3, ("cat",), ("cat",)))
    add(0, None)
    lost = Localization("b", error=ImageError("b", "lost"))
    ground_truth = GroundTruth(box, ("cat",), ("cat",))
    figures.add(summarize(lost, ground_truth, figures.thresholds))
    bare = Localization("c", (10, 10), "wren", 2, 0.5, boxes=box)
    ground_truth = GroundTruth(box, ("cat",), ("cat",))
    figures.add(summarize(bare, ground_truth, figures.thresholds))
    assert figures.metrics() == {
        "class_acc": 40.0,
        "box_acc_50": 40.0,
        "class_box_acc_50": 20.0,
        "best_box_acc_50": 40.0,
    }
    curves = figures.curves()
    assert curves is not None
    assert [line["values"][0] for line in curves["lines"]] == [40, 40, 40]
    assert figures.scores.sum() == 5


def test_what_the_network_does_not_know_is_no_error(tmp_path: Path) -> None:
    """A truth of other classes says nothing of the class."""
    figures = ReportMetrics(PredictionInfo(CLASSES, tmp_path, 0.35))
    result = located("a", smooth_map(np.random.default_rng(0), 9, 9), SIZE)
    ground_truth = GroundTruth(result.boxes, ("albatross",), ("albatross",))
    figures.add(summarize(result, ground_truth, figures.thresholds))
    assert set(figures.metrics()) == {"box_acc_50", "best_box_acc_50"}


def test_a_report_replaces_a_report_and_nothing_else(tmp_path: Path) -> None:
    """A folder of photographs is not taken for one."""
    photos = tmp_path / "photos"
    results = some_results(photos, 2)
    info = PredictionInfo(CLASSES, photos, OWN)
    with pytest.raises(ConfigError, match="other than a report"):
        write_report(results, info, photos)
    out = tmp_path / "out"
    out.mkdir()
    write_report(results, info, out)
    (out / "left").touch()
    write_report(results[:1], info, out)
    assert not (out / "left").exists()
    assert len(index_of(out)["rows"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_a_failed_report_leaves_the_old_one(tmp_path: Path) -> None:
    """Whatever goes wrong between, and a kill too."""
    photos = tmp_path / "photos"
    results = some_results(photos, 3)
    info, out = PredictionInfo(CLASSES, photos, OWN), tmp_path / "out"
    write_report(results, info, out)
    before = sorted(path.read_bytes() for path in out.rglob("*") if path.is_file())

    def failing() -> Iterator[Localization]:
        yield results[0]
        raise DataError("the record is cut")

    with pytest.raises(DataError, match="cut"):
        write_report(failing(), info, out)
    script = (
        "import os\nfrom pathlib import Path\nfrom wsol._utils.files import write_folder\n"
        f"def write(part):\n    (part / 'a').touch()\n    os._exit(9)\n"
        f"write_folder(Path({str(out)!r}), write)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
    assert sorted(path.read_bytes() for path in out.rglob("*") if path.is_file()) == before
    assert len(list(tmp_path.glob(".out.*.part"))) == 1
    write_report(results[:2], info, out)
    assert list(tmp_path.glob(".out*")) == []


def test_a_kill_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    """The old report is put back before the next is written."""
    results = some_results(tmp_path / "photos", 1)
    info, out = PredictionInfo(CLASSES, tmp_path / "photos", OWN), tmp_path / "out"
    write_report(results, info, out)
    out.rename(tmp_path / ".out.old")

    def failing() -> Iterator[Localization]:
        raise DataError("the record is cut")
        yield results[0]

    with pytest.raises(DataError, match="cut"):
        write_report(failing(), info, out)
    assert index_of(out)["about"]["number"] == 1


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """The error names the folder."""
    results = some_results(tmp_path / "photos", 1)
    info = PredictionInfo(CLASSES, tmp_path / "photos", OWN)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/report: cannot be written: .+"):
        write_report(results, info, tmp_path / "file/report")


def store(folder: Path, photos: Path, results: list[Localization]) -> None:
    """Write the record of a prediction."""
    folder.mkdir()
    writer = PredictionWriter(folder, PredictionInfo(CLASSES, photos, OWN))
    for result in results:
        writer.add(result)
    writer.close()


def test_the_command_writes_beside_the_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With true boxes, with moved images, and elsewhere; exit statuses 0, 2 and 3."""
    photos, folder = tmp_path / "photos", tmp_path / "boxes"
    results = some_results(photos, 3)
    store(folder, photos, results)
    x0, y0, x1, y1 = results[0].boxes[0]
    boxes = write_boxes(tmp_path / "boxes.csv", [f"0.jpg,cat,{x0},{y0},{x1},{y1}"])
    assert main(["report", str(folder), "--boxes", str(boxes)]) == 0
    assert f"wrote {folder / 'report/index.html'}: 3 images" in capsys.readouterr().out
    content = index_of(folder / "report")
    assert content["about"]["ground_truth"]
    assert content["about"]["metrics"]["class_box_acc_50"] == 100
    assert content["about"]["figures"].keys() == content["about"]["metrics"].keys()
    assert content["rows"][0]["ground_truth"]["boxes"][0][:4] == [x0, y0, x1, y1]
    assert content["rows"][1]["ground_truth"] is None

    moved = tmp_path / "moved"
    photos.rename(moved)
    assert main(["report", str(folder), "--out", str(tmp_path / "a")]) == 3
    assert "3 of them unreadable" in capsys.readouterr().out
    argv = ["report", str(folder), "--images", str(moved), "--out", str(tmp_path / "a")]
    assert main([*argv, "--max_images", "2", "--side", "40"]) == 0
    assert "2 of 3 images" in capsys.readouterr().out
    with Image.open(tmp_path / "a/photos/000001.jpg") as photo:
        assert max(photo.size) == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--max_images", "0"], "images: 0"),
        (["--boxes", "none.csv"], "no such file of boxes"),
        (["--images", "nowhere"], "no such folder"),
        (["--out", "{photos}"], "other than a report"),
    ],
)
def test_the_command_refuses_with_one_line(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and nothing is written."""
    photos, folder = tmp_path / "photos", tmp_path / "boxes"
    store(folder, photos, some_results(photos, 1))
    given = [option.format(photos=photos) for option in options]
    assert main(["report", str(folder), *given]) == 2
    error = capsys.readouterr().err
    assert error.startswith("wsol: error:")
    assert said in error
    assert error.count("\n") == 1
    assert not (folder / "report").exists()
    assert len(list(photos.iterdir())) == 1


def test_a_folder_without_prediction_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says which folder is meant."""
    assert main(["report", str(tmp_path)]) == 2
    assert "no finished prediction" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix" or not shutil.which("node"), reason="no node here")
def test_scripts_are_javascript(tmp_path: Path) -> None:
    """What is hostile in JSON is not in a script."""
    hostile = "</script>\u2028\u2029<!--\udcff\\\"'"
    file = tmp_path / "a.js"
    file.write_text(f"process.stdout.write(JSON.stringify({script_json(hostile)}))", "ascii")
    done = subprocess.run(["node", file], capture_output=True, check=True)
    assert json.loads(done.stdout) == hostile


def test_scripts_hold_ascii_without_markup() -> None:
    """Nothing ends a script, and NaN is refused."""
    text = script_json({"a": "</script>\u2028日本\udcff<!--"})
    assert text.isascii()
    assert "<" not in text
    assert json.loads(text) == {"a": "</script>\u2028日本\udcff<!--"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json(float("nan"))
