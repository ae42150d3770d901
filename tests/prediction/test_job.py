"""A prediction that goes on: nothing twice, nothing lost, nothing of another prediction."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wsol._utils.files import FolderLock
from wsol.cli.main import main
from wsol.errors import ConfigError, ErrorLimitError
from wsol.formats import convert as convert_module
from wsol.prediction import job as plan_module
from wsol.prediction import local
from wsol.prediction.config import PredictConfig, shard_of
from wsol.prediction.inputs import collect
from wsol.prediction.job import STATE, WAIT, _learn
from wsol.prediction.local import create_predictor
from wsol.prediction.predict import predict
from wsol.results.localization import Localization
from wsol.results.store import FOLDER, PredictionStore, chunk_file, is_finished


@pytest.fixture
def config(toy: Path, tiny_run: Path, tmp_path: Path) -> PredictConfig:
    """Return options of a prediction of 24 images in five parts."""
    return PredictConfig(
        images=[toy / "train"],
        out=tmp_path / "boxes",
        run=tiny_run,
        localizer="ddt",
        format=("csv",),
        report=0,
        batch_size=3,
        chunk_size=5,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


def content(out: Path) -> dict[str, str]:
    """Return what a prediction has written."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def stop_after(chunks: int, patch: pytest.MonkeyPatch) -> None:
    """Let a prediction fail when it has written some parts."""
    write, left = local.write_chunk, [chunks]

    def failing(folder: Path, chunk: int, rows: list[dict[str, Any]]) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(folder, chunk, rows)

    patch.setattr(local, "write_chunk", failing)


def test_a_stopped_prediction_goes_on(
    config: PredictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same bytes as one that was not stopped, doing only what is missing."""
    whole = replace(config, out=tmp_path / "whole")
    statuses = predict(whole)
    with monkeypatch.context() as patch:
        stop_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            predict(config)
    assert not is_finished(config.out)
    done = chunk_file(config.out, 1).stat().st_mtime_ns
    assert predict(config) == statuses
    assert chunk_file(config.out, 1).stat().st_mtime_ns == done
    assert content(config.out) == content(whole.out)
    # Once more changes nothing.
    before = chunk_file(config.out, 4).stat().st_mtime_ns
    assert predict(config) == statuses
    assert chunk_file(config.out, 4).stat().st_mtime_ns == before


def test_a_lost_part_is_made_again(config: PredictConfig) -> None:
    """A part is there or not."""
    predict(config)
    before = content(config.out)
    chunk_file(config.out, 3).unlink()
    predict(config)
    assert content(config.out) == before


def test_shards_make_the_same_as_one_process(config: PredictConfig, tmp_path: Path) -> None:
    """In any order; the last one makes the formats."""
    whole = replace(config, out=tmp_path / "whole")
    statuses = predict(whole)
    total = 0
    for shard in ("3/3", "1/3", "2/3"):
        assert not is_finished(config.out)
        total += sum(predict(replace(config, shard=shard)).values())
    assert total == sum(statuses.values())
    assert is_finished(config.out)
    assert content(config.out) == content(whole.out)


def test_more_shards_than_parts_leave_some_without_work(config: PredictConfig) -> None:
    """Which is no error."""
    assert not predict(replace(config, shard="8/8"))
    assert (config.out / FOLDER).is_dir()


def test_a_shard_overwrites_nothing(config: PredictConfig) -> None:
    """Those of the others would be lost."""
    with pytest.raises(ConfigError, match="overwrite: "):
        replace(config, shard="1/2", overwrite=True)


@pytest.mark.parametrize("shard", ["0/8", "9/8", "8", "a/b", "1/0", "-1/8", "/"])
def test_a_shard_is_which_of_how_many(shard: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ConfigError, match="shard: "):
        shard_of(shard, 10)


def test_what_the_localizer_learned_is_kept(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later processes do not learn again, and a file that is none is named."""
    predict(config)
    state = config.out / FOLDER / STATE
    chunk_file(config.out, 0).unlink()
    with monkeypatch.context() as patch:
        patch.setattr("wsol.inference.localizer.fit_localizer", None)
        predict(config)
    state.write_bytes(b"{")
    with pytest.raises(ConfigError, match=f"{STATE}: cannot be read"):
        predict(config)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"threshold": 0.9}, "threshold None, not 0.9"),
        ({"batch_size": 4}, "batch_size 3, not 4"),
        ({"chunk_size": 6}, "chunk_size 5, not 6"),
        ({"localizer": "cam"}, "localizer 'ddt', not 'cam'"),
        ({"precision": "bf16"}, "precision 'fp32', not 'bf16'"),
    ],
)
def test_another_prediction_is_refused(
    config: PredictConfig, changed: dict[str, Any], line: str
) -> None:
    """With what differs; and it can be replaced."""
    predict(config)
    before = content(config.out)
    other = replace(config, **changed)
    with pytest.raises(ConfigError, match=line):
        predict(other)
    assert content(config.out) == before
    predict(replace(other, overwrite=True))
    predict(other)


def test_another_machine_is_refused_where_it_computes_otherwise(
    config: PredictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is best there may not be what the rows were begun with; nor may another version."""
    assert config.run is not None
    # auto is the run's precision where the run knows it, on both machines.
    run = shutil.copytree(config.run, tmp_path / "unknown precision")
    info = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(info | {"precision": None}))
    config = replace(config, run=run, precision="auto")
    for has_bfloat16 in (True, False):
        monkeypatch.setattr("wsol.inference.device.has_bfloat16", lambda _, has=has_bfloat16: has)
        if has_bfloat16:
            predict(config)
    with pytest.raises(ConfigError, match="precision 'bf16', not 'fp32'"):
        predict(config)
    same = replace(config, precision="bf16")
    predict(same)
    with monkeypatch.context() as patch:
        patch.setattr("wsol.prediction.job._device", lambda *_: "gpu")
        with pytest.raises(ConfigError, match="device 'cpu', not 'gpu'"):
            predict(same)
    monkeypatch.setattr("wsol.prediction.job.__version__", "99")
    with pytest.raises(ConfigError, match=r"version '[\d.]+', not '99'"):
        predict(same)


def test_images_that_cannot_be_shown_leave_others_to_be_shown(
    config: PredictConfig, toy: Path, tmp_path: Path
) -> None:
    """Were they all that a localizer is shown; and where none can be read, each has its row."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(40):
        (images / f"{number:02d}.jpg").write_text("no image")
    bad = replace(config, images=[images], out=tmp_path / "bad")
    assert predict(bad) == {"error": 40}
    assert not (bad.out / FOLDER / STATE).exists()
    # None of the sixteen that are taken evenly.
    shutil.copy(next((toy / "test").rglob("*.jpg")), images / "39.jpg")
    assert predict(replace(bad, out=tmp_path / "mixed")) == {"error": 39, "ok": 1}
    # Nothing is lost of a prediction that was begun when nothing could be read.
    chunk_file(bad.out, 7).unlink()
    assert predict(bad) == {"error": 39, "ok": 1}


def test_one_process_learns_and_the_others_wait(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it has, or is gone."""
    (config.out / FOLDER).mkdir(parents=True)
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(config.out / FOLDER), "-learn", "alone"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"held\n"
    waited = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        # To take the lock waits for a moment too.
        if seconds == WAIT:
            other.communicate()

    monkeypatch.setattr("wsol.prediction.job.time.sleep", wait)
    locate = create_predictor(config, collect(config.images))
    _learn(config.out / FOLDER / STATE, collect(config.images), locate)
    assert WAIT in waited
    assert locate.is_fitted
    assert (config.out / FOLDER / STATE).is_file()


def test_other_images_and_another_run_are_refused(
    config: PredictConfig, toy: Path, tmp_path: Path
) -> None:
    """Names count, and so do weights."""
    predict(config)
    with pytest.raises(ConfigError, match=r"other images \(24, now 12\)"):
        predict(replace(config, images=[toy / "test"]))
    renamed = tmp_path / "renamed"
    shutil.copytree(toy / "train", renamed)
    next(renamed.rglob("*.jpg")).rename(renamed / "another.jpg")
    with pytest.raises(ConfigError, match=r"other images \(24, now 24\)"):
        predict(replace(config, images=[renamed]))
    run = tmp_path / "copy"
    run.mkdir()
    assert config.run is not None
    for file in config.run.glob("model.*"):
        (run / file.name).write_bytes(file.read_bytes())
    predict(replace(config, run=run))
    described = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps(described | {"threshold": 0.123}))
    with pytest.raises(ConfigError, match="another run"):
        predict(replace(config, run=run))


def test_a_folder_without_a_plan_is_refused(config: PredictConfig) -> None:
    """It may be anybody's."""
    (config.out / FOLDER).mkdir(parents=True)
    (config.out / FOLDER / "mine.txt").touch()
    with pytest.raises(ConfigError, match=r"localizations: .*--overwrite"):
        predict(config)


HOLD = """
import sys
from pathlib import Path
from wsol._utils.files import FolderLock
with FolderLock(Path(sys.argv[1]), ".wsol-lock" + sys.argv[2], shared=sys.argv[3] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("lock", "kind", "shard", "refused"),
    [
        ("", "alone", "", True),
        ("", "alone", "1/2", True),
        ("", "shared", "", True),
        ("", "shared", "1/2", False),
        ("-1-of-2", "alone", "1/2", True),
        ("-1-of-2", "alone", "2/2", False),
    ],
)
def test_a_second_writer_is_refused(
    config: PredictConfig, lock: str, kind: str, shard: str, refused: bool
) -> None:
    """It is told who is there; shards do not stand in each other's way."""
    predict(config)
    before = content(config.out)
    lock_holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(config.out / FOLDER), lock, kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert lock_holder.stdout is not None
        assert lock_holder.stdout.readline() == b"held\n"
        again = replace(config, shard=shard)
        if refused:
            with pytest.raises(ConfigError, match=f"being written by process {lock_holder.pid} on"):
                predict(again)
            if not shard:
                with pytest.raises(ConfigError, match="being written"):
                    predict(replace(again, overwrite=True))
        else:
            predict(again)
    finally:
        lock_holder.communicate()
    assert content(config.out) == before
    predict(replace(config, shard=shard))


def test_formats_are_left_whole_by_the_same_command(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins while they are written, is refused, and has taken nothing away."""
    config = replace(config, format=("csv", "voc"))
    predict(config)
    whole = content(config.out)
    low, refused = convert_module.without_low_scores, []

    def meanwhile(result: Localization, min_score: float) -> Localization:
        with pytest.raises(ConfigError, match="being written by process") as caught:
            predict(config)
        refused.append(caught.value)
        return low(result, min_score)

    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "without_low_scores", meanwhile)
        predict(config)
    assert len(refused) == 24
    assert content(config.out) == whole


def test_formats_wait_for_who_converts(config: PredictConfig) -> None:
    """That nothing was written is no success."""
    predict(config)
    with (
        FolderLock(config.out),
        pytest.raises(ConfigError, match="boxes: is being written by process"),
    ):
        predict(config)


def test_what_killed_processes_left_is_removed(config: PredictConfig) -> None:
    """A plan that was in the making, a record that was on its way out."""
    for name in ("abc", "def"):
        (config.out / f".{FOLDER}.{name}.part").mkdir(parents=True)
    predict(config)
    assert not list(config.out.glob(f".{FOLDER}.*"))


def test_who_is_second_takes_the_plan_of_the_first(
    config: PredictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its own is removed while it is written."""
    write, begun = plan_module.write_json, []

    def meanwhile(path: Path, content: Any) -> None:
        if not begun:
            begun.append(True)
            predict(config)
            assert not list(config.out.glob(f".{FOLDER}.*"))
        write(path, content)

    monkeypatch.setattr(plan_module, "write_json", meanwhile)
    predict(config)
    assert begun
    assert not list(config.out.glob(f".{FOLDER}.*"))
    assert len(PredictionStore(config.out)) == 24


def test_too_many_errors_end_with_status_4(
    config: PredictConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says so, and with more allowed the same command goes on."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(6):
        (images / f"{number}.jpg").write_text("no image")
    good = next((config.images[0]).rglob("*.jpg"), None) or next(config.images[0].rglob("*.png"))
    (images / f"a{good.suffix}").write_bytes(good.read_bytes())
    given = replace(config, images=[images], max_errors=5)
    with pytest.raises(ErrorLimitError, match="6 unreadable images"):
        predict(given)
    # Five of them are in the part that was written.
    with pytest.raises(ErrorLimitError, match="6 unreadable images"):
        predict(given)
    arguments = ["predict", str(images), "--out", str(config.out), "--run", str(config.run)]
    arguments += ["--localizer", "ddt", "--format", "csv", "--report", "0", "--batch_size", "3"]
    arguments += [
        "--chunk_size",
        "5",
        "--num_workers",
        "0",
        "--precision",
        "fp32",
        "--device",
        "cpu",
    ]
    capsys.readouterr()
    assert main([*arguments, "--max_errors", "5"]) == 4
    assert capsys.readouterr().err.count("wsol: error:") == 1
    assert main([*arguments, "--max_errors", "6"]) == 3
    assert len(PredictionStore(config.out)) == 7
