"""What tests of annotations share."""

from collections.abc import Callable
from pathlib import Path

import pytest

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return what writes files of a folder from their texts, and returns the folder."""

    def write_files(files: dict[str, str]) -> Path:
        folder = tmp_path / "annotations"
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", newline="")
        return folder

    return write_files
