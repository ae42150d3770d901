"""What the commands write is told from images, wherever it is put."""

from dataclasses import replace
from pathlib import Path

import pytest

from wsol.data.config import PackConfig
from wsol.data.file_index import is_output_folder
from wsol.data.images import find_images
from wsol.data.open import open_data
from wsol.data.shards.pack import pack
from wsol.data.synthetic.toy import write_toy
from wsol.distillation.config import DistillConfig
from wsol.distillation.distill import distill
from wsol.evaluation.compare import compare
from wsol.evaluation.config import CompareConfig, EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.formats import list_formats
from wsol.formats.convert import convert
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.reports.config import ReportConfig
from wsol.reports.report import report
from wsol.results.store import PredictionStore
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

QUICK = {"num_workers": 0, "device": "cpu", "precision": "fp32"}


def test_all_outputs_inside_a_data_folder_are_passed_over(
    tiny_run: Path, toy: Path, tmp_path: Path
) -> None:
    """The data set and the images are what they were before."""
    data = tmp_path / "data"
    write_toy(data, train=4, val=2, test=2)
    before = find_images(data)
    evaluate(EvaluateConfig(tiny_run, data=data, out=data / "m.json", report=2, num_workers=0))
    boxes = data / "test/boxes"
    predict(PredictConfig([data], boxes, run=tiny_run, report=4, save_overlays=True, **QUICK))
    report(ReportConfig(boxes, data / "train/shown"))
    for name in list_formats():
        (data / "train" / name).mkdir()
        convert(PredictionStore(boxes), data / "train" / name, [name])
    (data / "train/all").mkdir()
    convert(PredictionStore(boxes), data / "train/all", list_formats())
    compare(
        CompareConfig(
            data,
            data / "train/compared",
            run=tiny_run,
            localizers=("cam",),
            image_sizes=(64,),
            affinities=("none",),
            num_overlays=1,
            **QUICK,
        )
    )
    distill(DistillConfig(tiny_run, data / "train/distilled", data=data, epochs=1, **QUICK))
    pack(PackConfig(data, data / "train/packed"))
    assert find_images(data) == before
    assert open_data(data)["train"].classes == open_data(toy)["train"].classes
    for name in (
        "test/boxes",
        "report",
        "train/shown",
        "train/compared",
        "train/distilled",
        "train/packed",
    ):
        assert is_output_folder(data / name)


def test_a_run_inside_its_data_folder_goes_on(
    tiny: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is evaluated, by relative paths as they are typed."""
    data = tmp_path / "data"
    write_toy(data, train=8, val=2, test=2)
    monkeypatch.chdir(data / "train")
    config = replace(tiny, data=Path(), out=Path("run"), epochs=1)
    train(config)
    train(replace(config, resume=True))
    assert (
        evaluate(EvaluateConfig(Path("run"), split="val", num_workers=0)).metrics["num_images"] > 0
    )


def test_a_prediction_into_its_own_input_goes_on(tiny_run: Path, tmp_path: Path) -> None:
    """Its images stay the same, overlays and report included."""
    write_toy(tmp_path / "toy", train=4, val=2, test=2)
    folder = tmp_path / "toy/test"
    config = PredictConfig([folder], folder, run=tiny_run, report=2, save_overlays=True, **QUICK)
    first = predict(config)
    assert predict(config) == first
