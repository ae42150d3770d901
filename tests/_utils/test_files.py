"""A file is whole or as it was before, whatever happens while it is written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wsol._utils.files import write_atomically, write_json


def half(part: Path) -> None:
    """Write some bytes, then fail as a full disk does."""
    part.write_bytes(b"half of the new")
    raise OSError(28, "No space left on device")


def nothing(part: Path) -> None:
    """Fail before the first byte."""
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("write", [half, nothing])
@pytest.mark.parametrize("old", [None, "old"])
def test_a_failing_writer_leaves_the_old_file_alone(
    tmp_path: Path, write: Callable[[Path], None], old: str | None
) -> None:
    """After an error the folder has what it had before: the old file, and nothing beside it."""
    file = tmp_path / "a.bin"
    if old is not None:
        file.write_text(old)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, write)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == (
        [] if old is None else [("a.bin", old)]
    )


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    """While the new content is written, readers see the old one."""
    file = tmp_path / "a.txt"
    file.write_text("old")
    seen = []

    def write(part: Path) -> None:
        part.write_text("new")
        seen.append((part.parent, file.read_text()))

    write_atomically(file, write)
    assert seen == [(tmp_path, "old")]
    assert file.read_text() == "new"


def test_content_is_on_disk_before_it_takes_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is synced, then moved, then the folder is synced."""
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        steps.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def move(part: Path, target: Path) -> Path:
        steps.append("move")
        return replace(part, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", move)
    parts: list[str] = []

    def write(part: Path) -> None:
        parts.append(part.name)
        part.write_text("x")

    write_atomically(tmp_path / "a.txt", write)
    assert steps == [f"sync {parts[0]}", "move", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("content", [{"a": [1, None, 0.5], "ü": "日本"}, [], "x"])
def test_json_can_be_read_back(tmp_path: Path, content: object) -> None:
    """What is written is the content, as UTF-8 with a line break at the end."""
    file = tmp_path / "a.json"
    write_json(file, content)
    text = file.read_text(encoding="utf-8")
    assert json.loads(text) == content
    assert text.endswith("\n")


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    """An error in the content is raised before the file is touched."""
    file = tmp_path / "a.json"
    write_json(file, 1)
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """Parts of this file by processes that are gone go away; all others stay."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = tmp_path / f".a[1].txt.{ended.pid}.part"
    kept = [
        tmp_path / f".a1.txt.{ended.pid}.part",
        tmp_path / f".a[1].txt.b.{ended.pid}.part",
        tmp_path / f".a[1].txt.{os.getppid()}.part",
        tmp_path / ".a[1].txt.99999999999999999999.part",
    ]
    for part in (left, *kept):
        part.touch()
    write_json(tmp_path / "a[1].txt", 1)
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "a[1].txt", *kept])
