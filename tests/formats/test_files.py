"""Folders of files: whole or not there, and nothing of others is lost."""

from pathlib import Path

import pytest

from wsol.errors import ConfigError
from wsol.formats import PredictionInfo, create_writer
from wsol.formats._files import AtomicFolder
from wsol.results.localization import Localization

FOLDERS = ("cvat", "heatmaps", "labelstudio", "masks", "voc", "yolo")


def test_a_folder_is_there_when_it_is_whole(tmp_path: Path) -> None:
    """Before the end it is hidden; a writer that is given up leaves nothing."""
    folder = AtomicFolder(tmp_path, "voc")
    folder.path("a/b.txt").write_text("b")
    assert not (tmp_path / "voc").exists()
    folder.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]
    assert (tmp_path / "voc/a/b.txt").read_text() == "b"
    folder = AtomicFolder(tmp_path, "voc")
    folder.path("c.txt").touch()
    del folder
    assert sorted(path.name for path in tmp_path.iterdir()) == ["voc"]
    assert not (tmp_path / "voc/c.txt").exists()


def test_to_begin_one_disturbs_no_other(tmp_path: Path) -> None:
    """A process that only asks what is in its way leaves to another what it writes there."""
    folder = AtomicFolder(tmp_path, "voc")
    folder.path("a.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    asking = AtomicFolder(tmp_path, "voc")
    assert sorted(tmp_path.rglob("*")) == before
    del asking
    folder.path("b.txt").touch()
    folder.close()
    assert {path.name for path in (tmp_path / "voc").iterdir()} == {"a.txt", "b.txt", "images.csv"}


def test_an_earlier_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """No label of images that are gone stays."""
    for name in ("old.jpg", "new.jpg"):
        writer = create_writer("voc", tmp_path, PredictionInfo(("crow",), tmp_path, 0.2))
        writer.add(Localization(name, (4, 4)))
        writer.close()
    assert [path.name for path in (tmp_path / "voc/Annotations").iterdir()] == ["new.xml"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    """Its hidden folder does not end up in the new one, nor does it stay."""
    # Linux numbers processes up to 4194304.
    (tmp_path / ".voc.4194305.part/Annotations").mkdir(parents=True)
    (tmp_path / ".voc.4194305.part/Annotations/old.xml").touch()
    AtomicFolder(tmp_path, "voc").close()
    assert [path.name for path in (tmp_path / "voc").iterdir()] == ["images.csv"]
    assert [path.name for path in tmp_path.iterdir()] == ["voc"]


def test_a_kill_between_two_moves_loses_no_folder(tmp_path: Path) -> None:
    """The old one is put back when the next is written, or gives way to it."""
    old = tmp_path / ".voc.old"
    old.mkdir()
    (old / "images.csv").write_text("old")
    folder = AtomicFolder(tmp_path, "voc")
    folder.path("new.txt").touch()
    folder.close()
    assert [path.name for path in tmp_path.iterdir()] == ["voc"]
    assert sorted(path.name for path in (tmp_path / "voc").iterdir()) == ["images.csv", "new.txt"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_others_is_not_touched(tmp_path: Path, name: str) -> None:
    """It is said before anything is written."""
    mine = tmp_path / name / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("work of days")
    with pytest.raises(ConfigError, match=f"{name}: was not written by wsol"):
        create_writer(name, tmp_path, PredictionInfo(("crow",), tmp_path, 0.2))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
