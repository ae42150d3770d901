"""Folders that wsol has written are told from folders of images."""

from pathlib import Path

import pytest

from wsol.data.file_index import OTHER_SUFFIXES, find_files, is_output_folder
from wsol.data.images import find_images


def touch(root: Path, *names: str) -> Path:
    """Create empty files and return the root."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


@pytest.mark.parametrize(
    "files",
    [
        ("run/model.json", "run/model.safetensors", "run/report/a.jpg"),
        ("boxes/localizations/job.json", "boxes/overlays/000001_a.jpg"),
        ("report/index.html", "report/data/index.js", "report/photos/a.jpg"),
        ("cmp/compare.json", "cmp/compare.csv", "cmp/compare.jpg"),
        ("demo/data/boxes.csv", "demo/cam/config.yaml", "demo/adl/config.yaml", "demo/data/a.jpg"),
        ("packed/index.parquet", "packed/train-000000.tar", "packed/a.jpg"),
    ],
)
def test_outputs_below_a_folder_are_skipped(
    tmp_path: Path, files: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """With a line that names each; given as the folder itself, an output is looked through."""
    touch(tmp_path, "a.jpg", "deep/b.jpg", *(f"deep/{name}" for name in files))
    assert find_images(tmp_path) == ["a.jpg", "deep/b.jpg"]
    output = tmp_path / "deep" / Path(files[0]).parts[0]
    assert str(output) in caplog.text
    assert is_output_folder(output)
    assert find_files(output, {".jpg", ".json", ".html", ".csv", ".parquet"})


@pytest.mark.parametrize(
    ("name", "content", "is_one"),
    [
        ("images.csv", '"image_id","file","status","error"\n', True),
        ("images.csv", "id,url\n", False),
        ("predictions.csv", '"image_id","width","height","status","error"\n', True),
        ("predictions.csv", "image,label\n", False),
        ("config.yaml", "data: /birds\nout: run\n", True),
        ("config.yaml", "lr: 0.1\n", False),
        ("model.json", "{}", False),
        ("boxes.csv", "image,class,x0,y0,x1,y1\n", False),
    ],
)
def test_usual_names_count_by_how_they_begin(
    tmp_path: Path, name: str, content: str, is_one: bool
) -> None:
    """Somebody else's file of that name hides no images."""
    touch(tmp_path, "sub/a.jpg")
    (tmp_path / "sub" / name).write_text(content)
    assert is_output_folder(tmp_path / "sub") == is_one
    assert find_images(tmp_path) == ([] if is_one else ["sub/a.jpg"])


def test_overlays_of_a_prediction_into_its_own_input_are_skipped(tmp_path: Path) -> None:
    """A folder of that name elsewhere is one of images."""
    touch(tmp_path, "a.jpg", "overlays/000001_a.jpg")
    assert len(find_images(tmp_path)) == 2
    touch(tmp_path, "localizations/job.json")
    assert find_images(tmp_path) == ["a.jpg"]


def test_images_of_other_kinds_are_counted_by_suffix(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line; files that are no images are not mentioned."""
    touch(tmp_path, "a.jpg", "b.JXL", "deep/c.jxl", "d.cr2", "README", "notes.txt", ".e.jxl")
    (tmp_path / "IMG_1").write_bytes(b"\xff\xd8\xff\xe0" + bytes(60))
    assert find_images(tmp_path) == ["a.jpg"]
    lines = [store.getMessage() for store in caplog.records]
    assert len(lines) == 1
    assert all(text in lines[0] for text in (str(tmp_path), "2 .jxl", "1 .cr2", "1 without"))
    assert ".txt" not in lines[0]
    assert ".jxl" in OTHER_SUFFIXES


def test_a_folder_that_cannot_be_looked_into_is_none(tmp_path: Path) -> None:
    """What it holds is not known, and its name may be too long for the system."""
    assert not is_output_folder(tmp_path / ("a" * 300))
