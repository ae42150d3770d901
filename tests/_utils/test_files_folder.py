"""The output folder is tried by any number of processes at once, and not left behind empty."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from wsol._utils.files import make_folder, output_folder
from wsol.errors import ConfigError
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict


def test_shards_that_begin_together_do_not_meet(tmp_path: Path) -> None:
    """None takes away what another tries the folder with, and nothing stays."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make_folder, [tmp_path / "out"] * 400)) == [None] * 400
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    """Neither one that was there before, nor one that holds something."""
    (tmp_path / "before").mkdir()
    for name in ("before", "written", "empty"):
        with output_folder(tmp_path / name):
            if name == "written":
                (tmp_path / name / "a").touch()
    assert {path.name for path in tmp_path.iterdir()} == {"before", "written"}


def test_a_refused_prediction_leaves_no_folder(tmp_path: Path) -> None:
    """An empty one inside a data set would be a class without images."""
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    config = PredictConfig(images=(tmp_path,), out=tmp_path / "out", labels=("no such class",))
    with pytest.raises(ConfigError):
        predict(config)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"format": ("coco", "foo")}, {"shard": "3/2"}, {"shard": "x"}])
def test_formats_and_shards_are_options_like_others(wrong: dict[str, Any]) -> None:
    """Refused before anything is looked for."""
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PredictConfig(images=(Path("a"),), out=Path("out"), **wrong)
