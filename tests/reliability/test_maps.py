"""Score maps without any object: no box, counted as wrong, and no number that is none."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from .support import Tally, check_no_nan, coco_rows, read_csv, read_json

FORMATS = "coco,csv,parquet,voc,cvat,labelstudio,yolo,masks,heatmaps"


def broken(run: Path, out: Path, value: float) -> Path:
    """Return a copy of a run all of whose weights are one number."""
    shutil.copytree(run, out)
    weights = load_file(out / "model.safetensors")
    for weight in weights.values():
        if weight.is_floating_point():
            weight.fill_(value)
    save_file(weights, out / "model.safetensors")
    return out


@pytest.mark.parametrize("localizer", ["cam", "ddt*eigencam"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e30])
def test_a_network_that_sees_nothing(
    value: float, localizer: str, toy: Path, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """Its maps are constant or not finite: each image has its row, without a box."""
    wrong, out = broken(run, tmp_path / "run", value), tmp_path / "out"
    options = (
        "--out",
        out,
        "--format",
        FORMATS,
        "--num_workers",
        0,
        "--device",
        "cpu",
        "--precision",
        "fp32",
    )
    options += ("--localizer", localizer)
    tally.tried(1)
    done = tally.inside("predict", toy / "test", "--run", wrong, *options)
    assert done.status == 0
    rows = coco_rows(out)
    assert {row["status"] for row in rows.values()} == {"no_object"}
    assert read_json(out / "predictions.json") == []
    assert check_no_nan(out) > 10
    for script in (out / "report").rglob("*.js"):
        if "data" in script.as_posix():
            assert "NaN" not in script.read_text(encoding="utf-8")
    for part in (*(out / "localizations").glob("*.parquet"), out / "predictions.parquet"):
        for name in ("score", "x0"):
            table = pq.read_table(part)
            if name in table.column_names:
                assert np.isfinite(table.column(name).drop_null().to_numpy()).all()


@pytest.mark.parametrize("value", [float("nan"), 0.0])
def test_a_network_that_sees_nothing_is_wrong(
    value: float, run: Path, tally: Tally, tmp_path: Path
) -> None:
    """Each image counts, and none is right."""
    wrong = broken(run, tmp_path / "run", value)
    tally.tried(1)
    assert tally.inside("evaluate", wrong, "--device", "cpu", "--num_workers", 0).status == 0
    figures = read_json(wrong / "metrics.json")
    assert figures["num_images"] == 8
    assert figures["max_box_acc_v2"] == 0
    assert figures["gt_known"] == 0


def test_maps_of_anyone(tally: Tally, tmp_path: Path) -> None:
    """Not finite, constant, missing and damaged ones count as wrong beside a good one."""
    good = np.zeros((20, 20), np.float32)
    good[5:15, 5:15] = 1
    maps = {
        "good": good,
        "constant": np.full((20, 20), 0.7, np.float32),
        "zero": np.zeros((20, 20), np.float32),
        "hole": np.where(good > 0, np.nan, 0.5),
        "one hole": np.where(np.eye(20) * good > 0, np.nan, good),
        "endless": np.where(good > 0, np.inf, 0.5),
        "minus endless": np.where(good > 0, 1, -np.inf),
        "huge": good.astype(np.float64) * 1e300 - 1e299,
    }
    (tmp_path / "maps").mkdir()
    for name, values in maps.items():
        np.save(tmp_path / f"maps/{name}.npy", values)
    (tmp_path / "maps/cut.npy").write_bytes((tmp_path / "maps/good.npy").read_bytes()[:200])
    names = [*maps, "cut", "missing"]
    rows = [f"{name}.jpg,crow,5,5,15,15,20,20" for name in names]
    (tmp_path / "boxes.csv").write_text("\n".join(["image,class,x0,y0,x1,y1,width,height", *rows]))
    options = ("--maps", tmp_path / "maps", "--annotations", tmp_path / "boxes.csv")
    tally.tried(len(names) - 1)
    done = tally.inside("evaluate", *options, "--out", tmp_path / "out", "--threshold", 0.5)
    assert done.status == 3
    found = {row["image"]: row for row in read_csv(tmp_path / "out/images.csv")}
    tally.rows([f"{name}.jpg" for name in names], found)
    statuses = {name.removesuffix(".jpg"): row["status"] for name, row in found.items()}
    nothing = dict.fromkeys(
        ("constant", "zero", "hole", "one hole", "endless", "minus endless"), "no_object"
    )
    seen = dict.fromkeys(("good", "huge"), "ok")
    assert statuses == {**seen, **nothing, "cut": "error", "missing": "missing"}
    figures = read_json(tmp_path / "out/metrics.json")
    assert figures["num_images"] == len(names)
    assert figures["max_box_acc_v2"] == pytest.approx(100 * 2 / len(names))
    check_no_nan(tmp_path / "out")


def test_torch_makes_numbers_that_are_none() -> None:
    """The weights of these tests are what they are meant to be."""
    assert torch.full((1,), 1e30).mul(1e30).isinf().all()
