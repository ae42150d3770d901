"""Images are found once each, in order, without leaving the tree."""

import logging
import os
from pathlib import Path

import pytest

from wsol.data.file_index import IMAGE_SUFFIXES
from wsol.data.images import find_images
from wsol.errors import DataError


def touch(root: Path, *names: str) -> None:
    """Create empty files and return the root."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_sorted_recursive_by_suffix_without_hidden_files(tmp_path: Path) -> None:
    """Images are sorted, found at any depth and by suffix, hidden ones left out."""
    touch(
        tmp_path, "b/2.JPEG", "b/10.jpg", "a.png", "b/c/d/e.TiFf", "notes.txt", "jpg", "b.jpg/x.gif"
    )
    touch(tmp_path, ".a.png", ".cache/a.png", "__MACOSX/._a.png")
    assert find_images(tmp_path) == ["a.png", "b.jpg/x.gif", "b/10.jpg", "b/2.JPEG", "b/c/d/e.TiFf"]


def test_every_suffix_is_found(tmp_path: Path) -> None:
    """Every suffix is found."""
    touch(tmp_path, *(f"image{suffix}" for suffix in IMAGE_SUFFIXES))
    assert len(find_images(tmp_path)) == len(IMAGE_SUFFIXES)


def test_odd_names_survive(tmp_path: Path) -> None:
    """Names of any script, with spaces, line breaks or invalid UTF-8 open again."""
    names = ["日本/鳥.jpg", "a b.jpg", "line\nbreak.jpg", "שלום.jpg", "-rf.jpg", "a,b'\".jpg"]
    touch(tmp_path, *names)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.jpg")).touch()
    found = find_images(tmp_path)
    assert found == sorted([*names, "\udcff\udcfe.jpg"])
    assert all((tmp_path / name).is_file() for name in found)


def test_a_root_that_cannot_be_listed(tmp_path: Path) -> None:
    """A root that cannot be listed is named."""
    touch(tmp_path, "file.jpg")
    for root in (tmp_path / "missing", tmp_path / "file.jpg"):
        with pytest.raises(DataError, match=root.name):
            find_images(root)


def test_links_that_leave_the_tree_need_asking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Links that leave the tree need asking."""
    touch(tmp_path, "in/a.jpg", "out/b.jpg", "out/deep/c.jpg")
    (tmp_path / "in/folder").symlink_to(tmp_path / "out")
    (tmp_path / "in/file.jpg").symlink_to(tmp_path / "out/b.jpg")
    (tmp_path / "in/inside.jpg").symlink_to("a.jpg")
    with caplog.at_level(logging.WARNING, logger="wsol"):
        assert find_images(tmp_path / "in") == ["a.jpg", "inside.jpg"]
    assert sorted(store.args[0] for store in caplog.records) == [
        str(tmp_path / "in/file.jpg"),
        str(tmp_path / "in/folder"),
    ]
    everything = ["a.jpg", "file.jpg", "folder/b.jpg", "folder/deep/c.jpg", "inside.jpg"]
    assert find_images(tmp_path / "in", follow_links=True) == everything


def test_loops_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Links that lead back up, or to themselves, end and are reported."""
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "a/b").symlink_to("../b")
    (tmp_path / "b/a").symlink_to("../a")
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    assert find_images(tmp_path) == ["a/1.jpg", "b/2.jpg"]
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="wsol"):
        found = find_images(tmp_path, follow_links=True)
    assert found == ["a/1.jpg", "a/b/2.jpg", "b/2.jpg", "b/a/1.jpg"]
    assert "leads back" in caplog.text
    assert "self.jpg" in caplog.text


def test_a_root_may_be_a_link(tmp_path: Path) -> None:
    """A root may be a link."""
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "link").symlink_to("real")
    assert find_images(tmp_path / "link") == ["a.jpg"]


def test_a_broken_link_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A broken link is reported."""
    touch(tmp_path, "a.jpg")
    (tmp_path / "broken.jpg").symlink_to("nothing.jpg")
    with caplog.at_level(logging.WARNING, logger="wsol"):
        assert find_images(tmp_path) == ["a.jpg"]
    assert "broken.jpg" in caplog.text


def test_a_very_deep_tree_is_walked(tmp_path: Path) -> None:
    """A very deep tree is walked."""
    deep = "d/" * 1200 + "a.jpg"
    top = os.open(tmp_path, os.O_RDONLY)
    folder = top
    for _ in range(1200):
        os.mkdir("d", dir_fd=folder)
        folder, above = os.open("d", os.O_RDONLY, dir_fd=folder), folder
        os.close(above)
    os.close(os.open("a.jpg", os.O_CREAT, dir_fd=folder))
    os.close(folder)
    found = find_images(tmp_path)
    # Flattened again, as neither rmtree() nor pytest can remove so deep a tree.
    while (tmp_path / "d/d").exists():
        (tmp_path / "d/d").rename(tmp_path / "e")
        (tmp_path / "d").rmdir()
        (tmp_path / "e").rename(tmp_path / "d")
    assert found == [deep]
