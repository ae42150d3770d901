"""Rows of boxes that cannot be used: said by file and line, never clipped, skipped on request."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from .support import Tally, digests, read_csv, read_json

IMAGES = ("a.jpg", "sub/b.jpg", "c, d.jpg")
WIDTH, HEIGHT = 50, 40
HEADER = "image,class,x0,y0,x1,y1,width,height"
BAD_BOXES = {
    "NaN": ("nan", "1", "9", "9"),
    "infinite": ("1", "1", "inf", "9"),
    "swapped": ("9", "1", "2", "9"),
    "upside down": ("1", "9", "9", "2"),
    "empty": ("1", "1", "1", "9"),
    "negative": ("-2", "1", "9", "9"),
    "outside": ("1", "1", str(WIDTH + 2), "9"),
    "below": ("1", "1", "9", str(HEIGHT + 1.5)),
    "text": ("1", "one", "9", "9"),
    "nothing": ("", "", "", ""),
    "overflow": ("1", "1", "1e999", "9"),
}
BAD_ENTRIES: dict[str, dict[str, Any]] = {
    "NaN": {"bbox": [float("nan"), 1, 8, 8]},
    "infinite": {"bbox": [1, 1, float("inf"), 8]},
    "negative width": {"bbox": [1, 1, -8, 8]},
    "no width": {"bbox": [1, 1, 0, 8]},
    "negative corner": {"bbox": [-2, 1, 8, 8]},
    "outside": {"bbox": [1, 1, WIDTH + 1, 8]},
    "three numbers": {"bbox": [1, 1, 8]},
    "texts": {"bbox": ["1", "1", "8", "8"]},
    "switches": {"bbox": [True, 1, 8, 8]},
    "enormous": {"bbox": [10**400, 1, 8, 8]},
    "no box": {"bbox": None},
    "another image": {"image_id": 99},
    "a list for an image": {"image_id": [1]},
    "another class": {"category_id": 99},
    "no id": {"id": None},
    "an old id": {"id": 1},
    "a repeated box": {"bbox": [1.0, 1.0, 20.0, 20.0]},
}


def csv_row(image: str, box: tuple[str, ...], class_name: str = "crow") -> str:
    """Return one line."""
    return ",".join((f'"{image}"', class_name, *box, str(WIDTH), str(HEIGHT)))


GOOD = [csv_row(image, ("1", "1", "20", "20")) for image in IMAGES]
BAD_ROWS = (
    *(csv_row(IMAGES[1], box) for box in BAD_BOXES.values()),
    csv_row(IMAGES[0], ("2", "2", "9", "9"), "wren"),
    csv_row(IMAGES[0], ("1", "1", "20", "20")),
    '"a.jpg",crow,1,2,3',
    '"a.jpg",crow,1,2,3,4,50,40,more',
    '"a.jpg",crow,5,5,9,9,50,0',
    '"a.jpg",crow,5,5,9,9,60,40',
)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a score map of each image."""
    folder = tmp_path_factory.mktemp("maps")
    random = np.random.default_rng(0)
    for image in IMAGES:
        file = (folder / image).with_suffix(".npy")
        file.parent.mkdir(exist_ok=True)
        np.save(file, random.random((8, 10), np.float32))
    return folder


@pytest.fixture(scope="module")
def evaluate(maps: Path, tally: Tally, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Return a function that evaluates the maps with a file of boxes."""

    def run(name: str, content: bytes, on_bad: str) -> tuple[Any, Path, Path]:
        folder = tmp_path_factory.mktemp("truth")
        ground_truth, out = folder / name, folder / "out"
        ground_truth.write_bytes(content)
        before = digests(folder)
        options = ("--maps", maps, "--annotations", ground_truth, "--out", out)
        done = tally.inside("evaluate", *options, "--on-bad-annotation", on_bad, "--num_workers", 0)
        tally.unchanged(before)
        return done, ground_truth, out

    return run


@pytest.fixture(scope="module")
def clean(evaluate: Callable) -> tuple[dict, list]:
    """Return figures and rows of the good boxes alone."""
    done, _, out = evaluate("boxes.csv", "\n".join([HEADER, *GOOD]).encode(), "fail")
    assert done.status == 0
    return read_json(out / "metrics.json"), read_csv(out / "images.csv")


FEW = settings(
    max_examples=20,
    deadline=None,
    # Looking for the smallest example takes a hundred more evaluations.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FEW
# All kinds, whatever is drawn besides.
@example(bad=list(BAD_ROWS))
@given(bad=st.lists(st.sampled_from(BAD_ROWS), min_size=1, max_size=6))
def test_bad_rows_of_csv(bad: list[str], evaluate: Callable, clean: tuple, tally: Tally) -> None:
    """The first one ends the command, with its line; skipped, the figures are as without them."""
    # Good rows come first: what repeats or contradicts one is bad only behind it.
    rows = [HEADER, *GOOD, *bad]
    lines = range(len(rows) - len(bad) + 1, len(rows) + 1)
    content = "\n".join(rows).encode()
    tally.tried(len(bad))
    done, ground_truth, out = evaluate("boxes.csv", content, "fail")
    assert done.status == 2
    assert f"{ground_truth}:{lines[0]}: " in done.error
    assert not out.exists()
    done, ground_truth, out = evaluate("boxes.csv", content, "skip")
    assert done.status == 0
    for line in lines:
        assert done.err.count(f"{ground_truth}:{line}: ") == 1
    assert done.err.count("(row skipped)") == len(lines)
    assert (read_json(out / "metrics.json"), read_csv(out / "images.csv")) == clean


@FEW
@example(bad=sorted(BAD_ENTRIES))
@given(bad=st.lists(st.sampled_from(sorted(BAD_ENTRIES)), min_size=1, max_size=5))
def test_bad_annotations_of_coco(
    bad: list[str], evaluate: Callable, clean: tuple, tally: Tally
) -> None:
    """The first one ends the command, with its name; skipped, the figures are as without them."""
    images = [
        {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for number, name in enumerate(IMAGES, 1)
    ]
    good = [
        {"id": number, "image_id": number, "category_id": 7, "bbox": [1.0, 1.0, 19.0, 19.0]}
        for number in (1, 2, 3)
    ]
    wrong = [
        {"id": 10 + number, "image_id": 1, "category_id": 7, "bbox": [2, 2, 8, 8]}
        | BAD_ENTRIES[name]
        | ({"bbox": [1.0, 1.0, 19.0, 19.0]} if name == "a repeated box" else {})
        for number, name in enumerate(bad)
    ]
    categories = [{"id": 7, "name": "crow"}]
    content = {"images": images, "categories": categories, "annotations": good + wrong}
    data = json.dumps(content).encode()
    tally.tried(len(bad))
    done, ground_truth, out = evaluate("boxes.json", data, "fail")
    assert done.status == 2
    assert f"{ground_truth}: annotation" in done.error
    assert not out.exists()
    done, ground_truth, out = evaluate("boxes.json", data, "skip")
    assert done.status == 0
    assert done.err.count("(row skipped)") == len(bad)
    assert (read_json(out / "metrics.json"), read_csv(out / "images.csv")) == clean


@FEW
@given(
    name=st.sampled_from(["boxes.csv", "boxes.json"]),
    content=st.binary(max_size=60)
    | st.text(max_size=60).map(str.encode)
    | st.sampled_from([b"[" * 100_000, b'{"images": 1}', b"\xff\xfe", b'a"b,"c\n"', b"\0"])
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["images", "annotations", "categories", "id", "bbox"]), inner
            )
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode()),
    on_bad=st.sampled_from(["fail", "skip"]),
)
def test_files_of_anything(
    name: str, content: bytes, on_bad: str, evaluate: Callable, tally: Tally
) -> None:
    """One line that names the file."""
    tally.tried(1)
    done, ground_truth, out = evaluate(name, content, on_bad)
    assert done.status == 2
    assert str(ground_truth) in done.error
    assert not out.exists()


@pytest.mark.parametrize("command", ["evaluate", "train"])
def test_the_boxes_of_a_data_set(
    command: str, toy: Path, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """The same for those of images: nothing is written, or all but the bad rows are used."""
    lines = (toy / "boxes.csv").read_text().splitlines()
    image, class_name, *_ = lines[-1].split(",")
    bad = [f"{image},{class_name},{','.join(box)}" for box in BAD_BOXES.values()]
    # The images of the data set are larger than those of score maps.
    bad = [row for row in bad if not row.endswith((f"{WIDTH + 2},9", f"{HEIGHT + 1.5}"))]
    bad += [f"{image},{class_name},81,88,9522,9408"]
    bad += [f"not-there.jpg,{class_name},1,1,9,9", f"{image},no class,1,1,9,9", lines[-1]]
    ground_truth = tmp_path / "boxes.csv"
    ground_truth.write_text("\n".join([*lines, *bad]))
    out = tmp_path / "out"
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    shared = ("--boxes", ground_truth, "--num_workers", 0, "--device", "cpu")
    argv: tuple[object, ...] = ("evaluate", copied, *shared, "--report", 0, "--out", out / "a.json")
    if command == "train":
        small = ("--backbone", "test_resnet", "--pretrained", "false", "--epochs", 1)
        sizes = ("--image_size", 32, "--resize", 36, "--batch_size", 8, "--precision", "fp32")
        argv = ("train", toy, "--out", out, *shared, *small, *sizes)
    tally.tried(len(bad))
    done = tally.inside(*argv)
    assert done.status == 2
    assert f"{ground_truth}:{len(lines) + 1}: " in done.error
    assert not out.exists()
    (tmp_path / "out").mkdir(exist_ok=True)
    done = tally.inside(*argv, "--on_bad_annotation", "skip")
    assert done.status == 0
    assert done.err.count("(row skipped)") == len(bad)
    if command == "evaluate":
        found = read_json(out / "a.json")
        clean = ("--report", 0, "--out", out / "b.json", "--num_workers", 0, "--device", "cpu")
        assert tally.inside("evaluate", copied, *clean).status == 0
        assert found == read_json(out / "b.json")


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("labels.csv", "image,label\na.jpg,\n", "labels.csv:2: "),
        ("labels.csv", "image,label\nnot-there.jpg,crow\n", "labels.csv:2: "),
        ("labels.csv", "image\na.jpg\n", "labels.csv:1: "),
        ("labels.csv", "image,label,split\na.jpg,crow,tset\n", "labels.csv:2: "),
        ("labels.csv", 'image,label\n"a.jpg,crow\n', "labels.csv:2: "),
        ("labels.json", "{", "labels.json:1: "),
        ("labels.json", '{"images": [], "annotations": [], "categories": 3}', "labels.json: "),
    ],
)
def test_labels_that_cannot_be_used(
    name: str, content: str, place: str, toy: Path, tally: Tally, tmp_path: Path
) -> None:
    """Always the end: what an image shows is not to be guessed."""
    shutil.copy(next(toy.rglob("*.jpg")), tmp_path / "a.jpg")
    (tmp_path / name).write_text(content)
    tally.tried(1)
    done = tally.inside("train", tmp_path, "--out", tmp_path / "run", "--device", "cpu")
    assert done.status == 2
    assert place in done.error
    assert not (tmp_path / "run").exists()
