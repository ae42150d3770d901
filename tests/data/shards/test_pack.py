"""A packed data set is the same data set: in wsol to the last bit, and for other readers."""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from webdataset.autodecode import Decoder, imagehandler
from webdataset.tariterators import group_by_keys, tar_file_iterator

from wsol.cli.main import main
from wsol.data import open_data
from wsol.data.config import PackConfig
from wsol.data.samples import Samples
from wsol.data.shards import pack as packing
from wsol.data.shards.pack import Packed, pack
from wsol.data.synthetic.scenes import write_scenes
from wsol.errors import ConfigError, ImageError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.results.store import PredictionStore
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

ODD = (
    "crow/a.b.jpg",
    "crow/a.jpg",
    "crow/a.png",
    "crow/a~2.jpg",
    "crow/日本 %41.jpg",
    "o/n\nl.gif",
)


def files_of(folder: Path) -> dict[str, str]:
    """Return the digest of each file."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.*")
    }


def assert_same(packed: dict[str, Samples], plain: dict[str, Samples]) -> None:
    """Compare all that a data set says."""
    assert list(packed) == list(plain)
    for one, other in zip(packed.values(), plain.values(), strict=True):
        assert one.ids == other.ids
        assert one.classes == other.classes
        assert one.labels.dtype == other.labels.dtype
        assert np.array_equal(one.labels, other.labels)
        for name in ("boxes", "label_sets", "box_labels"):
            lists = getattr(one, name), getattr(other, name)
            assert (lists[0] is None) == (lists[1] is None)
            for mine, theirs in zip(*(of or () for of in lists), strict=True):
                assert mine.dtype == theirs.dtype
                assert np.array_equal(mine, theirs)


@contextmanager
def odd_names(root: Path) -> Iterator[Path]:
    """Make images whose names are hard to keep, one of them no text."""
    for name in (*(os.fsencode(name) for name in ODD), b"o/\xff.jpg"):
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name)
    yield root


def test_a_packed_data_set_says_the_same(toy: Path, tmp_path: Path) -> None:
    """Of folders with boxes, with and without a val split, and of several labels."""
    write_scenes(tmp_path / "scenes", train=12, test=6, max_objects=3)
    for number, data in enumerate((toy, tmp_path / "scenes")):
        packed = tmp_path / f"packed{number}"
        done = pack(PackConfig(data, packed, shard_size=20_000))
        plain = open_data(data, val_fraction=0.3, seed=3)
        assert_same(open_data(packed, val_fraction=0.3, seed=3), plain)
        assert done.shards == len(list(packed.glob("*.tar"))) > 2
        assert done.images == sum(map(len, plain.values()))
        for split, samples in open_data(packed, val_fraction=0).items():
            assert {path.name.split("-")[0] for path in packed.iterdir()} >= {split}
            assert samples.root == packed


def test_published_splits_of_many_numbered_classes_keep_their_order(tmp_path: Path) -> None:
    """Class 10 comes after class 2, and lists given when packing need not be given again."""
    lines = []
    for number in range(12):
        path = tmp_path / f"data/{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        lines.append(f"{number}.jpg {number}\n")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("".join(reversed(lines)))
    pack(PackConfig(tmp_path / "data", tmp_path / "packed", splits=tmp_path / "lists"))
    plain = open_data(tmp_path / "data", splits=tmp_path / "lists", val_fraction=0)
    assert_same(open_data(tmp_path / "packed", val_fraction=0), plain)
    assert plain["train"].classes[2:] == tuple(map(str, range(2, 12)))


def test_odd_names_come_back(tmp_path: Path) -> None:
    """In wsol as they were, bytes that are no text included; in tar files each its own key."""
    with odd_names(tmp_path / "data") as data:
        pack(PackConfig(data, tmp_path / "packed"))
    plain = open_data(data, val_fraction=0)["train"]
    packed = open_data(tmp_path / "packed", val_fraction=0)
    assert_same(packed, {"train": plain})
    for index, name in enumerate(plain.ids):
        with packing.open_source(packed["train"].path(index)) as file:
            assert file.read() == os.fsencode(name)
    with tarfile.open(tmp_path / "packed/train-000000.tar") as tar:
        names = tar.getnames()
    folders = [name.rpartition("/")[2] for name in names]
    assert all(name.count(".") == 1 and "\n" not in name for name in folders)
    assert len(set(names)) == len(names) == 3 * len(plain)


def test_another_reader_reads_the_shards(toy: Path, tmp_path: Path) -> None:
    """The webdataset package finds each image, its class and what the data set knows of it."""
    pack(PackConfig(toy, tmp_path / "packed", shard_size=50_000))
    samples = open_data(toy)["test"]
    found = []
    for shard in sorted((tmp_path / "packed").glob("test-*.tar")):
        # The package's own way to open files leaves closing them to chance.
        with shard.open("rb") as file:
            members = [each | {"__url__": shard.name} for each in tar_file_iterator(file)]
        decode = Decoder([imagehandler("pil")])
        found += [decode(sample) for sample in group_by_keys(members)]
    assert [each["json"]["id"] for each in found] == list(samples.ids)
    assert [each["cls"] for each in found] == samples.labels.tolist()
    assert [each["json"]["label"] for each in found] == [
        samples.classes[label] for label in samples.labels
    ]
    assert samples.boxes is not None
    assert [each["json"]["boxes"] for each in found] == [each.tolist() for each in samples.boxes]
    assert {each["jpg"].size for each in found} == {(224, 224)}


def test_equal_data_gives_equal_bytes(toy: Path, tmp_path: Path) -> None:
    """Whenever it is packed, and whatever the times of the files; a packed one packs again."""
    pack(PackConfig(toy, tmp_path / "a"))
    os.utime(open_data(toy)["train"].path(0))
    pack(PackConfig(toy, tmp_path / "b"))
    pack(PackConfig(tmp_path / "a", tmp_path / "c"))
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b") == files_of(tmp_path / "c")


def test_training_on_shards_gives_the_same_weights(tiny: TrainConfig, tmp_path: Path) -> None:
    """Bit for bit, with and without workers; so do evaluation and prediction from them."""
    packed = tmp_path / "packed"
    pack(PackConfig(tiny.data, packed, shard_size=30_000))
    plain = train(replace(tiny, out=tmp_path / "plain", epochs=1))
    for num_workers in (0, 2):
        out = tmp_path / str(num_workers)
        train(replace(tiny, out=out, epochs=1, data=packed, num_workers=num_workers))
        for name in ("model.safetensors", "metrics.jsonl"):
            mine, theirs = (out / name).read_text("latin1"), (plain / name).read_text("latin1")
            if name.endswith("jsonl"):
                mine, theirs = (json.loads(text) for text in (mine, theirs))
                mine.pop("images_per_second")
                theirs.pop("images_per_second")
            assert mine == theirs
    figures = [
        evaluate(EvaluateConfig(run, num_workers=0, device="cpu", report=4)).metrics
        for run in (plain, tmp_path / "2")
    ]
    assert figures[0] == figures[1]
    shown = sorted(path.name for path in (tmp_path / "2/report/photos").iterdir())
    assert shown == sorted(path.name for path in (plain / "report/photos").iterdir()) != []
    rows = []
    for folder in (tiny.data, packed):
        out = tmp_path / f"out-{folder.name}"
        config = PredictConfig([folder], out, run=plain, num_workers=2, device="cpu", report=3)
        assert predict(config)["error"] == 0
        assert len(list((out / "report/photos").iterdir())) == 3
        rows.append([(r.image_id, r.boxes.tolist(), r.score) for r in PredictionStore(out)])
    assert rows[0] == rows[1]
    assert len(rows[0]) == 44


def test_the_command_packs_once(
    toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to do next, and leaves what is there alone."""
    out = tmp_path / "packed"
    assert main(["pack", str(toy), "--out", str(out)]) == 0
    assert "44 images" in capsys.readouterr().out
    before = files_of(out)
    assert main(["pack", str(toy), "--out", str(out)]) == 2
    assert str(out) in capsys.readouterr().err
    assert files_of(out) == before
    with pytest.raises(ConfigError, match=r"shard_size: 1 .*10,000"):
        PackConfig(toy, tmp_path / "small", shard_size=1)


def test_a_pack_that_fails_leaves_nothing(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is gone, or a full disk, is one line, and no folder is half there."""
    config = PackConfig(toy, tmp_path / "packed")
    plain = packing.open_data(toy, val_fraction=0)
    lost = {"train": replace(plain["train"], ids=("lost.jpg", *plain["train"].ids[1:]))}

    def find(*args: object, **options: object) -> dict[str, Samples]:
        return lost

    def full(*args: object) -> Packed:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(packing, "open_data", find)
        with pytest.raises(ImageError, match=r"lost\.jpg: no such file"):
            pack(config)
    with monkeypatch.context() as patch:
        patch.setattr(packing, "save_index", full)
        with pytest.raises(ConfigError, match="cannot be written: No space left"):
            pack(config)
    assert list(tmp_path.iterdir()) == []
