"""One writer at a time, and none that a dead process keeps out."""

import errno
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wsol._utils.files import NAME, FolderLock, HeldError, check_free
from wsol.errors import ConfigError

HOLDER = """
import os, sys, time
from pathlib import Path
from wsol._utils.files import FolderLock
lock = FolderLock(Path(sys.argv[1]))
if os.fork() == 0:
    # It has given up what it was born with.
    print("held", flush=True)
time.sleep(60)
"""

MAX_ATTEMPTS = """
import sys, time
from pathlib import Path
from wsol.errors import ConfigError
from wsol._utils.files import FolderLock
folder, taken, both = Path(sys.argv[1]), 0, 0
end = time.monotonic() + 1
while time.monotonic() < end:
    try:
        with FolderLock(folder):
            taken += 1
            try:
                (folder / "inside").touch(exist_ok=False)
                (folder / "inside").unlink()
            except OSError:
                both += 1
    except ConfigError:
        pass
print(taken, both)
"""


def test_the_second_is_refused_and_told_who_is_first(tmp_path: Path) -> None:
    """By process and host, also where it only asks; afterwards the folder is free and empty."""
    first = rf"being written by process {os.getpid()} on '{socket.gethostname()}'"
    with FolderLock(tmp_path):
        with pytest.raises(ConfigError, match=first):
            FolderLock(tmp_path)
        with pytest.raises(ConfigError, match=first):
            check_free(tmp_path)
        assert (tmp_path / NAME).exists()
    check_free(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with FolderLock(tmp_path) as again:
        again.release()
        again.release()
        with FolderLock(tmp_path):
            again.release()
            assert (tmp_path / NAME).exists()


def test_a_kill_frees_the_folder_at_once(tmp_path: Path) -> None:
    """Even where a process that was forked from the killed one lives on."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError, match=f"process {process.pid} on"):
        FolderLock(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    try:
        with FolderLock(tmp_path):
            pass
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.stdout.close()


def test_two_never_hold_one_folder(tmp_path: Path) -> None:
    """Though its file is removed and made again all the time."""
    attempts = [
        subprocess.Popen(
            [sys.executable, "-c", MAX_ATTEMPTS, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    counts = [list(map(int, process.communicate(timeout=60)[0].split())) for process in attempts]
    assert sum(taken for taken, _ in counts) > 10
    assert [both for _, both in counts] == [0, 0, 0]


def test_a_shared_lock_keeps_out_exclusive_locks(tmp_path: Path) -> None:
    """As long as anybody has it."""
    with FolderLock(tmp_path, shared=True) as one:
        with FolderLock(tmp_path, shared=True):
            one.release()
            with pytest.raises(HeldError):
                FolderLock(tmp_path)
            with FolderLock(tmp_path, shared=True):
                pass
            with pytest.raises(HeldError):
                FolderLock(tmp_path)
        with FolderLock(tmp_path), pytest.raises(HeldError):
            FolderLock(tmp_path, shared=True)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_that_begins_while_the_last_one_ends_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who removes the lock has it alone for a moment, which is waited for."""
    ending = FolderLock(tmp_path)
    waited = []

    def end(seconds: float) -> None:
        waited.append(seconds)
        ending.release()

    monkeypatch.setattr("time.sleep", end)
    with FolderLock(tmp_path, shared=True):
        assert len(waited) == 1
        assert waited[0] < 1
        assert (tmp_path / NAME).exists()


def test_the_lock_of_a_folder_created_again_stays(tmp_path: Path) -> None:
    """Who held the folder that was there before, and moved it away, has no part in it."""
    folder = tmp_path / "boxes"
    folder.mkdir()
    with FolderLock(folder):
        folder.rename(tmp_path / "old")
        folder.mkdir()
        other = FolderLock(folder)
    with pytest.raises(HeldError):
        FolderLock(folder)
    other.release()
    assert list(folder.iterdir()) == []


def test_a_file_system_without_locks_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Work goes on."""

    def none(_lock: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with FolderLock(tmp_path):
        assert "does not support locks" in caplog.text


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """As other commands do."""
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        FolderLock(tmp_path / "missing")
    (tmp_path / NAME).mkdir()
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"):
        FolderLock(tmp_path)
