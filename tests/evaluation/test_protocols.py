"""The protocol of ADL's authors, against the libraries that they used."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from wsol.cli.main import main
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.runs.run import load_run, save_run


def inclusive_iou(a: tuple[int, ...], b: list[int]) -> float:
    """Return the IoU of two boxes by counting shared pixels."""
    wide = min(a[2], b[2]) - max(a[0], b[0]) + 1
    high = min(a[3], b[3]) - max(a[1], b[1]) + 1
    shared = max(wide, 0) * max(high, 0)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return shared / (sum(areas) - shared)


def obvious_adl2019(run: Path, samples: Samples) -> dict[str, float]:
    """Evaluate image by image with the libraries of ADL's authors."""
    network, info = load_run(run)
    side = info.image_size + 32
    thresholds = [0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35]
    right, known = [], []
    for i in range(len(samples)):
        with Image.open(samples.path(i)) as image:
            size = image.size
            large = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR)
        crop = np.array(large.crop((16, 16, 16 + info.image_size, 16 + info.image_size)))
        pixels = torch.tensor(crop, dtype=torch.float32).permute(2, 0, 1)[None] / 255
        mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (network.mean, network.std))
        with torch.no_grad():
            output = network((pixels - mean) / std)
        label = int(samples.labels[i])
        right.append(int(output.logits.argmax()) == label)
        weight = network.head.linear.weight[label].detach()
        cam = (output.features[0] * weight[:, None, None]).sum(0).numpy()
        cam = cv2.resize(cam, (info.image_size, info.image_size)).astype(float)
        cam -= cam.min()
        coloured = mpl.colormaps["cubehelix"](cam / cam.max())[..., :3] * 255
        gray = cv2.cvtColor(coloured.astype(np.uint8), cv2.COLOR_RGB2GRAY)
        ground_truth = [
            int(v * side / s - 16)
            for v, s in zip(samples.boxes[i][0].tolist(), size * 2, strict=True)
        ]
        known.append([])
        for threshold in thresholds:
            _, cut = cv2.threshold(gray, int(gray.max() * threshold), 255, cv2.THRESH_TOZERO)
            contours, _ = cv2.findContours(cut, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
            x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
            known[-1].append(inclusive_iou((x, y, x + w, y + h), ground_truth) >= 0.5)
    known, right = np.array(known), np.array(right)
    return {
        "top1_cls": 100 * right.mean(),
        "num_images": len(samples),
        "num_with_ground_truth": len(samples),
        "num_error": 0,
        **{
            f"gt_known_at_{value:.2f}": 100 * known[:, t].mean()
            for t, value in enumerate(thresholds)
        },
        **{
            f"top1_loc_at_{value:.2f}": 100 * (known[:, t] & right).mean()
            for t, value in enumerate(thresholds)
        },
    }


def test_the_protocol_of_adls_authors_equals_their_libraries(
    tiny_run: Path, toy: Path, tmp_path: Path
) -> None:
    """Every metric at every threshold, in a separate file."""
    network, info = load_run(tiny_run)
    # Weights of either sign make maps whose boxes depend on the threshold, and half of the crop is
    # a true box that some of them find.
    torch.manual_seed(2)
    torch.nn.init.normal_(network.head.linear.weight)
    save_run(tmp_path, network, info)
    header, *rows = (toy / "boxes.csv").read_text().splitlines()
    boxes = tmp_path / "boxes.csv"
    halves = [
        ",".join([*row.split(",")[:2], "37.5", "37.5", "186.5", str(96 + 2 * i)])
        for i, row in enumerate(rows)
    ]
    boxes.write_text("\n".join([header, *halves]) + "\n")
    config = EvaluateConfig(
        run=tmp_path, boxes=boxes, protocol="adl2019", num_workers=0, device="cpu"
    )
    result = evaluate(config)
    written = json.loads((tmp_path / "metrics-adl2019.json").read_text())
    more = {"precision": "fp32", "threshold_from": "protocol", "epoch_from": "last"}
    assert written == result.metrics | more
    expected = obvious_adl2019(tmp_path, open_data(toy, boxes=boxes)["test"])
    assert result.metrics.keys() == expected.keys() | {"top5_cls"}
    assert {key: result.metrics[key] for key in expected} == pytest.approx(expected)
    known = [result.metrics[f"gt_known_at_{t:.2f}"] for t in np.arange(0.05, 0.36, 0.05)]
    # Images that tell thresholds and images apart.
    assert len(set(known)) > 1
    assert list(result.columns) == ["0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]
    assert [column["gt_known"] for column in result.columns.values()] == known
    best = max(column["top1_loc"] for column in result.columns.values())
    assert result.at_best_threshold["top1_loc"] == best
    assert result.threshold_from == "protocol"


def test_the_protocol_of_adls_authors_takes_the_first_true_box(
    tiny_run: Path, toy: Path, tmp_path: Path
) -> None:
    """A second box that would always be hit changes nothing for it, and all for wsoleval."""
    header, *rows = (toy / "boxes.csv").read_text().splitlines()
    more = [",".join([*row.split(",")[:2], "1", "1", "60", "60"]) for row in rows]
    figures = {}
    for name, lines in {"one": [header, *rows], "two": [header, *rows, *more]}.items():
        file = tmp_path / f"{name}.csv"
        file.write_text("\n".join(lines) + "\n")
        for protocol in ("wsoleval", "adl2019"):
            config = EvaluateConfig(run=tiny_run, boxes=file, protocol=protocol, num_workers=0)
            out = tmp_path / "metrics.json"
            figures[name, protocol] = evaluate(replace(config, out=out, device="cpu")).metrics
    assert figures["one", "adl2019"] == figures["two", "adl2019"]
    assert figures["one", "wsoleval"] != figures["two", "wsoleval"]


def test_the_protocol_of_adls_authors_requires_class_activation_maps(tiny_run: Path) -> None:
    """Another localizer is refused before anything is measured."""
    with pytest.raises(ConfigError, match=r"gradcam.*adl2019.*--localizer cam"):
        evaluate(
            EvaluateConfig(run=tiny_run, protocol="adl2019", localizer="gradcam", device="cpu")
        )
    # They looked at images as they are.
    for other in ({"flip": True}, {"affinity": "layer2"}, {"scales": (1.0, 2.0)}):
        config = EvaluateConfig(run=tiny_run, protocol="adl2019", device="cpu", **other)
        with pytest.raises(ConfigError, match="no other localizer option"):
            evaluate(config)


def test_the_command_prints_a_column_for_each_threshold(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table has the metrics of the file, which may be in another folder."""
    out = tmp_path / "m.json"
    options = ["--protocol", "adl2019", "--out", str(out), "--num_workers", "0", "--device", "cpu"]
    assert main(["evaluate", str(tiny_run), *options]) == 0
    metrics = json.loads(out.read_text())
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    thresholds = ["0.05", "0.10", "0.15", "0.20", "0.25", "0.30", "0.35"]
    assert thresholds in lines
    known = [f"{metrics[f'gt_known_at_{threshold}']:.1f}" for threshold in thresholds]
    assert ["GT-known", "Loc", *known] in lines
