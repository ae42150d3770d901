"""Images in tar files are read in place, and hostile or damaged ones do no harm."""

import io
import json
import pickle
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wsol.data import find_images, load_image
from wsol.data.archives import LARGEST
from wsol.data.config import PackConfig
from wsol.data.loader import ImageFiles, load_batches, split_batches
from wsol.data.open import open_data
from wsol.data.shards.pack import pack
from wsol.data.shards.reader import ShardMember, find_member, is_sharded
from wsol.data.sources import open_source
from wsol.data.transforms import EvalTransform
from wsol.errors import ConfigError, DataError, ImageError


def image(level: int = 0) -> bytes:
    """Return the bytes of a small image."""
    file = io.BytesIO()
    Image.new("L", (4, 4), level).save(file, "png")
    return file.getvalue()


def write_tar(path: Path, files: Mapping[str, bytes | str]) -> None:
    """Write a tar file; a text is the target of a link."""
    with tarfile.TarFile(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a folder of two shards of ten classes as WebDataset's writers make them."""
    root = tmp_path / "foreign"
    root.mkdir()
    for split, count in (("train", 22), ("validation", 11)):
        files: dict[str, bytes] = {}
        for number in range(count):
            files[f"{number:06}.png"] = image(number)
            files[f"{number:06}.cls"] = b"%d" % (number % 11)
            files[f"{number:06}.txt"] = b"a caption"
        write_tar(root / f"birds-{split}-0000.tar", files)
    (root / "_info.json").write_text("{}")
    return root


def test_shards_of_others_are_a_data_set(foreign: Path) -> None:
    """Classes are numbered as numbers are, splits go by name, and images open by their path."""
    splits = open_data(foreign)
    assert list(splits) == ["train", "val"]
    train = splits["train"]
    assert train.classes == tuple(map(str, range(11)))
    assert train.labels.tolist() == [number % 11 for number in range(22)]
    assert train.ids[3] == "birds-train-0000/000003.png"
    assert [load_image(train.path(i)).getpixel((0, 0))[0] for i in (0, 7, 21)] == [0, 7, 21]
    assert find_images(foreign) == sorted(train.ids + splits["val"].ids)
    names = sorted(path.name for path in foreign.iterdir())
    assert names == ["_info.json", "birds-train-0000.tar", "birds-validation-0000.tar"]


def test_labels_come_from_json_then_cls_then_the_folder(tmp_path: Path) -> None:
    """One sample of each kind; images of one sample share its label."""
    files = {
        "x/a.jpg": image(),
        "x/a.json": b'{"label": "crow"}',
        "x/a.cls": b"7",
        "x/b.left.jpg": image(),
        "x/b.right.jpg": image(),
        "x/b.cls": b"wren\n",
        "x/c.jpg": image(),
        "x/c.json": b"{broken",
    }
    write_tar(tmp_path / "all.tar", files)
    train = open_data(tmp_path, val_fraction=0)["train"]
    labels = [train.classes[label] for label in train.labels]
    assert dict(zip(train.ids, labels, strict=True)) == {
        "all/x/a.jpg": "crow",
        "all/x/b.left.jpg": "wren",
        "all/x/b.right.jpg": "wren",
        "all/x/c.jpg": "x",
    }


def test_images_without_a_class_are_found_but_no_data_set(tmp_path: Path) -> None:
    """They can be predicted, and --labels can say what they are."""
    write_tar(tmp_path / "photos.tar", {"a.jpg": image(), "b.jpg": image()})
    assert find_images(tmp_path) == ["photos/a.jpg", "photos/b.jpg"]
    with pytest.raises(DataError, match=r"photos\.tar: a\.jpg .*--labels"):
        open_data(tmp_path)
    (tmp_path / "list.csv").write_text("image,label\na.jpg,crow\nphotos/b.jpg,wren\n")
    train = open_data(tmp_path, labels=tmp_path / "list.csv")["train"]
    assert (train.ids, train.labels.tolist()) == (("photos/a.jpg", "photos/b.jpg"), [0, 1])


@pytest.mark.parametrize("names", [["./crow", "./wren"], ["."], [".//crow", "wren//"]])
def test_images_open_however_tar_was_told_of_them(tmp_path: Path, names: list[str]) -> None:
    """Names of members may begin with `./` or hold `//`; ids are paths."""
    data, root = tmp_path / "data", tmp_path / "shards"
    root.mkdir()
    for level, name in enumerate(("crow/a.png", "wren/b.png")):
        (data / name).parent.mkdir(parents=True)
        (data / name).write_bytes(image(level))
    subprocess.run(["tar", "-C", data, "-cf", root / "x.tar", *names], check=True)
    train = open_data(root, val_fraction=0)["train"]
    assert set(train.ids) == {"x/crow/a.png", "x/wren/b.png"}
    assert train.classes == ("crow", "wren")
    for level, name in enumerate(("crow/a.png", "wren/b.png")):
        assert load_image(root / "x" / name).getpixel((0, 0))[0] == level


@pytest.mark.parametrize("search", [False, True])
def test_the_folder_may_be_the_one_that_one_is_in(
    foreign: Path, monkeypatch: pytest.MonkeyPatch, search: bool
) -> None:
    """Paths in it do not begin with it."""
    monkeypatch.chdir(foreign)
    monkeypatch.setattr("wsol.data.shards.reader._opened", {})
    path = Path("birds-train-0000/000003.png")
    if not search:
        assert path.as_posix() in find_images(".")
    for name in (path, str(path), *([f"./{path}"] if search else [])):
        part = find_member(name, search=search)
        assert part is not None
        assert (part.name, part.open().read()) == (str(path), image(3))


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png", "a/../../secret.png", "C:/a.png"])
def test_names_that_lead_out_are_passed_over(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither listed nor written, with a line in the log; the sound ones stay."""
    root = tmp_path / "shards"
    root.mkdir()
    before = (tmp_path / "secret.png", image(200))
    before[0].write_bytes(before[1])
    write_tar(root / "a.tar", {name: image(1), "crow/a.png": image(2)})
    assert find_images(root) == ["a/crow/a.png"]
    assert "skipped" in caplog.text
    assert before[0].read_bytes() == before[1]
    assert [path.name for path in root.iterdir()] == ["a.tar"]


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    """A link to a file of this machine is no way to read it."""
    root = tmp_path / "shards"
    root.mkdir()
    secret = tmp_path / "secret.png"
    secret.write_bytes(image(200))
    write_tar(root / "a.tar", {"crow/l.png": str(secret), "crow/a.png": image(2)})
    with tarfile.TarFile(root / "a.tar", "a") as tar:
        for kind, name in ((tarfile.LNKTYPE, "h"), (tarfile.CHRTYPE, "c"), (tarfile.FIFOTYPE, "f")):
            info = tarfile.TarInfo(f"crow/{name}.png")
            info.type, info.linkname = kind, "../secret.png"
            tar.addfile(info)
    assert find_images(root) == ["a/crow/a.png"]
    with pytest.raises(ImageError, match="no such file"):
        open_source(root / "a/crow/l.png")


def test_a_shard_that_is_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Unless that is asked for."""
    root = tmp_path / "shards"
    root.mkdir()
    write_tar(tmp_path / "far.tar", {"crow/a.png": image()})
    (root / "near.tar").symlink_to(tmp_path / "far.tar")
    with pytest.raises(DataError, match="no images"):
        open_data(root)
    assert open_data(root, follow_links=True)["train"].ids == ("near/crow/a.png",)


@pytest.mark.parametrize("how", ["cut", "gzip", "header", "huge"])
def test_a_damaged_shard_is_named(foreign: Path, how: str) -> None:
    """One clear line, in little time and memory."""
    shard = foreign / "birds-train-0000.tar"
    content = shard.read_bytes()
    if how == "cut":
        shard.write_bytes(content[:20_000])
    elif how == "gzip":
        import gzip

        shard.write_bytes(gzip.compress(content))
    elif how == "header":
        shard.write_bytes(content[:5000] + b"\xff" * 1000 + content[6000:])
    else:
        info = tarfile.TarInfo("././@PaxHeader")
        info.type, info.size = tarfile.XHDTYPE, 2**40
        with shard.open("wb") as file:
            file.write(info.tobuf(tarfile.GNU_FORMAT))
            file.truncate(2**40 + 512)
    with pytest.raises(DataError, match=r"birds-train-0000\.tar"):
        open_data(foreign)


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return a packed data set with boxes."""
    rows = ["image,class,x0,y0,x1,y1"]
    for name in ("crow/a.png", "crow/b.png", "wren/c.png"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(image(ord(name[5])))
        rows.append(f"{name},{name[:4]},0,1,3,4")
    (tmp_path / "data/boxes.csv").write_text("\n".join(rows))
    pack(PackConfig(tmp_path / "data", tmp_path / "packed"))
    return tmp_path / "packed"


def test_a_cut_shard_is_seen_before_a_training(packed: Path) -> None:
    """As is a missing one."""
    shard = packed / "train-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"train-000000\.tar: has 10,239 bytes instead of 10,240"):
        open_data(packed)
    shard.rename(packed / "other.tar")
    with pytest.raises(DataError, match=r"train-000000\.tar: is missing"):
        open_data(packed)


def test_a_damaged_index_is_named(packed: Path) -> None:
    """Whatever byte of it is lost, it is an error of one kind or still a sound index."""
    file = packed / "index.parquet"
    content = file.read_bytes()
    for place in range(0, len(content), 37):
        file.write_bytes(content[:place])
        with pytest.raises(DataError, match=r"index\.parquet: not a valid index"):
            open_data(packed)
    flipped = 0
    for place in range(0, len(content), 11):
        file.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            open_data(packed)
        except DataError as error:
            flipped += str(packed) in str(error)
    assert flipped > 20


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("offset", [-1, 0, 0], "outside its shard"),
        ("offset", [0, 0, 2**62], "outside its shard"),
        ("size", [0, 0, 2**62], "outside its shard"),
        ("shard", [0, 0, 9], "out of bounds"),
        ("label", [0, 0, 7], "labels must lie in"),
        ("id", [b"a", b"a", b"b"], "duplicate images"),
        ("split", ["train", "test", "train"], "the splits are mixed"),
        ("boxes", [[0.0, 0, 1, float("nan")], [], []], "a box is not valid"),
        ("boxes", [[0.0, 0, 1], [], []], "reshape"),
    ],
)
def test_a_wrong_index_is_refused(
    packed: Path, column: str, values: list[object], reason: str
) -> None:
    """It may come from anywhere, so nothing in it is believed."""
    import pyarrow as pa

    table = pq.read_table(packed / "index.parquet")
    kind = table.schema.field(column).type
    place = table.column_names.index(column)
    table = table.set_column(place, column, pa.array(values, kind))
    pq.write_table(table, packed / "index.parquet")
    with pytest.raises(DataError, match=reason):
        open_data(packed)


@pytest.mark.parametrize("name", ["../data/crow/a.png", "/etc/passwd", "boxes"])
def test_an_index_names_no_files_but_the_shards(packed: Path, name: str) -> None:
    """A file elsewhere is missing, whether it is there or not."""
    table = pq.read_table(packed / "index.parquet")
    info = json.loads(table.schema.metadata[b"wsol"])
    info["shards"] = {name: 10_240}
    pq.write_table(
        table.replace_schema_metadata({"wsol": json.dumps(info)}), packed / "index.parquet"
    )
    with pytest.raises(DataError, match="is missing"):
        open_data(packed)


def test_a_part_is_read_by_many_and_sent(packed: Path) -> None:
    """Descriptors are kept, pickles have none, and a part beyond the end is an error."""
    part = find_member(packed / "crow/a.png")
    assert part is None
    part = find_member(packed / "crow/a.png", search=True)
    assert part is not None
    assert part == find_member(str(packed / "crow/a.png"))
    assert pickle.loads(pickle.dumps(part)) == part
    assert part.open().read() == image(ord("a"))
    with pytest.raises(ImageError, match=r"a\.png: cannot be opened: .* is truncated"):
        open_source(ShardMember("a.png", part.file, 10_000, 500))
    with pytest.raises(ImageError, match="bytes exceed the limit"):
        open_source(ShardMember("a.png", part.file, 0, LARGEST + 1))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        part.open().read()
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_read_shards(packed: Path, num_workers: int) -> None:
    """With a missing image among them, which is an error of its own."""
    train = open_data(packed, val_fraction=0)["train"]
    files = ImageFiles([*train.paths(), packed / "no.png"], EvalTransform(4))
    batches = list(load_batches(files, split_batches(range(4), 2), num_workers))
    assert [batch.indices for batch in batches] == [[0, 1], [2]]
    assert [str(error) for _, error in batches[1].errors] == [f"{packed}/no.png: no such file"]
    assert np.array_equal(batches[0].images[:, 0, 0, 0], [ord("a"), ord("b")])


def test_shards_that_changed_are_read_again(packed: Path, tmp_path: Path) -> None:
    """Within one process, where other files are in their place."""
    assert load_image(open_data(packed)["train"].path(0)).getpixel((0, 0))[0] == ord("a")
    (tmp_path / "data/crow/a.png").write_bytes(image(3))
    pack(PackConfig(tmp_path / "data", tmp_path / "again"))
    packed.rename(tmp_path / "old")
    (tmp_path / "again").rename(packed)
    assert load_image(open_data(packed)["train"].path(0)).getpixel((0, 0))[0] == 3


def test_folders_of_images_stay_folders(tmp_path: Path, packed: Path) -> None:
    """A tar file beside images or folders is not looked into."""
    data = tmp_path / "data"
    write_tar(data / "backup.tar", {"owl/x.png": image()})
    assert not is_sharded(data)
    assert open_data(data, val_fraction=0)["train"].classes == ("crow", "wren")
    assert is_sharded(packed)
    (packed / "notes").mkdir()
    assert is_sharded(packed)


@pytest.mark.parametrize(
    "name", ["a.seg.png", "a.mask.png", "a.depth.png", "a.thumb.jpg", "a.x.png"]
)
def test_images_beside_that_of_a_sample_are_left_out(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line counts them; they are neither trained on nor predicted."""
    files = {"a.jpg": image(), name: image(1), "a.cls": b"0", "b.jpg": image(), "b.cls": b"1"}
    write_tar(tmp_path / "train-0.tar", files)
    assert open_data(tmp_path, val_fraction=0)["train"].ids == ("train-0/a.jpg", "train-0/b.jpg")
    assert find_images(tmp_path) == ["train-0/a.jpg", "train-0/b.jpg"]
    assert repr(name) in caplog.text


def test_a_mask_beside_an_image_with_a_separate_name_is_left_out(tmp_path: Path) -> None:
    """Where no image of the sample has the key alone, words tell which is a mask."""
    files = {"a.rgb.jpg": image(), "a.seg.png": image(1), "a.cls": b"0"}
    write_tar(tmp_path / "train-0.tar", files)
    assert open_data(tmp_path, val_fraction=0)["train"].ids == ("train-0/a.rgb.jpg",)


def test_two_images_of_one_key_are_no_data_set(tmp_path: Path) -> None:
    """One may be the other's mask; both can be predicted."""
    write_tar(tmp_path / "all.tar", {"a.jpg": image(), "a.png": image(), "a.cls": b"0"})
    assert find_images(tmp_path) == ["all/a.jpg", "all/a.png"]
    with pytest.raises(DataError, match=r"a\.jpg and a\.png"):
        open_data(tmp_path)


def test_suffixes_may_be_in_upper_case(tmp_path: Path) -> None:
    """Those of images and labels."""
    files = {"A.JPG": image(), "A.CLS": b"0", "b.Png": image(), "b.JSON": b'{"label": " x "}'}
    write_tar(tmp_path / "all.tar", files)
    train = open_data(tmp_path, val_fraction=0)["train"]
    assert train.ids == ("all/A.JPG", "all/b.Png")
    assert [train.classes[label] for label in train.labels] == ["0", "x"]


def test_hidden_members_are_left_out(tmp_path: Path) -> None:
    """Those of macOS lie between the members of a sample and have its suffixes."""
    plain = {"./crow/a.jpg": image(), "./crow/a.cls": b"\xef\xbb\xbfcrow\r\n"}
    files: dict[str, bytes] = {}
    for name, content in plain.items():
        folder, _, file = name.rpartition("/")
        files[f"{folder}/._{file}"] = b"\0\5\x16\7"
        files[name] = content
    write_tar(tmp_path / "all.tar", files | {"__MACOSX/._b.jpg": b"\0", ".git/c.jpg": b"\0"})
    train = open_data(tmp_path, val_fraction=0)["train"]
    assert (train.ids, train.classes) == (("all/crow/a.jpg",), ("crow",))


def test_folders_of_tar_files_are_splits(tmp_path: Path) -> None:
    """Their names say which; an output of wsol beside them changes nothing."""
    files = {"a.jpg": image(5), "a.cls": b"0", "b.jpg": image(), "b.cls": b"1"}
    for folder in ("train", "validation"):
        (tmp_path / folder).mkdir()
        write_tar(tmp_path / folder / "000.tar", files)
    (tmp_path / "boxes/localizations").mkdir(parents=True)
    (tmp_path / "boxes/localizations/job.json").touch()
    splits = open_data(tmp_path)
    assert {name: samples.ids for name, samples in splits.items()} == {
        "train": ("train/000/a.jpg", "train/000/b.jpg"),
        "val": ("validation/000/a.jpg", "validation/000/b.jpg"),
    }
    assert load_image(splits["train"].path(0)).getpixel((0, 0)) == (5, 5, 5)
    with pytest.raises(ConfigError, match="split_folders"):
        open_data(tmp_path, split_folders=["none"])


@pytest.mark.parametrize("name", ["train-1.tar.gz", "train-1.tgz", "train-1.tar.zst"])
@pytest.mark.parametrize("alone", [False, True])
def test_compressed_tar_files_are_refused_by_name(tmp_path: Path, name: str, alone: bool) -> None:
    """Beside others, too: their images would be missing."""
    if not alone:
        write_tar(tmp_path / "train-0.tar", {"a.jpg": image(), "a.cls": b"0"})
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    for read in (open_data, find_images):
        with pytest.raises(DataError, match=rf"{name}.*compressed"):
            read(tmp_path)


@pytest.mark.parametrize("content", [b'{"label": ' + b"[" * 50_000, b'{"label": "cr\\u0000ow"}'])
def test_a_label_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    """Whatever is wrong with it, the image is named."""
    write_tar(tmp_path / "all.tar", {"a.jpg": image(), "a.json": content})
    with pytest.raises(DataError, match=r"all\.tar: a\.jpg"):
        open_data(tmp_path)


def test_a_dot_in_a_key_names_the_image(tmp_path: Path) -> None:
    """A key ends at the first dot, as for all readers of such files."""
    write_tar(tmp_path / "all.tar", {"22.05.jpg": image(), "22.05.cls": b"0"})
    with pytest.raises(DataError, match=r"22\.05\.jpg"):
        open_data(tmp_path)
