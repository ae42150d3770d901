"""The record: everything that goes in comes out, and half a record is refused."""

import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from wsol.errors import ConfigError, DataError, ImageError
from wsol.maps import boxes_at
from wsol.maps.normalize import grey_levels
from wsol.results.localization import Localization, PredictionInfo
from wsol.results.store import (
    CHUNK_SIZE,
    FOLDER,
    INFO,
    PredictionStore,
    PredictionWriter,
    chunk_file,
    decode_map,
    encode_map,
    is_finished,
)


def write(folder: Path, results: list[Localization], images: Path = Path("photos")) -> None:
    """Write results as a record."""
    writer = PredictionWriter(
        folder, PredictionInfo(("crow\n", "日本"), images, 0.2, "multiple", "a network")
    )
    for result in results:
        writer.add(result)
    writer.close()


def example(name: str, seed: int = 0) -> Localization:
    """Return a result with a map and several boxes."""
    rng = np.random.default_rng(seed)
    return Localization(
        image_id=name,
        original_size=(640, 480),
        label="日本",
        class_index=1,
        score=float(rng.random()),
        heat_map=rng.random((7, 9), np.float32),
        boxes=rng.random((3, 4)) * 100,
        box_scores=rng.random(3),
        box_labels=np.array([1, 0, 1]),
    )


def test_a_localization_survives_whole(tmp_path: Path) -> None:
    """Every field, with odd names."""
    names = ["a b.jpg", "日本/=1.jpg", "x\n\udcff%41.jpg"]
    write(tmp_path, [example(name, seed) for seed, name in enumerate(names)])
    store = PredictionStore(tmp_path)
    assert store.info == PredictionInfo(
        ("crow\n", "日本"), Path("photos").absolute(), 0.2, "multiple", "a network"
    )
    for seed, (name, found) in enumerate(zip(names, store, strict=True)):
        expected = example(name, seed)
        for field in ("image_id", "original_size", "label", "class_index", "score", "status"):
            assert getattr(found, field) == getattr(expected, field)
        for field in ("boxes", "box_scores", "box_labels"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
        np.testing.assert_array_equal(grey_levels(found.heat_map), grey_levels(expected.heat_map))


def test_errors_and_images_without_objects_have_their_rows(tmp_path: Path) -> None:
    """No row is lost."""
    error = ImageError("a.jpg", "the file is empty")
    nothing = Localization("b.jpg", (8, 6), "日本", 1, 0.5, np.zeros((4, 4), np.float32))
    write(tmp_path, [Localization("a.jpg", error=error), nothing])
    first, second = PredictionStore(tmp_path)
    assert (first.status, str(first.error)) == ("error", "a.jpg: the file is empty")
    assert (second.status, second.heat_map.shape) == ("no_object", (4, 4))


def test_shards_come_in_order_and_an_older_record_is_gone(tmp_path: Path) -> None:
    """Several files read as one."""
    names = [f"{number}.jpg" for number in range(2 * CHUNK_SIZE + 3)]
    write(tmp_path, [Localization(name, (1, 1)) for name in names])
    assert [result.image_id for result in PredictionStore(tmp_path)] == names
    assert len(list((tmp_path / FOLDER).glob("*.parquet"))) == 3
    write(tmp_path, [Localization("new.jpg", (1, 1))])
    assert [result.image_id for result in PredictionStore(tmp_path)] == ["new.jpg"]


def test_a_record_that_is_rewritten_is_not_whole_meanwhile(tmp_path: Path) -> None:
    """Whatever it was before: a kill leaves nothing that could be taken for a record."""
    info = PredictionInfo(("crow",), tmp_path, 0.2)
    PredictionWriter(tmp_path, info).close()
    assert is_finished(tmp_path)
    writer = PredictionWriter(tmp_path, info)
    assert not is_finished(tmp_path)
    with pytest.raises(DataError):
        PredictionStore(tmp_path)
    writer.close()
    assert is_finished(tmp_path)


@settings(max_examples=50)
@given(
    arrays.arrays(np.float32, (6, 7), elements=st.floats(0, 1, width=32)),
    st.integers(0, 19),
)
def test_boxes_of_a_recorded_map_are_those_of_the_map(heat_map: np.ndarray, step: int) -> None:
    """Eight bits are all that boxes see."""
    recorded = decode_map(encode_map(heat_map))
    np.testing.assert_array_equal(boxes_at(recorded, step / 20), boxes_at(heat_map, step / 20))


def test_moved_images_are_found_where_they_are_now(tmp_path: Path) -> None:
    """A folder given instead wins."""
    write(tmp_path, [example("a/1.jpg")])
    store = PredictionStore(tmp_path, images=Path("/new"))
    assert store.info.path(next(iter(store))) == Path("/new/a/1.jpg")


def test_a_folder_without_a_whole_record_is_refused(tmp_path: Path) -> None:
    """What a kill leaves is no record."""
    with pytest.raises(DataError, match="no finished prediction"):
        PredictionStore(tmp_path)
    write(tmp_path, [example("a.jpg")])
    (tmp_path / FOLDER / INFO).write_text("{")
    with pytest.raises(DataError, match=r"info\.json: cannot be read"):
        PredictionStore(tmp_path)


def test_a_cut_shard_is_named(tmp_path: Path) -> None:
    """The line says which file."""
    write(tmp_path, [example("a.jpg")])
    shard = chunk_file(tmp_path, 0)
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DataError, match=r"chunk-000000\.parquet: cannot be read"):
        list(PredictionStore(tmp_path))


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    """With how far it came; a file that may not grow is as good as a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(ConfigError, match=r"cannot be written: .*File too large"):
            write(tmp_path, [example("a.jpg"), example("b.jpg")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert not list(tmp_path.rglob("*.part"))
