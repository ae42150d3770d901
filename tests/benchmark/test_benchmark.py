"""The benchmark: what it measures adds up, and what it says of a bound is so."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.benchmark.benchmark import benchmark
from wsol.benchmark.config import BenchmarkConfig
from wsol.benchmark.stages import (
    ADVICE,
    READING,
    Machine,
    Stage,
    expected_seconds,
    find_bound,
    required_workers,
)
from wsol.cli.main import main
from wsol.data.synthetic.scenes import write_photographs
from wsol.errors import ConfigError, DataError
from wsol.types import BUNDLED_BACKBONE

SMALL = BenchmarkConfig(
    backbone="test_resnet",
    localizer="cam",
    image_size=64,
    batch_size=2,
    max_images=3,
    seconds=0.02,
    precision="fp32",
    device="cpu",
)
OPTIONS = (
    *("--backbone", "test_resnet", "--localizer", "cam", "--image_size", "64", "--batch_size", "2"),
    *(
        "--max_images",
        "3",
        "--seconds",
        "0.02",
        "--precision",
        "fp32",
        "--device",
        "cpu",
        "--num_workers",
        "0",
    ),
)

TRAINING = ["decode", "augment", "forward", "backward"]
PREDICTION = ["decode", "resize", "forward", "localize", "box", "write"]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of three images, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("photographs")
    write_photographs(folder, 3, size=(160, 120))
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no image")
    return folder


def test_all_stages_are_measured(photographs: Path, tmp_path: Path) -> None:
    """Training and prediction come with every stage and a whole, in the file as well."""
    out = tmp_path / "new" / "machine.json"
    jobs = benchmark(replace(SMALL, data=photographs, max_images=9, num_workers=1, out=out))
    assert [job.name for job in jobs] == ["training", "prediction"]
    assert [[stage.name for stage in job.stages] for job in jobs] == [TRAINING, PREDICTION]
    for job in jobs:
        assert [stage.in_worker for stage in job.stages[:3]] == [True, True, False]
        assert all(stage.seconds >= 0 for stage in job.stages)
        assert all(stage.seconds > 0 for stage in job.stages if stage.name in ("decode", "forward"))
        assert job.num_workers == 1
        assert job.measured > 0
        assert job.advice
    found = json.loads(out.read_text())
    assert [job["size"] for job in found["jobs"]] == [64, 64]
    assert found["jobs"][1]["stages"][4]["seconds"] == jobs[1].stages[4].seconds


def test_the_command_prints_a_table_of_each(
    photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each stage, and what bounds the whole."""
    assert main(["benchmark", str(photographs), *OPTIONS]) == 0
    text = capsys.readouterr().out
    for name in TRAINING + PREDICTION:
        assert f"\n {name} " in text
    assert text.count("bound by ") == 2
    assert "training, 64 pixels, fp32" in text


def test_a_run_is_measured_at_its_own_size(tiny_run: Path, photographs: Path) -> None:
    """A run folder says its size, which an option overrides."""
    config = replace(
        SMALL, data=photographs, run=tiny_run, backbone=BUNDLED_BACKBONE, num_workers=0
    )
    assert [job.size for job in benchmark(replace(config, image_size=None))] == [64, 64]
    assert [job.size for job in benchmark(replace(config, image_size=32))] == [32, 32]


def test_a_slow_stage_is_seen(
    photographs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where cutting boxes takes long, it shows there, and nowhere else."""
    from wsol.benchmark import stages as benchmark_prediction

    plain = benchmark_prediction.threshold_map

    def slow(*arguments: object) -> object:
        time.sleep(0.2)
        return plain(*arguments)

    monkeypatch.setattr(benchmark_prediction, "threshold_map", slow)
    _, job = benchmark(replace(SMALL, data=photographs, num_workers=0))
    seconds = {stage.name: stage.seconds for stage in job.stages}
    assert seconds["box"] >= 0.2
    assert job.bound == "box"


def test_images_that_cannot_be_used_are_refused(tmp_path: Path, tiny_run: Path) -> None:
    """A folder without an image that can be read is named."""
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match="contains no readable image"):
        benchmark(replace(SMALL, data=tmp_path))
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(ConfigError, match="exported model"):
        benchmark(replace(SMALL, run=tmp_path / "model.onnx", backbone=BUNDLED_BACKBONE))
    for option, value in (
        ("seconds", 0),
        ("max_images", 0),
        ("num_workers", -1),
        ("batch_size", 0),
    ):
        with pytest.raises(ConfigError, match=option):
            replace(SMALL, **{option: value})


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("reading", [0.0005, 0.004, 0.1])
def test_the_required_workers_keep_the_network_busy(reading: float, shared: bool) -> None:
    """One fewer would make the network wait; more are not faster."""
    machine = Machine(cores=64, shared=shared)
    stages = [Stage("decode", reading, in_worker=True), Stage("forward", 0.004)]
    wanted = required_workers(stages, machine)
    best = expected_seconds(stages, 64, machine)
    assert expected_seconds(stages, wanted, machine) == pytest.approx(best)
    assert find_bound(stages, wanted, machine) == "forward"
    # A fifth of the time is kept free for workers that are late now and then.
    fewer = [Stage("decode", reading / 0.8, in_worker=True), Stage("forward", 0.004)]
    if wanted > 1:
        assert find_bound(fewer, wanted - 1, Machine(64, shared=False)) == READING


def test_every_bound_has_advice() -> None:
    """Whatever may bound a job, there is something to change."""
    main_stages = {*TRAINING[2:], *PREDICTION[2:]}
    assert set(ADVICE) == main_stages | {READING}


def test_generated_images_are_as_large_as_photographs(tmp_path: Path) -> None:
    """Files of 60 to 110 KB, of different images, the same for the same seed."""
    files = write_photographs(tmp_path / "a", 4)
    again = write_photographs(tmp_path / "b", 4)
    contents = [file.read_bytes() for file in files]
    assert contents == [file.read_bytes() for file in again]
    assert len(set(contents)) == 4
    for file in files:
        assert 60_000 < file.stat().st_size < 110_000
        with Image.open(file) as image:
            assert image.size == (500, 375)
            assert 20 < np.asarray(image).std() < 80
