"""Score maps are matched to images without guessing, and read without trust."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from PIL import Image

from wsol._utils.names import escape_name, safe_path
from wsol.data.score_maps import find_score_maps, load_score_map, usual_shape
from wsol.errors import DataError, ImageError

IDS = ["crow/a.jpg", "crow/b.JPEG", "wren/b.jpg"]


def touch(folder: Path, *names: str) -> Path:
    """Write empty files."""
    for name in names:
        (folder / "maps" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "maps" / name).touch()
    return folder / "maps"


@pytest.mark.parametrize(
    "name", ["crow/a.npy", "crow/a.jpg.npy", "a.npy", "a.jpg.npy", "crow/a.PNG", "a.jpg.png"]
)
def test_the_names_of_a_map(tmp_path: Path, name: str) -> None:
    """With and without the folder, with and without the image's suffix."""
    found = find_score_maps(touch(tmp_path, name), IDS)
    assert (found.files, found.extra) == ((name, None, None), ())


@pytest.mark.parametrize("name", ["b.npy", "x/crow/a.npy", "row/a.npy", "crow/a.jpeg.npy"])
def test_other_names_are_not_guessed(tmp_path: Path, name: str) -> None:
    """A name of two images is refused, one of none is extra."""
    maps = touch(tmp_path, name)
    if name == "b.npy":
        with pytest.raises(DataError, match=r"b\.npy: matches more than one image"):
            find_score_maps(maps, IDS)
    else:
        assert find_score_maps(maps, IDS).extra == (name,)


def test_exported_heat_maps_are_known(tmp_path: Path) -> None:
    """Whether annotations have the images' names or the forms in which COCO's JSON has them."""
    names = ["a%2Eb.jpg", "line\nbreak\\.jpg", "x./\udcff.jpg", "l" * 240 + ".jpg"]
    files = tuple(f"{safe_path(name)}.png" for name in names)
    maps = touch(tmp_path, *files)
    assert find_score_maps(maps, names) == (files, ())
    assert find_score_maps(maps, [escape_name(name) for name in names]) == (files, ())
    # A name with escapes of others' making takes no other image's map.
    assert find_score_maps(touch(tmp_path / "b", "a b.npy"), ["a%20b.jpg", "a b.jpg"]).files == (
        None,
        "a b.npy",
    )


def test_a_whole_name_means_itself(tmp_path: Path) -> None:
    """Even if it is the end of another one, or its stem."""
    maps = touch(tmp_path, "b.npy", "c.jpg.npy", "c.png.npy", "x.npy", "x.y.npy")
    ids = ["crow/b.jpg", "b.jpg", "c.jpg", "c.png", "crow/x.y", "x"]
    assert find_score_maps(maps, ids).files == (
        None,
        "b.npy",
        "c.jpg.npy",
        "c.png.npy",
        "x.y.npy",
        "x.npy",
    )


def test_images_that_differ_in_their_suffix_need_it(tmp_path: Path) -> None:
    """The stem is that of two images."""
    with pytest.raises(DataError, match=r"c\.npy: matches more"):
        find_score_maps(touch(tmp_path, "c.npy"), ["c.jpg", "c.png"])


@pytest.mark.parametrize("second", ["crow/a.png", "a.npy", "crow/a.jpg.npy"])
def test_two_maps_of_one_image_are_refused(tmp_path: Path, second: str) -> None:
    """Both are named."""
    with pytest.raises(DataError, match=r"'crow/a\.jpg' has two maps, '.*' and '.*'") as caught:
        find_score_maps(touch(tmp_path, "crow/a.npy", second), IDS)
    assert repr("crow/a.npy") in str(caught.value)
    assert repr(second) in str(caught.value)


def test_no_maps_are_said_so(tmp_path: Path) -> None:
    """No folder, and a folder with other files."""
    with pytest.raises(DataError, match=r"lost: no such folder"):
        find_score_maps(tmp_path / "lost", IDS)
    with pytest.raises(DataError, match=r"\.npy or \.png"):
        find_score_maps(touch(tmp_path, "crow/a.pt", ".a.npy"), IDS)


@pytest.mark.parametrize(
    ("stored", "read_as"),
    [
        ("float16", "float32"),
        (">f4", "float32"),
        ("uint8", "float32"),
        ("int16", "float32"),
        ("bool", "float32"),
        ("float64", "float64"),
        ("int32", "float64"),
        ("longdouble", "float64"),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_keep_their_values(tmp_path: Path, stored: str, read_as: str, order: str) -> None:
    """Of any real type and order, in a type that holds them."""
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(stored, order=order)
    np.save(tmp_path / "a.npy", values)
    found = load_score_map(tmp_path / "a.npy")
    assert found.dtype == np.dtype(read_as)
    assert found.flags.c_contiguous
    assert found.tolist() == [[0, 1, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((1, 3, 4)), r"has the shape \(1, 3, 4\).*\(height, width\)"),
        (np.zeros(3), "has the shape"),
        (np.zeros((0, 3)), "0 x 3 pixels"),
        (np.zeros((5, 5)), "5 x 5 pixels .* 24"),
        (np.zeros((2, 2), complex), "complex128"),
        (np.zeros((2, 2), "U3"), "array of numbers"),
        (np.array([[{}]]), "object"),
        (np.zeros((2, 2), [("x", "f4")]), "array of numbers"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    """By their header; no object is ever unpickled."""
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(ImageError, match=reason):
        load_score_map(tmp_path / "a.npy", max_pixels=24)


def test_a_header_that_claims_too_much_costs_nothing(tmp_path: Path) -> None:
    """The length of the file is asked before the numbers are read."""
    file = tmp_path / "a.npy"
    np.save(file, np.zeros((4, 5)))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    with pytest.raises(ImageError, match=r"a\.npy: is truncated: 159 of 160 bytes"):
        load_score_map(file)
    file.write_bytes(whole.replace(b"(4, 5), }    ", b"(7000, 7000)}"))
    with pytest.raises(ImageError, match="of 392000000 bytes"):
        load_score_map(file)


def test_files_that_are_none(tmp_path: Path) -> None:
    """Missing, empty, text, and a folder."""
    (tmp_path / "empty.npy").touch()
    (tmp_path / "text.npy").write_text("no map")
    (tmp_path / "folder.npy").mkdir()
    for name in ("lost", "empty", "text", "folder"):
        with pytest.raises(ImageError, match=rf"{name}\.npy: cannot be read as \.npy: .+"):
            load_score_map(tmp_path / f"{name}.npy")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data())
def test_damaged_files_are_errors_or_maps(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever bytes are changed or cut, the answer is a map or the one error."""
    file = tmp_path / "a.npy"
    np.save(file, np.arange(6, dtype=np.float32).reshape(2, 3))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 130))] = data.draw(st.integers(0, 255))
    file.write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        said = f"{file}: {load_score_map(file).ndim}"
    except ImageError as error:
        said = str(error)
    assert said.startswith(f"{file}: ")
    assert "\n" not in said
    assert said != f"{file}: "


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_gray_png(tmp_path: Path, dtype: type, white: int) -> None:
    """8 and 16 bits, white being 1."""
    Image.fromarray(np.array([[0, 51, white]], dtype)).save(tmp_path / "a.png")
    found = load_score_map(tmp_path / "a.png")
    assert found.dtype == np.float32
    assert found.tolist() == [[0, pytest.approx(51 / white), 1]]


def test_other_png_is_refused(tmp_path: Path) -> None:
    """A coloured heat map has lost its scores; a broken file is named."""
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: .*mode RGB"):
        load_score_map(tmp_path / "a.png")
    with pytest.raises(ImageError, match="limit of 5"):
        load_score_map(tmp_path / "a.png", max_pixels=5)
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:44])
    with pytest.raises(ImageError, match=r"a\.png: cannot be decoded"):
        load_score_map(tmp_path / "a.png")


def test_the_usual_shape_is_that_of_the_first_sound_map(tmp_path: Path) -> None:
    """Broken ones are passed over."""
    (tmp_path / "a.npy").touch()
    np.save(tmp_path / "b.npy", np.zeros((2, 3)))
    np.save(tmp_path / "c.npy", np.zeros((4, 5)))
    assert usual_shape(tmp_path / name for name in ("a.npy", "b.npy", "c.npy")) == (2, 3)
    assert usual_shape([tmp_path / "a.npy"]) is None


def test_threads_do_not_parse_headers_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of CPython 3.11's syntax trees only one may be built at a time."""
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 3), np.float32))
    parse, inside, most = npy.read_array_header_1_0, [0], [0]

    def watched(file: BinaryIO) -> object:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.005)
        inside[0] -= 1
        return parse(file)

    monkeypatch.setattr(npy, "read_array_header_1_0", watched)
    with ThreadPoolExecutor(4) as pool:
        shapes = [found.shape for found in pool.map(load_score_map, [path] * 8)]
    assert (most[0], set(shapes)) == (1, {(2, 3)})
