"""``wsol evaluate --maps`` gives the figures of the published evaluator, from files alone."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsol.cli.main import main

Recording = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def recorded(parity: Path) -> Recording:
    """Return maps, ground truth and answers."""
    with np.load(parity / "wsolevaluation_evaluator.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def root(recorded: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write maps, and wsolevaluation's metadata with boxes and with masks."""
    root = tmp_path_factory.mktemp("maps")
    ids = [f"val/{name}/{i}.JPEG" for i, name in enumerate(recorded["names"].tolist())]
    boxes = recorded["gt_boxes_flat"].tolist()
    counts = recorded["gt_boxes_count"].tolist()
    box_rows, mask_rows = [], []
    for i, name in enumerate(ids):
        path = root / "scoremaps" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        # As the published code writes them.
        np.save(path, recorded["maps"][i].astype(np.float32))
        own = boxes[sum(counts[:i]) :][: counts[i]]
        box_rows += [",".join(map(str, (name, *box))) for box in own]
        for kind, value in (("object", 1), ("ignore", 255)):
            image = Image.fromarray(recorded["masks"][i] == value)
            (root / "masks" / kind).mkdir(parents=True, exist_ok=True)
            image.save(root / "masks" / kind / f"{i}.png")
        mask_rows.append(f"{name},object/{i}.png,ignore/{i}.png")
    for kind, rows in (("boxes", box_rows), ("openimages", mask_rows)):
        folder = root / kind
        folder.mkdir()
        files = {
            "image_ids.txt": ids,
            "class_labels.txt": [f"{name},{i % 4}" for i, name in enumerate(ids)],
            "image_sizes.txt": [f"{name},224,224" for name in ids] if kind == "boxes" else [],
            "localization.txt": rows,
        }
        for file, lines in files.items():
            (folder / file).write_text("".join(f"{line}\n" for line in lines))
    return root


def test_boxes(recorded: Recording, root: Path) -> None:
    """MaxBoxAcc at each level, MaxBoxAccV2, and the whole curve of both rules."""
    argv = ["evaluate", "--maps", str(root / "scoremaps"), "--annotations", str(root / "boxes")]
    assert main([*argv, "--normalize", "false", "--out", str(root / "out")]) == 0
    figures = json.loads((root / "out/metrics.json").read_text())
    largest = recorded["largest/interval_0.001/max_box_acc_30_50_70"]
    multi = recorded["multi/interval_0.001/max_box_acc_30_50_70"]
    found = [figures[f"max_box_acc_{level}"] for level in (30, 50, 70)]
    np.testing.assert_allclose(found, largest, rtol=1e-14)
    np.testing.assert_allclose(figures["max_box_acc_v2"], multi.mean(), rtol=1e-14)
    curve = np.loadtxt(root / "out/curve.csv", delimiter=",", skiprows=1)
    for columns, rule in ((slice(1, 4), "largest"), (slice(4, 7), "multi")):
        ious = recorded[f"{rule}/interval_0.001/best_iou"]
        shares = [100 * (ious >= level / 100).mean(0) for level in (30, 50, 70)]
        np.testing.assert_allclose(curve[:, columns], np.transpose(shares), atol=1e-6)


def test_masks(recorded: Recording, root: Path) -> None:
    """PxAP, with masks and pixels to ignore in separate files."""
    argv = ["evaluate", "--maps", str(root / "scoremaps"), "--masks", str(root / "masks")]
    argv += ["--annotations", str(root / "openimages"), "--normalize", "false"]
    assert main([*argv, "--out", str(root / "out-masks")]) == 0
    figures = json.loads((root / "out-masks/metrics.json").read_text())
    assert figures["pxap"] == pytest.approx(float(recorded["pxap/interval_0.001"]), rel=1e-11)
