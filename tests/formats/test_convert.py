"""From a record to every format, by the command."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol._utils.files import FolderLock
from wsol.cli.main import main
from wsol.errors import ImageError
from wsol.formats import PredictionInfo, list_formats
from wsol.formats._files import from_cell
from wsol.results.localization import Localization
from wsol.results.store import PredictionWriter

from .. import forked

SCORES = np.array([0.9, 0.2])


def store(folder: Path, names: tuple[str, ...], classes: tuple[str, ...], photos: Path) -> None:
    """Write a record of images with two boxes each, and one in error."""
    folder.mkdir(exist_ok=True)
    writer = PredictionWriter(folder, PredictionInfo(classes, photos, 0.2))
    for name in names:
        heat_map = np.zeros((4, 5), np.float32)
        heat_map[1:3, 1:3] = heat_map[3, 4] = 1
        boxes = np.array([[10.0, 10, 30, 30], [40, 30, 50, 40]])
        labels = np.arange(2) % len(classes)
        result = Localization(
            name,
            (50, 40),
            label=classes[0],
            class_index=0,
            heat_map=heat_map,
            boxes=boxes,
            box_scores=SCORES,
            box_labels=labels,
        )
        writer.add(result)
    writer.add(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is empty")))
    writer.close()


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    """Return the folder of a prediction of two images that are there."""
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (50, 40)).save(tmp_path / "photos" / name)
    store(tmp_path / "boxes", ("a.jpg", "b.jpg"), ("crow", "wren"), tmp_path / "photos")
    return tmp_path / "boxes"


def test_the_command_writes_all_formats(
    predicted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with its files, beside the record or elsewhere."""
    every = ",".join(list_formats())
    out = tmp_path / "out"
    assert main(["convert", str(predicted), "--format", every, "--out", str(out)]) == 3
    assert "3 images, 1 of them unreadable, as coco, csv, cvat" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == [
        "annotations.json",
        "cvat",
        "heatmaps",
        "labelstudio",
        "masks",
        "predictions.csv",
        "predictions.json",
        "predictions.parquet",
        "voc",
        "yolo",
    ]
    assert main(["convert", str(predicted), "--format", "voc"]) == 3
    assert (predicted / "voc/Annotations/a.xml").is_file()


def test_a_second_writer_is_refused(predicted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told who is the first, and changes nothing."""
    with FolderLock(predicted):
        before = sorted(predicted.rglob("*"))
        assert main(["convert", str(predicted), "--format", "csv,voc"]) == 2
        assert f"{predicted}: is being written by process {os.getpid()}" in capsys.readouterr().err
        assert sorted(predicted.rglob("*")) == before
    assert main(["convert", str(predicted), "--format", "csv,voc"]) == 3


def test_the_status_says_whether_all_images_could_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of other commands does; those in error are written all the same."""
    for name, error, status in (
        ("clean", None, 0),
        ("some", ImageError("a.jpg", "the file is empty"), 3),
    ):
        (tmp_path / name).mkdir()
        writer = PredictionWriter(tmp_path / name, PredictionInfo(("crow",), tmp_path, 0.2))
        writer.add(Localization("a.jpg", (4, 4), error=error))
        writer.close()
        assert main(["convert", str(tmp_path / name), "--format", "csv"]) == status
        assert "a.jpg" in (tmp_path / name / "predictions.csv").read_text()
        assert ("1 of them unreadable" in capsys.readouterr().out) == (status == 3)


def test_low_scores_are_left_out_and_their_images_stay(predicted: Path, tmp_path: Path) -> None:
    """A box at the limit is kept."""
    for limit, number in (("0.2", 4), ("0.3", 2), ("0.91", 0)):
        out = tmp_path / limit
        options = ["--format", "coco", "--out", str(out), "--min_score", limit]
        assert main(["convert", str(predicted), *options]) == 3
        content = json.loads((out / "annotations.json").read_text())
        assert len(content["annotations"]) == number
        assert len(content["images"]) == 2
        assert len(content["errors"]) == 1


@pytest.mark.parametrize(
    ("limit", "said"),
    [("0.2", None), ("0.3", ("2 of 4", "0 images")), ("0.91", ("4 of 4", "2 images"))],
)
def test_what_a_score_leaves_out_is_said(
    limit: str,
    said: tuple[str, str] | None,
    predicted: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Boxes and images in one line; where nothing is left a warning has the highest score."""
    assert main(["convert", str(predicted), "--format", "yolo", "--min_score", limit]) == 3
    lines = [line for line in capsys.readouterr().out.splitlines() if "min_score" in line]
    assert len(lines) == (said is not None)
    for line in lines:
        assert all(words in line for words in said or ())
    warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert any("0.900" in text for text in warnings) == (limit == "0.91")
    listed = (predicted / "yolo/train.txt").read_text() + (predicted / "yolo/val.txt").read_text()
    assert listed.count("images/") == (0 if limit == "0.91" else 2)


def test_a_record_without_a_box_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The files are there, and nothing can be trained on them."""
    writer = PredictionWriter(tmp_path, PredictionInfo(("crow",), tmp_path, 0.2))
    writer.add(Localization("a.jpg", (4, 4)))
    writer.close()
    assert main(["convert", str(tmp_path), "--format", "coco"]) == 0
    assert [each.levelname for each in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "coco,yol"], "format: 'yol' is not valid; did you mean 'yolo'"),
        (["--format", "coco", "--min_score", "1.5"], "min_score: 1.5"),
        (["--format", "yolo", "--val_fraction", "1"], "val_fraction: 1.0"),
        (["--format", "coco,csv", "--copy_images", "true"], "copy_images: True"),
        (["--format", "coco", "--images", "/not/there"], "/not/there: no such folder"),
        ([], "format"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    predicted: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    """Exit status 2 and one line."""
    before = sorted(predicted.rglob("*"))
    assert main(["convert", str(predicted), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(predicted.rglob("*")) == before


def test_a_folder_without_a_record_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 2, and what to give instead."""
    assert main(["convert", str(tmp_path), "--format", "coco"]) == 2
    assert "no finished prediction" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_moved_images_are_linked_where_they_are(predicted: Path, tmp_path: Path) -> None:
    """Without --images the command says that they are gone, and leaves no half folder."""
    (tmp_path / "photos").rename(tmp_path / "moved")
    command = ["convert", str(predicted), "--format", "yolo"]
    assert main(command) == 2
    assert not list(predicted.glob("*yolo*"))
    assert main([*command, "--images", str(tmp_path / "moved")]) == 3
    link = predicted / "yolo/images/a.jpg"
    assert link.resolve() == (tmp_path / "moved/a.jpg").resolve()


def test_hostile_names_are_inert_in_every_format(
    tmp_path: Path, hostile: tuple[str, ...], classes: tuple[str, ...]
) -> None:
    """Nothing is written beside the output folder, and every image has its own file and row."""
    photos = tmp_path / "deep/er/photos"
    photos.mkdir(parents=True)
    elsewhere = tmp_path / "any.jpg"
    Image.new("RGB", (50, 40)).save(elsewhere)
    # Those that climb or are too long for this file system cannot be made.
    names = [name for name in hostile if not name.startswith(("/", "..")) and len(name) < 200]
    for name in names:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).symlink_to(elsewhere)
    Image.new("RGB", (50, 40)).save(tmp_path / "deep/x.jpg")
    names = ["../../x.jpg", *names]
    out = tmp_path / "a/b/out"
    out.mkdir(parents=True)
    store(tmp_path / "boxes", tuple(names), classes, photos)
    before = {path for path in tmp_path.rglob("*") if out not in path.parents}
    every = ",".join(list_formats())
    options = ["--format", every, "--out", str(out)]
    assert main(["convert", str(tmp_path / "boxes"), *options]) == 3
    assert {path for path in tmp_path.rglob("*") if out not in path.parents} == before
    for folder in ("cvat", "heatmaps", "labelstudio", "masks", "voc", "yolo"):
        with (out / folder / "images.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [from_cell(row["image_id"]) for row in rows] == [*names, "bad.jpg"]
        files = [row["file"].removeprefix("'") for row in rows[:-1]]
        assert all((out / folder / file).is_file() for file in files)
        assert folder in ("cvat", "labelstudio") or len(set(files)) == len(files)
        assert (rows[-1]["status"], rows[-1]["error"]) == ("error", "the file is empty")
    links = [path for path in (out / "yolo/images").rglob("*") if path.is_symlink()]
    assert len(links) == len(names)


def test_every_format_has_its_place_in_the_documentation() -> None:
    """A line in the table, and a heading."""
    text = (Path(__file__).parents[2] / "docs/formats.md").read_text(encoding="utf-8")
    headings = " ".join(line for line in text.splitlines() if line.startswith("## "))
    for name in list_formats():
        assert f"| `{name}` |" in text
        assert name in headings.split()


def test_each_image_is_read_once(predicted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All formats are written in one pass, a format that is given twice once."""
    from wsol.results import store as module

    seen = []
    own = module.PredictionStore.__iter__
    monkeypatch.setattr(
        module.PredictionStore,
        "__iter__",
        lambda self: (seen.append(result.image_id) or result for result in own(self)),
    )
    assert main(["convert", str(predicted), "--format", "csv,coco,csv"]) == 3
    assert seen == ["a.jpg", "b.jpg", "bad.jpg"]


@pytest.mark.parametrize("name", list_formats())
def test_a_full_disk_is_one_line_and_old_files_stay(predicted: Path, name: str) -> None:
    """No file has room for more than to say who writes: status 2, and nothing has changed."""
    assert main(["convert", str(predicted), "--format", name]) == 3
    before = {path: path.read_bytes() for path in predicted.rglob("*") if path.is_file()}
    script = (
        "import resource, sys; from wsol.cli.main import main;"
        "import wsol.formats.convert, wsol.maps;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        f"sys.exit(main(['convert', {str(predicted)!r}, '--format', {name!r}]))"
    )
    done = forked.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    after = {path: path.read_bytes() for path in predicted.rglob("*") if path.is_file()}
    assert after == before


def test_conversion_needs_no_torch(predicted: Path) -> None:
    """The command starts at once."""
    script = (
        "import sys; from wsol.cli.main import main;"
        f"main(['convert', {str(predicted)!r}, '--format', 'coco,csv,voc,masks']);"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
