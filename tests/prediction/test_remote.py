"""Predictions that are written to another file system: whole, once, and gone on with."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wsol.errors import ConfigError
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.results.store import chunk_file

from ..data.s3_stand_in import S3, serve_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Return a stand-in."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with serve_s3() as found:
        yield found


@pytest.fixture
def config(toy: Path, tiny_run: Path, tmp_path: Path) -> PredictConfig:
    """Return the options of a prediction in three parts, into a folder here."""
    return PredictConfig(
        images=[toy / "test"],
        out=tmp_path / "here",
        run=tiny_run,
        chunk_size=4,
        report=3,
        num_workers=0,
        device="cpu",
        precision="fp32",
    )


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder that are not hidden."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def objects_of(s3: S3) -> dict[str, bytes]:
    """Return the objects below ``boxes``."""
    return {
        key.removeprefix("boxes/"): content
        for key, content in s3.objects.items()
        if key.startswith("boxes/") and not key.endswith("/")
    }


@pytest.mark.parametrize("system", ["s3", "file"])
def test_the_same_files_are_there(
    s3: S3, config: PredictConfig, tmp_path: Path, system: str
) -> None:
    """All that is written here is written there, byte for byte, report and all."""
    predict(config)
    there = tmp_path / "there" / "boxes"
    uri = s3.uri("boxes") if system == "s3" else there.as_uri()
    predict(replace(config, out=Path(uri)))
    found = objects_of(s3) if system == "s3" else files_of(there)
    expected = files_of(config.out)
    assert set(found) == set(expected)
    assert {name for name in expected if found[name] != expected[name]} <= {
        # It says when it was made.
        name
        for name in expected
        if name.startswith("report/")
    }
    assert not list(tmp_path.rglob("*.part"))


def test_it_goes_on_where_it_was_stopped(s3: S3, config: PredictConfig) -> None:
    """What was sent stays and is not made again; what makes a record whole is sent last."""
    out = replace(config, out=Path(s3.uri("boxes")), report=0)
    predict(out)
    sent = [line.partition(" ")[2] for line in s3.options if line.startswith("PUT boxes/")]
    assert sent[0] == "boxes/localizations/job.json"
    assert sent[-1] == "boxes/localizations/info.json"
    whole = objects_of(s3)
    kept = chunk_file(Path("boxes"), 0).as_posix()
    for key in [key for key in s3.objects if key.startswith("boxes/")]:
        if key not in (kept, "boxes/localizations/job.json"):
            del s3.objects[key]
    s3.options.clear()
    predict(out)
    assert objects_of(s3) == whole
    assert f"PUT {kept}" not in s3.options
    with pytest.raises(ConfigError, match="threshold "):
        predict(replace(out, threshold=0.5))
    predict(replace(out, threshold=0.5, overwrite=True))
    assert objects_of(s3).keys() == whole.keys()
    assert objects_of(s3) != whole


@pytest.mark.parametrize("system", ["s3", "file"])
def test_folders_are_replaced_as_a_whole(
    s3: S3, config: PredictConfig, toy: Path, tmp_path: Path, system: str
) -> None:
    """As they are here, report and all: no file of another prediction's images stays in them."""
    there = tmp_path / "there" / "boxes"
    uri = s3.uri("boxes") if system == "s3" else there.as_uri()
    first = replace(config, format=("heatmaps", "voc"))
    other = [path for path in sorted(toy.rglob("*.jpg")) if "test" not in path.parts][:5]
    second = replace(config, images=other, format=("csv", "heatmaps"), report=1, overwrite=True)
    for options in (first, second):
        predict(options)
        predict(replace(options, out=Path(uri)))
        found = objects_of(s3) if system == "s3" else files_of(there)
        assert set(found) == set(files_of(config.out))
    assert any(name.startswith("voc/") for name in found)


def test_a_folder_of_others_stays(s3: S3, config: PredictConfig) -> None:
    """What is predicted does too, and the same command goes on when the folder is gone."""
    mine = "boxes/heatmaps/mine.txt"
    s3.objects[mine] = b"work of days"
    out = replace(config, out=Path(s3.uri("boxes")), format=("heatmaps",), report=0)
    with pytest.raises(ConfigError, match="s3://bucket/boxes/heatmaps: was not written by wsol"):
        predict(out)
    assert [key for key in s3.objects if key.startswith("boxes/heatmaps/")] == [mine]
    del s3.objects[mine]
    s3.options.clear()
    predict(out)
    sent = [line.partition(" ")[2] for line in s3.options if line.startswith("PUT boxes/")]
    assert chunk_file(Path("boxes"), 0).as_posix() not in sent
    # Were it stopped before the next, it could go on: the folder is known.
    assert sent[0] == "boxes/heatmaps/images.csv"


def test_a_place_that_takes_nothing_is_one_line(s3: S3, config: PredictConfig) -> None:
    """The line names the place, without keys."""
    s3.is_full = True
    uri = s3.uri("boxes").replace("s3://", "s3://key:hidden@")
    with pytest.raises(ConfigError) as caught:
        predict(replace(config, out=Path(uri)))
    assert str(caught.value).startswith("s3://bucket/boxes: cannot be used: ")
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shards_need_a_folder_that_can_be_locked(s3: S3, config: PredictConfig) -> None:
    """A place elsewhere has no locks, so one process writes to it."""
    with pytest.raises(ConfigError, match="cannot be locked; use --engine ray"):
        predict(replace(config, out=Path(s3.uri("boxes")), shard="1/2"))
    assert not s3.objects
