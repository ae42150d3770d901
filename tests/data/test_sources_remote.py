"""Images on other file systems: found and read, over real HTTP to a stand-in of S3."""

import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from wsol._utils.names import is_uri, shown, uri_of
from wsol.data import sources as remote
from wsol.data.file_index import IMAGE_SUFFIXES, NamedFiles
from wsol.data.images import load_image
from wsol.data.sources import RemoteFile, index_remote
from wsol.data.synthetic.toy import toy_images
from wsol.errors import DataError, ImageError

from .s3_stand_in import S3, serve_s3

NAMES = ("a.png", "sub/b&<c>.PNG", "sub/deep/日本 1.png", "sub/100%25.png", "z.png")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    """Return a stand-in that asks for keys, but does not look at them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with serve_s3() as found:
        yield found


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of images with odd names, and of files that are to be left out."""
    images = toy_images(len(NAMES), seed=1)
    for name, image in zip(NAMES, images, strict=True):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.image.save(path, "png")
    for name in (".hidden.png", ".cache/a.png", "notes.txt"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no")
    return tmp_path / "photos"


@pytest.fixture(params=["s3", "file"])
def uri(request: pytest.FixtureRequest, s3: S3, photos: Path) -> str:
    """Return the same folder on two file systems."""
    s3.add(photos, "2026/photos")
    # Folders whose names begin in the same way are others.
    s3.objects["2026/photos-old/x.png"] = b"no"
    return s3.uri("2026/photos") if request.param == "s3" else photos.as_uri()


def test_the_same_files_are_found_and_read_as_here(uri: str, photos: Path) -> None:
    """Names, their order and all pixels are those of the folder on this machine's disk."""
    names = index_remote(uri, IMAGE_SUFFIXES)
    assert sorted(names) == sorted(NAMES)
    assert list(names) == list(names.sorted())
    for name, file in zip(names, NamedFiles(names, partial(RemoteFile, uri)), strict=True):
        assert load_image(file).tobytes() == load_image(photos / name).tobytes()
        assert load_image(pickle.loads(pickle.dumps(file))).size == load_image(photos / name).size


def test_what_is_missing_or_too_large_is_one_images_error(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of a file on disk."""
    with pytest.raises(ImageError, match=r"^gone\.png: no such file$"):
        load_image(RemoteFile(uri, "gone.png"))
    monkeypatch.setattr(remote, "MOST_BYTES", 10)
    with pytest.raises(ImageError, match=r"^a\.png: [\d,]+ bytes"):
        load_image(RemoteFile(uri, "a.png"))


def test_what_may_not_be_read_is_one_images_error(s3: S3, photos: Path) -> None:
    """The reason is that of the file system."""
    s3.add(photos, "photos")
    s3.forbidden.add("photos/a.png")
    with pytest.raises(ImageError, match=r"^a\.png: cannot be opened: .*ACCESS_DENIED"):
        load_image(RemoteFile(s3.uri("photos"), "a.png"))


@pytest.mark.parametrize("name", ["no", "photos/a.png"])
def test_a_folder_that_is_none_is_refused(s3: S3, photos: Path, name: str) -> None:
    """In one line, without the keys that a URI may have."""
    s3.add(photos, "photos")
    uri = s3.uri(name).replace("s3://", "s3://key:secret@")
    with pytest.raises(DataError) as caught:
        index_remote(uri, IMAGE_SUFFIXES)
    assert str(caught.value) == f"s3://bucket/{name}: no such folder; check the URI"


@pytest.mark.parametrize("uri", ["s3://?", "gs:///", "file://elsewhere/photos", "hdfs://no:1/a"])
def test_a_place_that_cannot_be_reached_is_one_line(uri: str) -> None:
    """Whatever the library says."""
    with pytest.raises(DataError) as caught:
        index_remote(uri, IMAGE_SUFFIXES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a/b?scheme=http", "gs://bucket", "file:///a b", "hdfs://host:1/a"]
)
def test_a_uri_survives_being_a_path(uri: str) -> None:
    """Options have it as a path, which takes out a slash."""
    assert is_uri(Path(uri))
    assert uri_of(Path(uri)) == uri_of(uri) == uri


def test_other_paths_are_none() -> None:
    """Nor is a name on the Hub, or a file with a colon."""
    for path in ("photos", "/s3/photos", "hf:owner/name", "s3:photos", "a/s3://b", "C:/photos"):
        assert not is_uri(path)
    assert shown("s3://a:b@bucket/c?d=e") == "s3://bucket/c"


def test_outputs_and_other_kinds_are_left_out_of_remote_folders_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the same rules as on this machine's disks, each with a line."""
    for name in ("a.jpg", "b.jxl", "deep/c.jpg", "deep/run/report/d.jpg", "boxes/images/e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("deep/run/model.json", "deep/run/model.safetensors"):
        (tmp_path / name).touch()
    (tmp_path / "boxes/localizations").mkdir()
    (tmp_path / "boxes/localizations/job.json").touch()
    assert list(index_remote(tmp_path.as_uri(), {".jpg"})) == ["a.jpg", "deep/c.jpg"]
    assert all(text in caplog.text for text in ("deep/run", "boxes", "1 .jxl"))
