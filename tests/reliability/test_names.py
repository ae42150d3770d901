"""Names of all kinds: every image has its row and its file, and its name comes back."""

import os
import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsol._utils.files import write_json
from wsol._utils.names import unescape_name
from wsol.data.synthetic.toy import toy_images
from wsol.formats._files import from_cell

from .support import Tally, coco_rows, digests, names_below, read_csv, read_json

NAMES = (
    "a b.jpg",
    "日本/絵 1.jpg",
    "\u202egpj.exe.jpg",
    "line\nbreak.jpg",
    "tab\tand\rreturn.jpg",
    os.fsdecode(b"not utf-8 \xff\xfe.jpg"),
    "same/1.jpg",
    "other/1.jpg",
    "other/1.png",
    "1.jpg",
    "%41%0A.jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "]]>&amp;.jpg",
    "back\\slash.jpg",
    "a.txt/labels.xml/b.png.png",
    "images/images.jpg",
    "x" * 251 + ".jpg",
    "日" * 83 + ".jpg",
    "=cmd|' !A0.jpg",
    "+1.jpg",
    "-1.jpg",
    "@SUM(1).jpg",
    "\t=1.jpg",
    "'quoted.jpg",
    "\uff1d1.jpg",
)
BAD = ("=bad\n.jpg", os.fsdecode(b"bad \xff.jpg"), "bad \x1b[2J\x07\u202egpj.jpg")
CLASSES = ("=1+1", "@SUM(A1)", "<b>&", "line\nbreak \udcff")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d")
FORMATS = "coco,csv,parquet,voc,cvat,labelstudio,yolo,masks,heatmaps"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of images with such names; two of them are damaged."""
    folder = tmp_path_factory.mktemp("names")
    image = next(toy_images(1, seed=2)).image.resize((64, 48))
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image.save(folder / name)
    for name in BAD:
        (folder / name).write_text("no image")
    return folder


@pytest.fixture(scope="module")
def out(
    folder: Path,
    run: Path,
    tally: Tally,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Predict them by a run whose classes have such names too."""
    odd = tmp_path_factory.mktemp("odd") / "run"
    shutil.copytree(run, odd)
    write_json(odd / "model.json", read_json(run / "model.json") | {"classes": CLASSES})
    out, before = tmp_path_factory.mktemp("names-out"), digests(folder)
    argv = ("predict", folder, "--run", odd, "--out", out, "--device", "cpu", "--format", FORMATS)
    done = tally.inside(*argv, "--save_overlays", "--num_workers", 1)
    assert done.status == 3
    tally.unchanged(before)
    return out


def test_every_name_is_in_every_export_and_comes_back(
    folder: Path, out: Path, tally: Tally
) -> None:
    """What each format writes leads back to the name of the file."""
    names = names_below(folder)
    good = [name for name in names if "bad" not in name]
    tally.rows(names, coco_rows(out))
    tally.rows(names, {from_cell(row["image_id"]) for row in read_csv(out / "predictions.csv")})
    table = pq.read_table(out / "predictions.parquet").column("image_id").to_pylist()
    tally.rows(names, set(map(unescape_name, table)))
    cvat = ElementTree.parse(out / "cvat/annotations.xml")
    tally.rows(good, [unescape_name(image.get("name", "")) for image in cvat.iter("image")])
    voc = [ElementTree.parse(file) for file in (out / "voc/Annotations").rglob("*.xml")]
    tally.rows(good, [unescape_name(each.findtext("filename") or "") for each in voc])
    tasks = [task["data"]["image"] for task in read_json(out / "labelstudio/tasks.json")]
    tally.rows(good, [unescape_name(parse_qs(urlsplit(task).query)["d"][0]) for task in tasks])
    for name in ("voc", "cvat", "labelstudio", "yolo", "masks", "heatmaps"):
        rows = read_csv(out / name / "images.csv")
        tally.rows(names, [from_cell(row["image_id"]) for row in rows])
        files = [row["file"].removeprefix("'") for row in rows if row["status"] != "error"]
        assert all((out / name / file).is_file() for file in files)
        assert name in ("cvat", "labelstudio") or len(set(files)) == len(files) == len(good)
    links = [file for file in (out / "yolo/images").rglob("*") if file.is_symlink()]
    tally.rows(good, [file.resolve().relative_to(folder.resolve()).as_posix() for file in links])
    assert len(list((out / "overlays").rglob("*.jpg"))) == len(good)


def test_no_cell_is_a_formula(out: Path) -> None:
    """In no CSV file, whether of names, classes or reasons."""
    files = list(out.rglob("*.csv"))
    assert len(files) == 7
    cells = [cell for file in files for row in read_csv(file) for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
    rows = read_csv(out / "predictions.csv")
    assert {from_cell(row["label"]) for row in rows if row["label"]} <= set(CLASSES)


def test_the_page_holds_no_markup_of_names(out: Path) -> None:
    """Names and classes are data, in which no tag can begin."""
    scripts = list((out / "report").rglob("*.js"))
    texts = [file.read_text(encoding="utf-8") for file in scripts if "data" in str(file)]
    assert texts
    assert not any("<img" in text or "<b>" in text for text in texts)


def test_messages_are_lines_that_a_terminal_does_not_obey(
    folder: Path, predict: tuple, tally: Tally, tmp_path: Path
) -> None:
    """One for each image in error."""
    bad = [folder / name for name in BAD]
    tally.tried(len(bad))
    done = tally.inside(*predict, *bad, "--out", tmp_path / "out", "--num_workers", 0)
    assert done.status == 3
    lines = [line for line in done.err.split("\n") if "not an image file" in line]
    assert len(lines) == len(bad)
    assert all(line.isprintable() for line in done.err.split("\n"))


def test_rows_of_an_evaluation_of_maps_are_no_formulas(tally: Tally, tmp_path: Path) -> None:
    """Nor are names lost that spreadsheets or lines cannot hold."""
    names = [name for name in NAMES if not name.endswith("png") and "\r" not in name]
    lines = ["image,class,x0,y0,x1,y1,width,height"]
    for name in names:
        map_file = tmp_path / "maps" / Path(name).with_suffix(".png")
        map_file.parent.mkdir(parents=True, exist_ok=True)
        Image.radial_gradient("L").save(map_file)
        quoted = name.replace('"', '""')
        lines.append(f'"{quoted}","=1+1",10,10,90,90,256,256')
    ground_truth = tmp_path / "boxes.csv"
    ground_truth.write_text(
        "\n".join(lines), encoding="utf-8", errors="surrogateescape", newline=""
    )
    out = tmp_path / "out"
    options = ("--maps", tmp_path / "maps", "--annotations", ground_truth, "--out", out)
    assert tally.inside("evaluate", *options).status == 0
    rows = read_csv(out / "images.csv")
    tally.rows(names, [from_cell(row["image"]) for row in rows])
    cells = [cell for row in rows + read_csv(out / "worst.csv") for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(FORMULA)]
    assert {from_cell(row["class"]) for row in rows} == {"=1+1"}
