"""Batches come in order, whatever happens to the processes that load them."""

import errno
import logging
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from wsol.data.loader import Batch, ImageFiles, Key, load_batches, split_batches
from wsol.data.transforms import EvalTransform

SIDE = 16


class Deadly(ImageFiles):
    """Image files whose loading ends or stops the process for some of them."""

    def __init__(self, paths: list[Path], deadly: dict[int, int], seconds: float = 0) -> None:
        """Keep which index is ended by which signal after how long; signal 0 hangs."""
        super().__init__(paths, EvalTransform(SIDE))
        self.deadly, self.parent, self.seconds = deadly, os.getpid(), seconds

    def __getitem__(self, key: Key) -> object:
        """Load one image, or die of it."""
        assert os.getpid() != self.parent
        if key.index in self.deadly:
            if not self.deadly[key.index]:
                time.sleep(600)
            time.sleep(self.seconds)
            os.kill(os.getpid(), self.deadly[key.index])
        return super().__getitem__(key)


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Return 23 images, each of a gray of its own."""
    files = [tmp_path / f"{index}.png" for index in range(23)]
    for index, file in enumerate(files):
        Image.new("L", (20, 10), index * 10).save(file)
    return files


def grays(batches: list[Batch]) -> dict[int, int]:
    """Return the gray of each image that was loaded."""
    found: dict[int, int] = {}
    for batch in batches:
        levels: NDArray[np.uint8] = batch.images[:, 0, 0, 0].numpy()
        found |= dict(zip(batch.indices, levels.tolist(), strict=True))
    return found


@pytest.mark.parametrize(
    "deadly",
    [
        {3: signal.SIGKILL, 4: signal.SIGTERM, 5: signal.SIGHUP, 6: signal.SIGUSR1},
        {0: signal.SIGTERM, 22: signal.SIGKILL},
        dict.fromkeys(range(23), signal.SIGKILL),
    ],
)
def test_a_image_that_kills_its_process_is_an_error_and_the_rest_goes_on(
    paths: list[Path], deadly: dict[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    """Each image comes once, in its batch, and the batches in order."""
    before = signal.getsignal(signal.SIGCHLD)
    keys = split_batches(range(23), 4)
    with caplog.at_level(logging.WARNING, "wsol"):
        batches = list(load_batches(Deadly(paths, deadly), keys, num_workers=2))
    assert [
        sorted([*batch.indices, *(index for index, _ in batch.errors)]) for batch in batches
    ] == [[key.index for key in batch] for batch in keys]
    assert grays(batches) == {index: index * 10 for index in range(23) if index not in deadly}
    errors = dict(error for batch in batches for error in batch.errors)
    assert errors.keys() == deadly.keys()
    for index, number in deadly.items():
        assert errors[index].path == paths[index]
        assert signal.Signals(number).name in errors[index].reason
    assert "a worker process crashed" in caplog.text
    assert signal.getsignal(signal.SIGCHLD) is before


def test_a_image_that_hangs_is_an_error(paths: list[Path]) -> None:
    """A process that does not come back is ended."""
    batches = list(
        load_batches(Deadly(paths, {7: 0}), split_batches(range(23), 8), 2, most_seconds=0.5)
    )
    assert grays(batches).keys() == set(range(23)) - {7}
    assert batches[0].errors[0][1].reason.endswith("it was ended by SIGALRM")


def test_the_time_of_a_image_is_its_own(
    paths: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A process that waits until it is wanted again has all the time there is."""
    files = ImageFiles(paths, EvalTransform(SIDE))
    batches = load_batches(files, split_batches(range(23), 4), num_workers=1, most_seconds=3)
    found = [next(batches)]
    time.sleep(4)
    with caplog.at_level(logging.WARNING, "wsol"):
        found += batches
    assert grays(found).keys() == set(range(23))
    assert not caplog.records


def test_a_crash_is_not_raised_where_the_caller_is(paths: list[Path]) -> None:
    """But when the next batch is asked for."""
    files = Deadly(paths, {10: signal.SIGKILL}, seconds=1)
    batches = load_batches(files, split_batches(range(23), 4), 2)
    found = [next(batches)]
    time.sleep(3)
    found += batches
    assert [len(batch.indices) for batch in found] == [4, 4, 3, 4, 4, 3]


def test_processes_that_cannot_be_started_are_an_error(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them has died of an image, so none is tried again."""

    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before = signal.getsignal(signal.SIGCHLD)
    monkeypatch.setattr(os, "fork", refuse)
    files = ImageFiles(paths, EvalTransform(SIDE))
    with pytest.raises(BlockingIOError, match="Resource temporarily unavailable"):
        next(load_batches(files, split_batches(range(23), 4), 2))
    assert signal.getsignal(signal.SIGCHLD) is before


def test_an_error_of_the_code_is_raised(paths: list[Path]) -> None:
    """It is nobody's image that is wrong."""

    class Wrong(ImageFiles):
        def __getitem__(self, key: Key) -> object:
            raise RuntimeError("wrong code")

    with pytest.raises(RuntimeError, match="wrong code"):
        list(load_batches(Wrong(paths, EvalTransform(SIDE)), split_batches(range(23), 4), 2))


def test_workers_do_not_change_batches(paths: list[Path], tmp_path: Path) -> None:
    """Any number of them gives what this process gives, errors too."""
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    files = ImageFiles([*paths, bad], EvalTransform(SIDE))
    keys = split_batches(range(24), 5)
    results = [list(load_batches(files, keys, num_workers)) for num_workers in (0, 1, 2)]
    for batches in results:
        assert grays(batches) == {index: index * 10 for index in range(23)}
        assert [str(error) for batch in batches for _, error in batch.errors] == [
            str(batches[-1].errors[0][1])
        ]
