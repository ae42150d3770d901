"""The output folder is tried by any number of processes at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wsol.engine.folder import make_folder


def test_shards_that_begin_together_do_not_meet(tmp_path: Path) -> None:
    """None takes away what another tries the folder with, and nothing stays."""
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(make_folder, [tmp_path / "out"] * 400)) == [None] * 400
    assert list((tmp_path / "out").iterdir()) == []
