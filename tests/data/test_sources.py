"""Images come from files, or from whatever else has their bytes."""

import pickle
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from PIL import Image

from wsol.data.images import load_image, read_image_size
from wsol.data.loader import ImageFiles, load_batches, split_batches
from wsol.data.sources import Content, name_of, open_source
from wsol.data.transforms import EvalTransform
from wsol.errors import ImageError


def jpeg(width: int = 40, height: int = 30) -> bytes:
    """Return an image's bytes."""
    file = BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(file, "jpeg")
    return file.getvalue()


class Broken:
    """A source on a machine that is out of reach."""

    def __str__(self) -> str:
        """Return its name."""
        return "far/a.jpg"

    def open(self) -> BinaryIO:
        """Fail as a network does."""
        raise ConnectionResetError(104, "connection reset")


def test_bytes_are_decoded_as_a_file_is(tmp_path: Path) -> None:
    """The same pixels and size, whether from a file, a path as text or from memory."""
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg())
    source = Content("a.jpg", jpeg())
    images = [np.asarray(load_image(each)) for each in (file, str(file), source)]
    assert all(np.array_equal(images[0], each) for each in images)
    assert read_image_size(source) == read_image_size(file) == (40, 30)
    with open_source(file) as loaded:
        assert loaded.read() == open_source(source).read()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_sources_go_to_worker_processes(num_workers: int) -> None:
    """A batch of sources, one of them out of reach, is a batch with one error."""
    files = ImageFiles(
        [Content("a.jpg", jpeg()), Broken(), Content("c.jpg", b"")], EvalTransform(32)
    )
    (batch,) = load_batches(files, split_batches(range(3), 3), num_workers)
    assert batch.indices == [0]
    assert [str(error) for _, error in batch.errors] == [
        "far/a.jpg: cannot be opened: [Errno 104] connection reset",
        "c.jpg: the file is empty",
    ]


def test_a_source_is_named_and_sent(tmp_path: Path) -> None:
    """Messages have its text; a path stays one."""
    source = Content("a.jpg", b"12")
    assert pickle.loads(pickle.dumps(source)) == source
    assert name_of(source) == "a.jpg"
    assert name_of(tmp_path) == tmp_path
    assert "12" not in repr(source)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Folders, missing files and impossible names are errors of the image."""
    for path, reason in (
        (tmp_path, "is a folder"),
        (tmp_path / "no", "no such file"),
        (Path("/dev/null"), "not a regular file"),
        ("a\0b", "cannot be opened"),
    ):
        with pytest.raises(ImageError, match=reason):
            open_source(path)
