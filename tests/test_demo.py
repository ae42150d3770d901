"""The demonstration, on fewer and smaller images."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from wsol import demo as module
from wsol.data.file_index import is_output_folder
from wsol.errors import ConfigError
from wsol.methods import MethodConfig
from wsol.methods.adl import Config as ADLConfig
from wsol.training.config import DemoConfig, TrainConfig


def test_the_demo_leaves_runs_boxes_and_images(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both methods are trained and evaluated, and everything promised is on disk."""
    write = module.write_toy

    def small(data: Path, out: Path, method: MethodConfig, seed: int) -> TrainConfig:
        return replace(tiny, data=data, out=out, method=method, seed=seed, epochs=1)

    monkeypatch.setattr(
        module, "write_toy", lambda root, seed: write(root, train=16, val=4, test=8, seed=seed)
    )
    monkeypatch.setattr(module, "demo_adl", lambda: ADLConfig(layers=("layer4",)))
    monkeypatch.setattr(module, "demo_training", small)
    out = tmp_path / "demo"
    results = module.demo(DemoConfig(out=out))
    assert list(results) == ["CAM", "ADL"]
    for name in ("cam", "adl"):
        assert json.loads((out / name / "metrics.json").read_text())["num_images"] == 8
    assert len(json.loads((out / "boxes/annotations.json").read_text())["images"]) == 8
    index = (out / "report/data/index.js").read_text()
    assert index.count('"name":') == 8
    # Its boxes are of predicted classes, the table's of true ones.
    assert '"box_acc_50":' in index
    assert "gt_known" not in index
    assert (out / "overlays/overview.jpg").stat().st_size > 1000
    assert len(list((out / "overlays").iterdir())) == 9
    assert is_output_folder(out)
    assert is_output_folder(out / "overlays")
    with pytest.raises(ConfigError, match="not empty"):
        module.demo(DemoConfig(out=out))
