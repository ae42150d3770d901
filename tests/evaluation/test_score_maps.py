"""Score maps from files: figures against slow, obvious ones, and what can be wrong with files."""

import csv
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsol.errors import ConfigError, DataError, ImageError
from wsol.evaluation import score_maps as module
from wsol.evaluation.config import EvaluateMapsConfig
from wsol.evaluation.score_maps import evaluate_maps
from wsol.maps import iou_curves, normalize

SIZE = (60, 40)
BOXES = {
    "crow/a.jpg": [(10, 5, 30, 20), (40, 30, 60, 40)],
    "crow/b.jpg": [(0, 0, 60, 40)],
    "crow/c.jpg": [(3, 3, 9, 9)],
    "wren/d.jpg": [(20.5, 10.5, 55.25, 39)],
}
FILES = ["curve.csv", "curve.png", "images.csv", "metrics.json", "worst.csv"]


def blob(box: tuple[float, ...], seed: int) -> NDArray[np.float32]:
    """Return a raw score map at half the image's size, roughly over a box."""
    rng = np.random.default_rng(seed)
    x0, y0, x1, y1 = (value / 2 for value in box)
    y, x = np.mgrid[: SIZE[1] // 2, : SIZE[0] // 2]
    far = ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2
    noisy = np.exp(-2 * far) + rng.normal(0, 0.02, far.shape)
    return (50 * noisy - 20).astype(np.float32)


@pytest.fixture
def config(tmp_path: Path) -> EvaluateMapsConfig:
    """Write four maps and their boxes, and return options to measure them."""
    rows = ["image,class,x0,y0,x1,y1,width,height"]
    for number, (name, boxes) in enumerate(BOXES.items()):
        path = tmp_path / "maps" / Path(name).with_suffix(".npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, blob(boxes[0], number))
        group = Path(name).parent
        rows += [",".join(map(str, (name, group, *box, *SIZE))) for box in boxes]
    (tmp_path / "boxes.csv").write_text("\n".join(rows))
    return EvaluateMapsConfig(maps=tmp_path / "maps", annotations=tmp_path / "boxes.csv")


def table(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def obvious_curves(config: EvaluateMapsConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curves of each image, (4, 1000), found one by one by the slower backend."""
    largest, every = [], []
    for name, boxes in BOXES.items():
        scaled, _ = normalize(np.load(config.maps / Path(name).with_suffix(".npy")))
        ground_truth = np.array([[int(value / 2) for value in box] for box in boxes])
        curves = iou_curves(scaled, ground_truth, np.arange(0, 1, 0.001), backend="opencv")
        largest.append(curves.largest)
        every.append(curves.all)
    return np.array(largest), np.array(every)


@pytest.mark.parametrize("num_workers", [0, 3])
def test_figures_equal_those_found_one_by_one(config: EvaluateMapsConfig, num_workers: int) -> None:
    """At a threshold, and over all of them; the files say the same."""
    result = evaluate_maps(replace(config, threshold=0.3, num_workers=num_workers))
    largest, every = obvious_curves(config)
    expected = {
        f"max_box_acc_{level}": 100 * (largest >= level / 100).mean(0).max()
        for level in (30, 50, 70)
    } | {
        "max_box_acc_v2": np.mean(
            [100 * (every >= level / 100).mean(0).max() for level in (30, 50, 70)]
        ),
        "box_acc_50": 100 * (largest[:, 300] >= 0.5).mean(),
        "mean_iou": 100 * largest[:, 300].mean(),
        "threshold": 0.3,
        "num_images": 4,
        "num_with_ground_truth": 4,
        "num_no_object": 0,
        "num_missing": 0,
        "num_error": 0,
        "num_no_ground_truth": 0,
    }
    # The largest boxes cover 300, 2400, 36 and 990 of 2400 pixels.
    right = 100.0 * (largest[:, 300] >= 0.5)
    recall = {
        "recall_small": right[2],
        "recall_medium": right[0],
        "recall_large": (right[1] + right[3]) / 2,
    }
    assert result.metrics == pytest.approx(expected | recall)
    assert 0 < expected["box_acc_50"] < 100 or 0 < expected["max_box_acc_70"] < 100
    best = result.at_best_threshold
    assert best is not None
    assert best["box_acc_50"] == result.metrics["max_box_acc_50"]

    out = config.maps.parent / "maps-evaluation"
    assert result.out == out
    assert sorted(path.name for path in out.iterdir()) == FILES
    written: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    by_class = written.pop("recall_by_class")
    assert by_class == pytest.approx({"crow": right[:3].mean(), "wren": right[3]})
    at_best = written.pop("at_best_threshold_for_comparison_only")
    assert written == pytest.approx(result.metrics)
    assert {key: at_best[key] for key in best} == pytest.approx(best)

    curve = table(out / "curve.csv")
    assert len(curve) == 1000
    for name, curves in (("max_box_acc", largest), ("max_box_acc_v2", every)):
        for level in (30, 50, 70):
            column = [float(row[f"{name}_{level}"]) for row in curve]
            np.testing.assert_allclose(column, 100 * (curves >= level / 100).mean(0), atol=1e-5)

    rows = table(out / "images.csv")
    assert [row["image"] for row in rows] == list(BOXES)
    assert [row["class"] for row in rows] == ["crow", "crow", "crow", "wren"]
    for row, iou in zip(rows, largest, strict=True):
        assert (row["status"], row["message"]) == ("ok", "")
        assert float(row["best_iou"]) == pytest.approx(100 * iou.max(), abs=1e-5)
        assert float(row["threshold"]) == pytest.approx(np.arange(0, 1, 0.001)[iou.argmax()])
    order = sorted(rows, key=lambda row: float(row["best_iou"]))
    assert table(out / "worst.csv") == order
    assert [row.image for row in result.worst] == [row["image"] for row in order]


def test_without_threshold_its_figures_are_left_out(config: EvaluateMapsConfig) -> None:
    """What is best on these images stands apart."""
    result = evaluate_maps(config)
    assert (
        not {"gt_known", "box_acc_50", "threshold", "mean_iou", "recall_small"}
        & result.metrics.keys()
    )
    assert "recall_by_class" not in json.loads((result.out / "metrics.json").read_text())


def test_every_fault_is_a_row(config: EvaluateMapsConfig, caplog: pytest.LogCaptureFixture) -> None:
    """A map that is missing, broken or flat is wrong, and the rest is as it was."""
    whole = evaluate_maps(config)
    broken = config.maps / "crow/b.npy"
    broken.write_bytes(broken.read_bytes()[:-1])
    (config.maps / "crow/a.npy").unlink()
    np.save(config.maps / "crow/c.npy", np.full((20, 30), np.nan))
    with caplog.at_level(logging.WARNING, "wsol"):
        result = evaluate_maps(config)
    rows = {row["image"]: row for row in table(result.out / "images.csv")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "crow/a.jpg": "missing",
        "crow/b.jpg": "error",
        "crow/c.jpg": "no_object",
        "wren/d.jpg": "ok",
    }
    assert rows["crow/b.jpg"]["message"].startswith(f"{broken}: is truncated: ")
    assert rows["crow/a.jpg"]["best_iou"] == rows["crow/b.jpg"]["best_iou"] == "0.0"
    assert [row.image for row in result.worst] == ["crow/c.jpg", "wren/d.jpg"]
    assert result.metrics["num_images"] == whole.metrics["num_images"] == 4
    for key, number in (("num_missing", 1), ("num_error", 1), ("num_no_object", 1)):
        assert result.metrics[key] == number
    assert whole.metrics["max_box_acc_30"] == 100
    assert result.metrics["max_box_acc_30"] == 25
    assert f"counted as wrong: {broken}: is truncated" in caplog.text
    assert "1 images without a score map: 'crow/a.jpg'" in caplog.text


def test_maps_of_no_image_are_refused_before_anything(config: EvaluateMapsConfig) -> None:
    """The first are named, with their number, unless they are to be left out."""
    expected = evaluate_maps(replace(config, out=config.maps.parent / "first")).metrics
    for i in range(7):
        np.save(config.maps / f"x{i}.npy", np.eye(3))
    with pytest.raises(DataError) as caught:
        evaluate_maps(config)
    assert "maps: 7 score maps are of no image in" in str(caught.value)
    assert "'x0.npy', 'x1.npy', 'x2.npy', 'x3.npy', 'x4.npy', ...; use --ignore_extra" in str(
        caught.value
    )
    assert not (config.maps.parent / "maps-evaluation").exists()
    assert evaluate_maps(replace(config, ignore_extra=True)).metrics == expected


def test_an_image_without_ground_truth_is_not_counted(config: EvaluateMapsConfig) -> None:
    """COCO may list it; its map is neither right nor wrong, missing nor extra."""
    coco = {
        "images": [
            {"id": i, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
            for i, name in enumerate([*BOXES, "wren/e.jpg"])
        ],
        "categories": [{"id": 0, "name": "crow"}, {"id": 1, "name": "wren"}],
        "annotations": [
            {
                "id": f"{i}-{x0}",
                "image_id": i,
                "category_id": i // 3,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
            }
            for i, boxes in enumerate(BOXES.values())
            for x0, y0, x1, y1 in boxes
        ],
    }
    file = config.annotations.with_suffix(".json")
    file.write_text(json.dumps(coco))
    expected = evaluate_maps(config).metrics
    result = evaluate_maps(replace(config, annotations=file))
    assert result.metrics == expected | {"num_no_ground_truth": 1}
    assert table(result.out / "images.csv")[4] == {
        "image": "wren/e.jpg",
        "class": "",
        "status": "no_ground_truth",
        "best_iou": "",
        "threshold": "",
        "message": "no ground-truth box",
    }
    np.save(config.maps / "wren/e.npy", np.eye(3))
    assert evaluate_maps(replace(config, annotations=file)).metrics == result.metrics


@pytest.mark.parametrize("kind", ["I;16", "L"])
def test_png_maps_are_as_good(config: EvaluateMapsConfig, kind: str) -> None:
    """16 bits are closer than 8, and both are close."""
    expected = evaluate_maps(config)
    for path in sorted(config.maps.rglob("*.npy")):
        scaled, _ = normalize(np.load(path))
        white, dtype = (65535, np.uint16) if kind == "I;16" else (255, np.uint8)
        Image.fromarray(np.rint(scaled * white).astype(dtype)).save(path.with_suffix(".png"))
        path.unlink()
    found = evaluate_maps(config)
    assert found.metrics == pytest.approx(expected.metrics, abs=0.01 if kind == "I;16" else 35)
    for a, b in zip(found.worst, expected.worst, strict=True):
        assert a.score == pytest.approx(b.score, abs=0.01 if kind == "I;16" else 20)


def test_size_resizes_maps_and_boxes(config: EvaluateMapsConfig) -> None:
    """A small map finds a box as exactly as its size allows."""
    box = (30, 20, 59, 39)
    text = f"image,class,x0,y0,x1,y1,width,height\nb.jpg,crow,{','.join(map(str, box))},60,40\n"
    config.annotations.write_text(text)
    values = np.zeros((2, 2), np.float32)
    values[1, 1] = 1
    np.save(config.maps / "b.npy", values)
    config = replace(config, ignore_extra=True)
    assert evaluate_maps(config).worst[0].score == 100
    larger = evaluate_maps(replace(config, image_size=224)).worst[0].score
    assert larger is not None
    assert 90 < larger < 100


def test_few_maps_are_in_memory(
    config: EvaluateMapsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: at most two per thread are read and not yet counted."""
    count, begun, most, lock = 60, 0, 0, threading.Lock()
    rows = ["image,class,x0,y0,x1,y1,width,height"]
    for i in range(count):
        np.save(config.maps / f"{i:03}.npy", blob(BOXES["crow/a.jpg"][0], i))
        rows.append(f"{i:03}.jpg,crow,10,5,30,20,60,40")
    config.annotations.write_text("\n".join(rows))
    read = module.read_score_map

    def counting(*args: Any, **options: Any) -> Any:
        nonlocal begun
        with lock:
            begun += 1
        return read(*args, **options)

    def watching(self: Any, index: int, scored: Any) -> None:
        nonlocal most
        most = max(most, begun - index)

    monkeypatch.setattr(module, "read_score_map", counting)
    monkeypatch.setattr(module.BoxEvaluator, "count", watching)
    evaluate_maps(replace(config, ignore_extra=True, num_workers=2))
    assert begun == count
    assert most <= 5


@pytest.mark.parametrize(
    ("out", "reason"), [("maps", "is inside the folder"), ("maps/x", "is inside the folder")]
)
def test_nothing_is_written_among_the_maps(
    config: EvaluateMapsConfig, out: str, reason: str
) -> None:
    """The image of the curve would be the next evaluation's map."""
    with pytest.raises(ConfigError, match=reason):
        evaluate_maps(replace(config, out=config.maps.parent / out))


def test_the_default_folder_lies_beside_the_maps(
    config: EvaluateMapsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the maps are the working directory."""
    monkeypatch.chdir(config.maps)
    result = evaluate_maps(replace(config, maps=Path()))
    assert result.out == config.maps.parent / "maps-evaluation"


@pytest.fixture
def masked(config: EvaluateMapsConfig) -> EvaluateMapsConfig:
    """Write masks twice as large as the maps, by the boxes, with ignored pixels."""
    folder = config.maps.parent / "masks"
    for name, boxes in BOXES.items():
        mask = np.zeros(SIZE[::-1], np.uint8)
        mask[:, :8] = 255
        for x0, y0, x1, y1 in boxes:
            mask[int(y0) : int(y1), int(x0) : int(x1)] = 1
        path = folder / Path(name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(path)
    return replace(config, annotations=folder, ignore_value=255)


def obvious_pxap(pairs: list[tuple[NDArray[np.floating], NDArray[np.uint8]]]) -> float:
    """Return PxAP from sorted thresholds and counted pixels."""
    scores = np.concatenate([scores.ravel() for scores, _ in pairs])
    masks = np.concatenate([mask.ravel() for _, mask in pairs])
    found = [
        (((scores >= t) & (masks == 1)).sum(), ((scores >= t) & (masks != 255)).sum())
        for t in (*np.arange(0, 1, 0.001), 1.0)
    ]
    total = 0.0
    for (true, positive), (next_true, _) in zip(found, [*found[1:], (0, 0)], strict=True):
        total += true / max(positive, 1) * (true - next_true) / (masks == 1).sum()
    return 100 * float(total)


def pair(config: EvaluateMapsConfig, name: str) -> tuple[NDArray[np.floating], NDArray[np.uint8]]:
    """Return the scaled map and the mask at its size."""
    with Image.open(config.annotations / Path(name).with_suffix(".png")) as image:
        mask = np.asarray(image)[::2, ::2]
    return normalize(np.load(config.maps / Path(name).with_suffix(".npy")))[0], mask


def test_masks(masked: EvaluateMapsConfig) -> None:
    """PxAP of all pixels, of each image for the rows, precision and recall for the curve."""
    result = evaluate_maps(masked)
    pairs = {name: pair(masked, name) for name in BOXES}
    assert result.at_best_threshold is None
    assert result.metrics["pxap"] == pytest.approx(obvious_pxap(list(pairs.values())))
    assert json.loads((result.out / "metrics.json").read_text()) == result.metrics
    rows = table(result.out / "images.csv")
    for row, (name, each) in zip(rows, pairs.items(), strict=True):
        assert row["image"] == name.removesuffix(".jpg")
        assert float(row["pxap"]) == pytest.approx(obvious_pxap([each]), abs=1e-5)
    assert result.worst[0].score == pytest.approx(min(float(row["pxap"]) for row in rows))
    curve = table(result.out / "curve.csv")
    scores = np.concatenate([scores.ravel() for scores, _ in pairs.values()])
    masks = np.concatenate([mask.ravel() for _, mask in pairs.values()])
    found = scores >= np.arange(0, 1, 0.001)[400]
    true = (found & (masks == 1)).sum()
    assert float(curve[400]["precision"]) == pytest.approx(
        100 * true / (found & (masks != 255)).sum(), abs=1e-5
    )
    assert float(curve[400]["recall"]) == pytest.approx(100 * true / (masks == 1).sum(), abs=1e-5)


def test_a_missing_map_of_a_mask_is_zeros(masked: EvaluateMapsConfig) -> None:
    """At the size of the other maps, so that it weighs as much as one of them."""
    (masked.maps / "crow/a.npy").unlink()
    (masked.maps / "crow/b.npy").write_bytes(b"broken")
    result = evaluate_maps(masked)
    pairs = [pair(masked, name) for name in ("crow/c.jpg", "wren/d.jpg")]
    for name in ("crow/a.jpg", "crow/b.jpg"):
        with Image.open(masked.annotations / Path(name).with_suffix(".png")) as image:
            mask = np.asarray(image)[::2, ::2]
        pairs.append((np.zeros(mask.shape), mask))
    assert result.metrics["pxap"] == pytest.approx(obvious_pxap(pairs))
    assert (result.metrics["num_missing"], result.metrics["num_error"]) == (1, 1)


def test_what_is_wrong_with_masks_stops_everything(masked: EvaluateMapsConfig) -> None:
    """Unreadable ground truth is not an error of the map."""
    with pytest.raises(DataError, match="--ignore_value 255"):
        evaluate_maps(replace(masked, ignore_value=None))
    with pytest.raises(ConfigError, match="threshold: "):
        evaluate_maps(replace(masked, threshold=0.5))
    (masked.annotations / "crow/b.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"b\.png"):
        evaluate_maps(masked)
    assert not (masked.maps.parent / "maps-evaluation/images.csv").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"image_size": 0}, "image_size: 0"),
        ({"image_size": 224, "normalize": False}, "image_size: 224 .*normalize"),
        ({"threshold": 1.0}, "threshold: 1.0"),
        ({"worst": -1}, "worst: -1"),
        ({"num_workers": -1}, "num_workers: -1"),
    ],
)
def test_options_that_cannot_work(changes: dict[str, Any], reason: str) -> None:
    """Refused before anything is read."""
    with pytest.raises(ConfigError, match=reason):
        EvaluateMapsConfig(Path("maps"), Path("boxes.csv"), **changes)
