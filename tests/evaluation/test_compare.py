"""A comparison chooses on val, reports on test, and can make the winner the run's own."""

import csv
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.cli.main import main
from wsol.cli.options import read_options
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.errors import ConfigError, DataError
from wsol.evaluation.compare import _images_to_choose_on, _open, compare
from wsol.evaluation.config import CompareConfig, EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.localizers.config import LocalizerConfig
from wsol.prediction.config import PredictConfig
from wsol.runs.run import load_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train


@pytest.fixture
def config(tiny_run: Path, toy: Path, tmp_path: Path) -> CompareConfig:
    """Return options for a run on toy images."""
    return CompareConfig(
        data=toy,
        out=tmp_path / "out",
        run=tiny_run,
        localizers=("feature_norm", "cam*ddt"),
        image_sizes=(64, 96),
        affinities=("none",),
        num_overlays=2,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


def test_rows_are_what_evaluation_says(config: CompareConfig, tmp_path: Path) -> None:
    """Each row's figures are those of wsol evaluate on val and on test, best of val first."""
    rows = compare(config)
    assert len(rows) == 2 * 2 * 2
    assert [row.is_winner for row in rows] == [True] + [False] * 7
    values = [row.val_max_box_acc_v2 for row in rows]
    assert values == sorted(values, reverse=True)
    size = load_run(config.run)[1].image_size
    same = next(
        row
        for row in rows
        if (row.localizer, row.image_size, row.normalization) == ("feature_norm", size, "ivr")
    )
    options = EvaluateConfig(
        run=config.run,
        data=config.data,
        localizer="feature_norm",
        normalization="ivr",
        out=tmp_path / "a.json",
        num_workers=0,
        device="cpu",
    )
    val = evaluate(replace(options, split="val")).at_best_threshold
    assert same.val_max_box_acc_v2 == pytest.approx(val["max_box_acc_v2"], abs=0.006)
    assert same.threshold == val["threshold"]
    test = evaluate(options).metrics
    assert same.max_box_acc_v2 == pytest.approx(test["max_box_acc_v2"], abs=0.006)
    assert same.auto_box_acc_50 == pytest.approx(test["gt_known_auto"], abs=0.006)


def test_files_have_every_row(config: CompareConfig) -> None:
    """As JSON, as CSV, and the same images by each localizer."""
    rows = compare(config)
    saved = json.loads((config.out / "compare.json").read_text())
    with (config.out / "compare.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(saved) == len(table) == len(rows)
    assert [row["localizer"] for row in table] == [row.localizer for row in rows]
    assert saved[0]["is_winner"] is True
    with Image.open(config.out / "compare.jpg") as image:
        assert image.width > image.height / 2


def test_the_winner_becomes_the_runs_own(config: CompareConfig, tmp_path: Path) -> None:
    """Reading, size and threshold; prediction and evaluation then use it."""
    run = tmp_path / "run"
    shutil.copytree(config.run, run)
    winner = compare(replace(config, run=run, affinities=("auto",), save=True))[0]
    info = load_run(run)[1]
    assert info.localizer_config == LocalizerConfig(
        winner.localizer, affinity="auto", normalization=winner.normalization
    )
    assert (info.image_size, info.threshold) == (winner.image_size, winner.threshold)
    figures = evaluate(
        EvaluateConfig(run=run, data=config.data, num_workers=0, device="cpu")
    ).metrics
    assert figures["max_box_acc_v2"] == pytest.approx(winner.max_box_acc_v2, abs=0.006)
    assert figures["gt_known"] == pytest.approx(winner.gt_known, abs=0.006)


def true_boxes(samples: Samples, **options: object) -> Samples:
    """Return pseudo-boxes that are as good as can be, for data that has boxes."""
    return samples


def centre_boxes(samples: Samples, **options: object) -> Samples:
    """Return pseudo-boxes of data without boxes: the same for every image."""
    return replace(samples, boxes=tuple(np.array([[20.0, 20, 100, 100]]) for _ in samples.ids))


def test_pseudo_boxes_take_the_place_of_ground_truth(
    config: CompareConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If they are the ground truth, every choice is the same, and both stand side by side."""
    monkeypatch.setattr("wsol.evaluation.compare.add_pseudo_boxes", true_boxes)
    by_ground_truth = compare(replace(config, num_overlays=0))
    assert {row.threshold_from for row in by_ground_truth} == {"val"}
    assert all(
        row.val_agreement is row.gt_threshold is row.gt_box_acc_50 is None
        for row in by_ground_truth
    )
    rows = compare(replace(config, num_overlays=0, select_by="pseudo_boxes"))
    assert {row.threshold_from for row in rows} == {"pseudo_boxes"}
    assert [row.is_winner for row in rows] == [row.is_gt_winner for row in rows]
    for row in rows:
        assert row.val_agreement == row.val_max_box_acc_v2
        assert row.box_acc_50 == row.gt_known
        assert row.num_with_pseudo_box == row.val_num_with_ground_truth == 8
    best = {row.val_max_box_acc_v2 for row in (rows[0], by_ground_truth[0])}
    assert len(best) == 1
    thresholds = {
        (row.localizer, row.affinity, row.image_size, row.normalization): row.threshold
        for row in by_ground_truth
    }
    for row in rows:
        key = (row.localizer, row.affinity, row.image_size, row.normalization)
        assert row.gt_threshold == thresholds[key]


def test_pseudo_boxes_decide(
    config: CompareConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ground truth does not move the order, and the run says where its threshold is from."""
    monkeypatch.setattr("wsol.evaluation.compare.add_pseudo_boxes", centre_boxes)
    run = tmp_path / "run"
    shutil.copytree(config.run, run)
    options = replace(config, run=run, num_overlays=0, save=True, select_by="pseudo_boxes")
    rows = compare(options)
    agreements = [row.val_agreement for row in rows]
    assert agreements == sorted(agreements, reverse=True)
    assert [row.is_winner for row in rows] == [True] + [False] * 7
    truths = [row.val_max_box_acc_v2 for row in rows]
    assert truths[[row.is_gt_winner for row in rows].index(True)] == max(truths)
    info = load_run(run)[1]
    assert (info.threshold, info.threshold_from) == (rows[0].threshold, "pseudo_boxes")


def test_without_boxes_nothing_is_measured(
    config: CompareConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The rows have an order and no figures by ground truth, whatever splits there are."""
    monkeypatch.setattr("wsol.evaluation.compare.add_pseudo_boxes", centre_boxes)
    plain = tmp_path / "plain"
    shutil.copytree(config.data, plain)
    (plain / "boxes.csv").unlink()
    argv = ["compare", str(plain), "--run", str(config.run), "--out", str(config.out)]
    options = [
        "--localizers",
        "cam",
        "--image_sizes",
        "64,96",
        "--num_workers",
        "0",
        "--device",
        "cpu",
    ]
    assert main([*argv, *options, "--precision", "fp32", "--num_overlays", "1"]) == 0
    saved = json.loads((config.out / "compare.json").read_text())
    assert len(saved) == 2 * 2 * 2
    measured = ("val_max_box_acc_v2", "max_box_acc_v2", "gt_known", "box_acc_50", "gt_box_acc_50")
    assert all(row[name] is None for row in saved for name in measured)
    assert saved[0]["num_with_pseudo_box"] == 8
    printed = capsys.readouterr().out
    assert f"--threshold={saved[0]['threshold']:.3f}" in printed
    with pytest.raises(DataError, match="--select_by"):
        compare(replace(config, data=plain, select_by="ground_truth"))
    with pytest.raises(ConfigError, match="localizers: "):
        replace(config, localizers=())
    with pytest.raises(ConfigError, match="--run"):
        replace(config, run=None, save=True)


def test_images_that_no_network_learned_from_are_chosen_on(
    config: CompareConfig, toy: Path
) -> None:
    """A run's val split; without a run and boxes all training images, up to a limit."""
    splits = open_data(toy, val_fraction=0.1, seed=0)
    plain = {name: replace(samples, boxes=None) for name, samples in splits.items()}
    untrained = replace(config, run=None)
    assert _images_to_choose_on(config, plain).ids == splits["val"].ids
    assert _images_to_choose_on(untrained, plain).ids == splits["train"].ids
    assert _images_to_choose_on(untrained, splits).ids == splits["val"].ids
    with pytest.raises(DataError, match="no train or val split"):
        _images_to_choose_on(untrained, {"test": plain["test"]})


def test_the_command_prints_the_table(
    config: CompareConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row for each way, and where the files are."""
    argv = ["compare", str(config.data), "--run", str(config.run), "--out", str(config.out)]
    options = [
        "--localizers",
        "feature_norm",
        "--image_sizes",
        "64",
        "--normalizations",
        "minmax,max",
    ]
    assert (
        main([*argv, *options, "--num_workers", "0", "--device", "cpu", "--num_overlays", "0"]) == 0
    )
    printed, _, step = capsys.readouterr().out.partition("next, wsol ")
    assert printed.count("feature_norm") == 4
    # In two rows and a heading.
    assert printed.count("auto") == 3
    saved = json.loads((config.out / "compare.json").read_text())[0]
    assert (saved["val_num_with_ground_truth"], saved["num_with_ground_truth"]) == (8, 12)
    assert "8 of val, 12 of test" in printed
    assert "wrote" in printed
    assert "compare.jpg" not in printed
    # The command that it names predicts as the winner does.
    images = str(config.data / "test")
    words = [images if word == "IMAGES" else word for word in shlex.split(step)]
    predicting = read_options("predict", PredictConfig, words[1:], positional="images")
    assert (predicting.run, predicting.localizer, predicting.image_size) == (
        config.run,
        "feature_norm",
        64,
    )
    assert (predicting.affinity or "none") == saved["affinity"]
    assert predicting.normalization == saved["normalization"]
    assert predicting.threshold == pytest.approx(saved["threshold"])


def test_the_runs_own_data_is_compared_as_the_run_has_it(
    config: CompareConfig, tiny: TrainConfig, toy: Path, tmp_path: Path
) -> None:
    """Val is what the run was not trained on, though it is drawn."""
    data = without_val(toy, tmp_path)
    run = train(replace(tiny, out=tmp_path / "run", epochs=1, data=data, seed=5))
    options = replace(
        config, run=run, data=data, localizers=("cam",), image_sizes=(64,), num_overlays=0
    )
    options = replace(options, normalizations=("minmax",))
    (row,) = compare(options)
    val = evaluate(
        EvaluateConfig(run, split="val", out=tmp_path / "m.json", num_workers=0, device="cpu")
    )
    assert row.val_max_box_acc_v2 == pytest.approx(
        val.at_best_threshold["max_box_acc_v2"], abs=0.006
    )
    # Drawn otherwise, they are other images.
    splits = [_open(replace(options, seed=seed))[1]["val"].ids for seed in (None, 5, 0)]
    assert splits[0] == splits[1] != splits[2]


def test_classes_are_numbered_as_the_run_has_them(
    config: CompareConfig, toy: Path, tmp_path: Path
) -> None:
    """A data set with some of them is measured on these; one of another class is refused."""
    some = tmp_path / "some"
    shutil.copytree(toy, some)
    names = sorted({path.name for path in (some / "train").iterdir()})
    for split in ("train", "val", "test"):
        shutil.rmtree(some / split / names[0])
    rows = (some / "boxes.csv").read_text().splitlines()
    (some / "boxes.csv").write_text(
        "\n".join(row for row in rows if f"/{names[0]}/" not in row) + "\n"
    )
    splits = _open(replace(config, data=some))[1]
    assert splits["test"].classes == load_run(config.run)[1].classes
    assert set(splits["test"].labels) == set(range(1, len(names)))
    (some / "test" / names[1]).rename(some / "test" / "stranger")
    (some / "train" / names[1]).rename(some / "train" / "stranger")
    (some / "val" / names[1]).rename(some / "val" / "stranger")
    (some / "boxes.csv").unlink()
    with pytest.raises(DataError, match="was not trained on class 'stranger'"):
        compare(replace(config, data=some))


def test_images_that_cannot_be_read_are_counted(
    config: CompareConfig, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every row, and the command says so by its exit status."""
    data = tmp_path / "data"
    shutil.copytree(toy, data)
    for split in ("val", "test"):
        next((data / split).rglob("*.jpg")).write_bytes(b"none")
    argv = ["compare", str(data), "--run", str(config.run), "--out", str(config.out)]
    options = ["--localizers", "cam", "--image_sizes", "64", "--normalizations", "minmax,max"]
    precision = [
        "--precision",
        "fp32",
        "--num_workers",
        "0",
        "--device",
        "cpu",
        "--num_overlays",
        "0",
    ]
    assert main([*argv, *options, *precision]) == 3
    rows = json.loads((config.out / "compare.json").read_text())
    assert [row["num_error"] for row in rows] == [2] * 4


def without_val(toy: Path, folder: Path) -> Path:
    """Return a copy of a data set whose val images are yet to be drawn, all with a box."""
    copy = folder / "copy"
    shutil.copytree(toy, copy)
    shutil.rmtree(copy / "val")
    rows = [
        f"{path.relative_to(copy).as_posix()},{path.parent.name},{20 + number},30,{90 + number},160"
        for number, path in enumerate(sorted(copy.rglob("*.jpg")))
    ]
    (copy / "boxes.csv").write_text("\n".join(["image,class,x0,y0,x1,y1", *rows]) + "\n")
    return copy
