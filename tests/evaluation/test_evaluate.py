"""Evaluation against a slow, obvious one, and by several processes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from wsol import Localizer
from wsol.data.loader import Batch, ImageFiles, Key, load_batches
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.errors import ConfigError, DataError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import Located, _ranks, evaluate, score_located
from wsol.evaluation.protocols import WSOLEval
from wsol.maps import iou_curves, scale_boxes
from wsol.maps.normalize import otsu_threshold
from wsol.models import Network
from wsol.runs.run import RunInfo, load_run, save_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

from ..forked import run_distributed

KEYS = [
    "top1_cls",
    "top5_cls",
    "max_box_acc_30",
    "max_box_acc_50",
    "max_box_acc_70",
    "max_box_acc_v2",
    "gt_known",
    "top1_loc",
    "top5_loc",
    "threshold",
    "num_images",
    "num_with_ground_truth",
    "num_error",
    "gt_known_auto",
]


AUTO = 0.29
"""Threshold of class maps that are scaled by Otsu's method."""


def obvious(run: Path, samples: Samples, threshold: float) -> dict[str, float]:
    """Evaluate image by image and threshold by threshold, as the protocol is told in words."""
    network, info = load_run(run)
    thresholds = np.arange(0, 1, 0.001)
    largest, best = np.zeros((len(samples), 1000)), np.zeros((len(samples), 1000))
    known_auto = []
    ranks = []
    for i in range(len(samples)):
        with Image.open(samples.path(i)) as image:
            size = image.size
            small = image.convert("RGB").resize(
                (info.image_size, info.image_size), Image.Resampling.BILINEAR
            )
        pixels = torch.tensor(np.array(small), dtype=torch.float32).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (network.mean, network.std))
        with torch.no_grad():
            output = network((pixels - mean) / std)
        label = int(samples.labels[i])
        ranks.append(int((output.logits[0] > output.logits[0, label]).sum()))
        weight = network.head.linear.weight[label].detach()
        cam = (output.features[0] * weight[:, None, None]).sum(0).numpy()
        cam = cv2.resize(cam, (info.image_size, info.image_size), interpolation=cv2.INTER_CUBIC)
        cam = (cam - cam.min()) / (cam.max() - cam.min())
        grey = (cam * 255).astype(np.uint8)
        ground_truth = [
            [int(v * info.image_size / s) for v, s in zip(box, size * 2, strict=True)]
            for box in samples.boxes[i].tolist()
        ]
        scaled = np.interp(cam, [0, otsu_threshold(cam), 1], [0, 0.5, 1]).astype(np.float32)
        (own,) = iou_curves(scaled, np.array(ground_truth), np.array([AUTO])).largest
        known_auto.append(own >= 0.5)
        for t, value in enumerate(thresholds):
            _, binary = cv2.threshold(grey, int(value * grey.max()), 255, cv2.THRESH_BINARY)
            contours, _ = cv2.findContours(binary, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
            ious = [0.0]
            for contour in sorted(contours, key=cv2.contourArea, reverse=True):
                x, y, w, h = cv2.boundingRect(contour)
                x1, y1 = min(x + w, info.image_size - 1), min(y + h, info.image_size - 1)
                ious.append(max(inclusive_iou((x, y, x1, y1), box) for box in ground_truth))
            largest[i, t], best[i, t] = ious[1 if len(ious) > 1 else 0], max(ious)
    at = round(threshold * 1000)
    known = largest[:, at] >= 0.5
    rank = np.array(ranks)
    return {
        "top1_cls": 100 * np.mean(rank < 1),
        "top5_cls": 100 * np.mean(rank < 5),
        **{
            f"max_box_acc_{level}": 100 * (largest >= level / 100).mean(0).max()
            for level in (30, 50, 70)
        },
        "max_box_acc_v2": np.mean(
            [100 * (best >= level / 100).mean(0).max() for level in (30, 50, 70)]
        ),
        "gt_known": 100 * known.mean(),
        "top1_loc": 100 * np.mean(known & (rank < 1)),
        "top5_loc": 100 * np.mean(known & (rank < 5)),
        "threshold": threshold,
        "num_images": len(samples),
        "num_with_ground_truth": len(samples),
        "num_error": 0,
        "gt_known_auto": 100 * np.mean(known_auto),
    }


def inclusive_iou(a: tuple[int, ...], b: list[int]) -> float:
    """Return the IoU of two boxes by counting shared pixels."""
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return shared / (sum(areas) - shared)


def test_figures_equal_the_slow_evaluation(tiny_run: Path, toy: Path, tmp_path: Path) -> None:
    """Every figure of a run equals the one counted image by image."""
    result = evaluate(
        EvaluateConfig(run=tiny_run, out=tmp_path / "m.json", num_workers=0, device="cpu")
    )
    assert list(result.metrics) == KEYS
    saved = json.loads((tmp_path / "m.json").read_text())
    sources = {"threshold_from": result.threshold_from, "epoch_from": "last"}
    assert saved == result.metrics | sources | {"precision": result.precision}
    expected = obvious(tiny_run, open_data(toy)["test"], load_run(tiny_run)[1].threshold)
    assert result.metrics == pytest.approx(expected)
    best = result.at_best_threshold
    assert best["gt_known"] == result.metrics["max_box_acc_50"]
    assert best["max_box_acc_v2"] == result.metrics["max_box_acc_v2"]


def test_a_run_without_boxes_is_measured_as_it_predicts(
    tiny_run: Path, toy: Path, tmp_path: Path
) -> None:
    """Its boxes are those of each map's own threshold; MaxBoxAcc stays that of fixed ones."""
    options = EvaluateConfig(run=tiny_run, out=tmp_path / "m.json", num_workers=0, device="cpu")
    own = evaluate(options)
    run = shutil.copytree(tiny_run, tmp_path / "run")
    network, info = load_run(run)
    save_run(run, network, replace(info, threshold_from="default"))
    found = evaluate(replace(options, run=run))
    assert (found.threshold_from, found.metrics["threshold"]) == ("auto", AUTO)
    assert found.metrics["gt_known"] == own.metrics["gt_known_auto"]
    assert found.metrics["max_box_acc_v2"] == own.metrics["max_box_acc_v2"]
    assert found.metrics["top1_loc"] <= found.metrics["gt_known"]
    samples = open_data(toy)["test"]
    hits = []
    locate = Localizer(run, device="cpu", scaled_decoding=False)
    for index, result in enumerate(locate(samples.paths())):
        ground_truth = scale_boxes(
            samples.boxes[index], result.original_size, (info.image_size, info.image_size)
        )
        hits.append(
            iou_curves(result.heat_map, ground_truth.astype(int), np.array([AUTO])).largest[0]
        )
    # The class that is predicted is not always the true one, whose maps are measured.
    right = np.array(hits) >= 0.5
    classes = list(locate.likely_labels(samples.paths(), 1))
    is_true = np.array([top[0][0] for top in classes]) == samples.labels
    assert found.metrics["top1_loc"] == pytest.approx(100 * np.mean(right & is_true))


@pytest.mark.parametrize(
    "localizer_options",
    [{}, {"localizer": "gradcam"}, {"localizer": "feature_norm"}, {"flip": True}],
)
def test_the_report_shows_predictions_of_the_same_pass(
    tiny_run: Path,
    toy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    localizer_options: dict[str, Any],
) -> None:
    """The run is loaded and each image decoded once; boxes are those of prediction."""
    loaded: list[Path] = []
    decoded: list[int] = []

    def loading(folder: Path) -> tuple[Network, RunInfo]:
        loaded.append(folder)
        return load_run(folder)

    def reading(files: ImageFiles, keys: Iterable[list[Key]], workers: int) -> Iterator[Batch]:
        batches = list(keys)
        decoded.extend(key.index for batch in batches for key in batch)
        return load_batches(files, batches, workers)

    monkeypatch.setattr("wsol.inference.loading.load_run", loading)
    monkeypatch.setattr("wsol.inference.fitting.load_batches", reading)
    options = EvaluateConfig(
        run=tiny_run, out=tmp_path / "m.json", report=5, batch_size=4, num_workers=0, device="cpu"
    )
    found = evaluate(replace(options, **localizer_options))
    samples = open_data(toy)["test"]
    assert loaded == [tiny_run]
    assert decoded == list(range(len(samples)))
    assert found.page is not None
    text = (found.page.parent / "data/index.js").read_text(encoding="ascii")
    rows = json.loads(text[text.index("(") + 1 : text.rindex(")")])["rows"]
    shown = samples.select([0, 2, 4, 7, 9])
    locate = Localizer(tiny_run, **localizer_options, device="cpu", scaled_decoding=False)
    for row, result in zip(rows, locate(shown.paths(), shown.ids), strict=True):
        assert (row["name"], row["label"]) == (result.image_id, result.class_index)
        assert row["score"] == pytest.approx(result.score)
        boxes = np.array([box[:4] for box in row["boxes"]]).reshape(-1, 4)
        np.testing.assert_allclose(boxes, result.boxes)


def test_a_place_that_cannot_be_written_is_refused_first(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is looked at, which may take hours."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("wsol.evaluation.evaluate.evaluate_split", None)
    config = EvaluateConfig(run=tiny_run, out=tmp_path / "file/m.json", report=0, device="cpu")
    with pytest.raises(ConfigError, match="file: cannot be written"):
        evaluate(config)


def test_batches_and_workers_do_not_change_the_figures(tiny_run: Path, tmp_path: Path) -> None:
    """Batches of one and of all, read here or in workers."""
    config = EvaluateConfig(run=tiny_run, out=tmp_path / "m.json", device="cpu")
    results = [
        evaluate(replace(config, batch_size=size, num_workers=num_workers)).metrics
        for size, num_workers in ((1, 0), (5, 1), (32, 0))
    ]
    assert results[0] == results[1] == results[2]


def test_a_image_that_cannot_be_read_counts_as_wrong(
    tiny_run: Path, toy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The denominator is the annotation list."""
    config = EvaluateConfig(run=tiny_run, out=tmp_path / "m.json", num_workers=0, device="cpu")
    whole = evaluate(config).metrics
    data = shutil.copytree(toy, tmp_path / "data")
    (data / "test/cross/0000.jpg").write_bytes(b"no image")
    broken = evaluate(replace(config, data=data)).metrics
    assert broken["num_images"] == whole["num_images"] == 12
    assert "test/cross/0000.jpg" in caplog.text
    for key in ("top1_cls", "max_box_acc_30", "max_box_acc_v2"):
        assert broken[key] <= whole[key]
    for path in (data / "test").rglob("*.jpg"):
        path.write_bytes(b"no image")
    nothing = evaluate(replace(config, data=data)).metrics
    assert [nothing[key] for key in KEYS[:9]] == [0] * 9


def test_constant_maps_find_nothing(tiny_run: Path, tmp_path: Path) -> None:
    """A network whose head has zero weights is wrong everywhere, without any NaN."""
    network, info = load_run(tiny_run)
    torch.nn.init.zeros_(network.head.linear.weight)
    (tmp_path / "run").mkdir()
    save_run(tmp_path / "run", network, info)
    metrics = evaluate(EvaluateConfig(run=tmp_path / "run", num_workers=0, device="cpu")).metrics
    assert metrics["gt_known"] == metrics["max_box_acc_v2"] == 0


def test_a_map_that_is_constant_up_to_rounding_is_named(
    toy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It ranks no pixel above another, whatever its last bits."""
    samples = open_data(toy)["test"]
    score_map = np.full((32, 32), 0.37, np.float32)
    score_map[0, 0] = np.nextafter(score_map[0, 0], np.float32(1))
    score_located(samples, [WSOLEval(32)], Located(0, (64, 64), 0, score_map))
    assert samples.ids[0] in caplog.text


def test_a_test_folder_may_hold_fewer_classes(tiny_run: Path, toy: Path, tmp_path: Path) -> None:
    """Labels go by name; a class that the run does not know is refused."""
    shutil.copytree(toy / "test/triangle", tmp_path / "data/test/triangle")
    config = EvaluateConfig(
        run=tiny_run, data=tmp_path / "data", out=tmp_path / "m.json", num_workers=0, device="cpu"
    )
    metrics = evaluate(config).metrics
    assert metrics["num_images"] == 3
    assert metrics["max_box_acc_v2"] is None
    network, info = load_run(tiny_run)
    samples = open_data(tmp_path / "data")["test"]
    right = 0
    for i in range(3):
        with Image.open(samples.path(i)) as image:
            small = np.array(
                image.resize((info.image_size, info.image_size), Image.Resampling.BILINEAR)
            )
        pixels = torch.tensor(small).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (network.mean, network.std))
        right += int(network((pixels - mean) / std).logits.argmax()) == 3
    assert metrics["top1_cls"] == pytest.approx(100 * right / 3)
    shutil.copytree(toy / "test/disc", tmp_path / "data/test/hexagon")
    with pytest.raises(DataError, match="hexagon"):
        evaluate(config)


def test_a_missing_split_is_named(tiny_run: Path, tmp_path: Path, toy: Path) -> None:
    """The error names the splits that there are."""
    shutil.copytree(toy / "train", tmp_path / "data/train")
    with pytest.raises(ConfigError, match=r"'test'.*--split train or --split val"):
        evaluate(EvaluateConfig(run=tiny_run, data=tmp_path / "data", device="cpu"))


def test_two_processes_train_and_give_the_figures_of_one(
    tiny: TrainConfig, tiny_options: tuple[str, ...], tmp_path: Path
) -> None:
    """A run trains with torchrun, and its evaluation in two processes equals that in one."""
    out = tmp_path / "run"
    # Not accelerate's launcher, which starts a single process where there is no GPU.
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
    ]
    train_two = [*launch, "-m", "wsol", "train", str(tiny.data), "--out", str(out), *tiny_options]
    subprocess.run(train_two, check=True, capture_output=True)
    evaluate_two = [sys.executable, "-m", "wsol", "evaluate", str(out), "--device", "cpu"]
    evaluate_two += ["--batch_size", "5", "--num_workers", "0"]
    done = run_distributed([*evaluate_two, "--out", str(tmp_path / "two.json")], 2)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("MaxBoxAccV2") == 1
    one = evaluate(EvaluateConfig(run=out, num_workers=0, batch_size=5, device="cpu")).metrics
    expected = one | {"precision": "fp32", "threshold_from": "val", "epoch_from": "last"}
    assert json.loads((tmp_path / "two.json").read_text()) == expected
    rows = (out / "metrics.jsonl").read_text().splitlines()
    assert len(rows) == 1
    # Each process takes half of each batch, and together they see every image of the epoch.
    single = train(replace(tiny, out=tmp_path / "single", epochs=1))
    alone = json.loads((single / "metrics.jsonl").read_text().splitlines()[0])
    assert json.loads(rows[0])["step"] == alone["step"]
    assert json.loads(rows[0])["loss"] == pytest.approx(alone["loss"], rel=0.05)


def test_equal_scores_rank_by_index() -> None:
    """Of classes with one score the lowest index comes first, as argmax has it."""
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0, 0.0]]).repeat(5, 1)
    assert _ranks(logits, torch.arange(5)) == [3, 0, 1, 2, 4]
    assert _ranks(torch.zeros(1, 4), torch.tensor([2])) == [2]
    assert _ranks(torch.tensor([[0.0, torch.nan]]), torch.tensor([0])) == [None]
