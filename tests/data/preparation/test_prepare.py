"""Each data set comes out of its archives as the readers want it, and again after a kill."""

import hashlib
import json
import os
import shutil
import signal
import sys
import tarfile
from pathlib import Path

import pytest

from wsol.data.annotations import MaskAnnotations, open_annotations
from wsol.data.config import CubConfig, ImagenetConfig, OpenimagesConfig, PrepareConfig
from wsol.data.open import open_data
from wsol.data.preparation import download as checksum
from wsol.data.preparation.extract import State
from wsol.data.preparation.imagenet import prepare_imagenet
from wsol.data.preparation.prepare import prepare_cub, prepare_openimages, verify
from wsol.errors import AnnotationError, ConfigError, DataError

from ... import forked

WNIDS = ("n01440764", "n01443537", "n01484850")


def prepare(config: PrepareConfig) -> None:
    """Prepare without showing progress."""
    with State(config.out) as state:
        if isinstance(config, CubConfig):
            prepare_cub(config, state)
        elif isinstance(config, ImagenetConfig):
            prepare_imagenet(config, state)
        else:
            prepare_openimages(config, state)


def tree(root: Path) -> dict[str, bytes]:
    """Return the files of a data set with their content, without notes."""
    paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def test_cub(tmp_path: Path, cub_tgz: Path, pack) -> None:
    """The layout is the data set's own, without what is not read; CUBV2 lies beside it."""
    second = pack("CUBV2.tar", {"./001.Crow/9.jpg": b"9", "./002.Wren/8.jpg": b"8"})
    config = CubConfig(tmp_path / "out", archive=cub_tgz, cubv2=second, checksum="none")
    prepare(config)
    splits = open_data(config.out, val_fraction=0)
    assert splits["train"].ids == ("001.Crow/a.jpg", "002.Wren/c.jpg")
    assert splits["test"].classes == ("001.Crow", "002.Wren")
    files = tree(config.out)
    assert files["images/001.Crow/9.jpg"] == b"9"
    assert {name for name in files if "/" not in name} == {
        "bounding_boxes.txt",
        "classes.txt",
        "image_class_labels.txt",
        "images.txt",
        "train_test_split.txt",
    }
    assert len(files) == 5 + 4 + 2


def test_imagenet(tmp_path: Path, imagenet: dict[str, Path], pack) -> None:
    """Classes of val come from the boxes, ImageNetV2 is numbered by sorted wnid."""
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("image_id,x0,y0,x1,y1\n0/0.jpeg,1,2,9,9\n2/0.jpeg,3,4,5,6\n0/0.jpeg,0,0,4,4\n")
    names = tmp_path / "mapping.txt"
    names.write_text("0/0.jpeg, 0/00ab.jpeg\n2/0.jpeg, 2/20ab.jpeg\n")
    config = ImagenetConfig(
        tmp_path / "out",
        **imagenet,
        imagenetv2_boxes=boxes,
        imagenetv2_names=names,
        checksum="none",
    )
    prepare(config)
    splits = open_data(config.out)
    assert list(splits) == ["train", "val", "test"]
    assert splits["train"].classes == WNIDS
    assert [len(splits[name]) for name in splits] == [9, 6, 4]
    assert splits["test"].ids[:2] == (
        f"test/{WNIDS[0]}/ILSVRC2012_val_00000002.JPEG",
        f"test/{WNIDS[0]}/ILSVRC2012_val_00000004.JPEG",
    )
    # The box that comes twice is one.
    assert [box.tolist() for box in splits["test"].boxes][:2] == [
        [[1, 2, 9, 8], [0, 0, 4, 4]],
        [[1, 2, 9, 8], [0, 0, 6, 4]],
    ]
    val = dict(zip(splits["val"].ids, splits["val"].boxes, strict=True))
    assert val[f"val/{WNIDS[0]}/0/0.jpeg"].tolist() == [[1, 2, 9, 9], [0, 0, 4, 4]]
    assert val[f"val/{WNIDS[2]}/2/0.jpeg"].tolist() == [[3, 4, 5, 6]]
    assert len(val[f"val/{WNIDS[1]}/1/11ab.jpeg"]) == 0
    # The sizes make the file an evaluation's annotations without the images.
    assert open_annotations(config.out / "boxes.csv").size(0) == (16, 12)


def test_imagenet_in_two_commands(tmp_path: Path, imagenet: dict[str, Path]) -> None:
    """The boxes that one command has written stay when another adds a split."""
    boxes = tmp_path / "boxes.txt"
    boxes.write_text("".join(f"val2/{i}/{i}0ab.jpeg,1,2,9,9\n" for i in range(3)))
    out, first = tmp_path / "out", {name: imagenet[name] for name in ("train", "imagenetv2")}
    prepare(ImagenetConfig(out, **first, imagenetv2_boxes=boxes, checksum="none"))
    then = {name: imagenet[name] for name in ("val", "boxes")}
    prepare(ImagenetConfig(out, **then, checksum="none"))
    splits = open_data(out)
    assert sum(map(len, splits["val"].boxes)) == 3
    assert sum(map(len, splits["test"].boxes)) == 8
    both = (out / "boxes.csv").read_bytes()
    prepare(ImagenetConfig(out, **first, imagenetv2_boxes=boxes, checksum="none"))
    assert (out / "boxes.csv").read_bytes() == both


def test_imagenet_of_some_classes(tmp_path: Path, imagenet: dict[str, Path], pack) -> None:
    """Where train has a part of the classes, so have the others, and the numbers still fit."""
    with tarfile.open(imagenet["train"]) as tar:
        inner = tar.extractfile(f"{WNIDS[1]}.tar").read()
    config = ImagenetConfig(
        tmp_path / "out",
        **imagenet | {"train": pack("part.tar", {f"{WNIDS[1]}.tar": inner})},
        checksum="none",
    )
    prepare(config)
    splits = open_data(config.out)
    assert {name: samples.classes for name, samples in splits.items()} == dict.fromkeys(
        ("train", "val", "test"), (WNIDS[1],)
    )
    assert all(name.startswith(f"val/{WNIDS[1]}/1/") for name in splits["val"].ids)
    assert splits["test"].ids == (f"test/{WNIDS[1]}/ILSVRC2012_val_00000003.JPEG",)


def test_imagenetv2_of_unknown_classes_is_refused(
    tmp_path: Path, imagenet: dict[str, Path], pack
) -> None:
    """With train of some classes alone the numbers would mean other classes."""
    files = {"v2/0/a.jpeg": b"", "v2/1/b.jpeg": b""}
    config = ImagenetConfig(
        tmp_path / "out",
        train=imagenet["train"],
        imagenetv2=pack("v2.tar.gz", files),
        checksum="none",
    )
    with pytest.raises(DataError, match="has 2 classes, numbered to 1, but 3 are known"):
        prepare(config)
    assert not (config.out / "val").exists()


def test_val_labels_in_place_of_boxes(tmp_path: Path, imagenet: dict[str, Path]) -> None:
    """The authors' label file says the classes; the devkit's numbers are refused."""
    labels = tmp_path / "val.txt"
    stems = [f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 5)]
    labels.write_text("".join(f"{stem} {i % 3} 1 2 3 4\n" for i, stem in enumerate(stems)))
    config = ImagenetConfig(
        tmp_path / "out",
        train=imagenet["train"],
        val=imagenet["val"],
        val_labels=labels,
        checksum="none",
    )
    prepare(config)
    assert [Path(name).parts[1] for name in open_data(config.out)["test"].ids] == [
        WNIDS[0],
        *WNIDS,
    ]
    labels.write_text("490\n361\n")
    again = ImagenetConfig(
        tmp_path / "b",
        train=imagenet["train"],
        val=imagenet["val"],
        val_labels=labels,
        checksum="none",
    )
    with pytest.raises(AnnotationError, match="ILSVRC2012_bbox_val_v3"):
        prepare(again)


def test_openimages(tmp_path: Path, openimages: list[Path]) -> None:
    """Images are folders by class; masks lie where wsolevaluation's metadata find them."""
    out = tmp_path / "out"
    prepare(OpenimagesConfig(out, openimages))
    splits = open_data(out / "images")
    assert [len(splits[name]) for name in splits] == [6, 2, 4]
    name = "test/0az/1f"
    meta = tmp_path / "meta"
    meta.mkdir()
    (meta / "image_ids.txt").write_text(f"{name}.jpg\n")
    (meta / "localization.txt").write_text(
        f"{name}.jpg,{name}_m0az_12.png,{name}_ignore.png\n{name}.jpg,{name}_m0az_34.png,\n"
    )
    found = open_annotations(meta, masks=out / "masks")
    assert isinstance(found, MaskAnnotations)
    assert len(found.masks[0].objects) == 2
    assert found.masks[0].ignore is not None
    assert all(path.is_file() for path in (*found.masks[0].objects, found.masks[0].ignore))
    # And without metadata.
    assert len(open_annotations(out / "masks", out / "images")) == 6


KILLED = """
import os, signal, sys
from pathlib import Path
from wsol.data.config import *
from wsol.data.preparation.prepare import prepare
left, rename = int(sys.argv[1]), os.replace
def replace(*paths):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*paths)
os.replace = replace
prepare(eval(sys.argv[2]))
"""


def run_with_kills(config: PrepareConfig, every: int) -> int:
    """Prepare in processes that kill themselves before a file gets its name; count them."""
    text = repr(config).replace("PosixPath", "Path")
    for kills in range(100):
        code = forked.run(
            [sys.executable, "-c", KILLED, str(every), text], capture_output=True, check=False
        )
        if code.returncode == 0:
            return kills
        assert code.returncode == -signal.SIGKILL, code.stderr.decode()
    raise AssertionError("never came to an end")


def test_imagenet_after_kills_is_as_without(tmp_path: Path, imagenet: dict[str, Path]) -> None:
    """Killed again and again, the data set is the same as in one run, and nothing is left over."""
    clean = ImagenetConfig(tmp_path / "clean", **imagenet, checksum="none")
    prepare(clean)
    killed = ImagenetConfig(tmp_path / "killed", **imagenet, checksum="none")
    assert run_with_kills(killed, every=12) >= 2
    assert tree(killed.out) == tree(clean.out)
    assert not list(killed.out.rglob(".*.part"))
    assert verify(killed.out, killed.out).faults == ("val: 6 images have no box",)


def test_cub_and_openimages_after_kills(
    tmp_path: Path, cub_tgz: Path, openimages: list[Path]
) -> None:
    """So are the others."""
    config = CubConfig(tmp_path / "cub", archive=cub_tgz, checksum="none")
    assert run_with_kills(config, every=5) >= 2
    prepare(CubConfig(tmp_path / "clean-cub", archive=cub_tgz, checksum="none"))
    assert tree(config.out) == tree(tmp_path / "clean-cub")
    many = OpenimagesConfig(tmp_path / "open", openimages)
    assert run_with_kills(many, every=12) >= 2
    prepare(OpenimagesConfig(tmp_path / "clean-open", openimages))
    assert tree(many.out) == tree(tmp_path / "clean-open")


def test_what_is_finished_is_not_read_again(
    tmp_path: Path, imagenet: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished class is passed over, and another archive of the same name is not."""
    config = ImagenetConfig(tmp_path / "out", train=imagenet["train"], checksum="none")
    prepare(config)
    kept = next(iter(sorted((config.out / "train" / WNIDS[0]).iterdir())))
    kept.write_bytes(b"changed by hand")
    prepare(config)
    assert kept.read_bytes() == b"changed by hand"
    os.utime(imagenet["train"], (1, 1))
    prepare(config)
    assert kept.read_bytes() != b"changed by hand"


def test_damaged_notes_only_cost_time(tmp_path: Path, cub_tgz: Path) -> None:
    """Without sound notes all is compared with the archive again."""
    config = CubConfig(tmp_path / "out", archive=cub_tgz, checksum="none")
    prepare(config)
    before = tree(config.out)
    (config.out / "images/001.Crow/a.jpg").write_bytes(b"half")
    (config.out / ".prepare.json").write_text('{"archives": {"CUB')
    prepare(config)
    assert tree(config.out) == before


def test_one_process_at_a_time(tmp_path: Path, cub_tgz: Path) -> None:
    """A second one is refused, and told who is first."""
    config = CubConfig(tmp_path / "out", archive=cub_tgz, checksum="none")
    first = rf"being written by process {os.getpid()} on"
    with State(config.out), pytest.raises(ConfigError, match=first):
        prepare(config)


def test_another_archive_than_the_official_one(tmp_path: Path, cub_tgz: Path) -> None:
    """The checksum is compared unless that is switched off; nothing is written before."""
    config = CubConfig(tmp_path / "out", archive=cub_tgz)
    with pytest.raises(DataError, match=r"MD5 is .* official .*--checksum none"):
        prepare(config)
    assert tree(config.out) == {}


def test_a_sound_checksum_is_noted(
    tmp_path: Path, cub_tgz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has the official sum is unpacked, and not summed up a second time."""
    digest = hashlib.md5(cub_tgz.read_bytes()).hexdigest()
    monkeypatch.setitem(checksum.MD5, "cub", digest)
    config = CubConfig(tmp_path / "out", archive=cub_tgz)
    prepare(config)
    notes = json.loads((config.out / ".prepare.json").read_text())
    assert notes["archives"]["CUB_200_2011.tgz"]["finished"] == ["md5", ""]


def test_a_full_disk(
    tmp_path: Path, imagenet: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before anything is written."""
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    config = ImagenetConfig(tmp_path / "out", **imagenet, checksum="none")
    with pytest.raises(DataError, match=r"needs 0\.0 GB, and 0\.0 GB are free; .*--out"):
        prepare(config)
    assert tree(config.out) == {}


def test_verify(tmp_path: Path, imagenet: dict[str, Path]) -> None:
    """Counts, images without boxes, damaged headers and what is not finished."""
    config = ImagenetConfig(tmp_path / "out", **imagenet, checksum="none")
    prepare(config)
    report = verify(config.out, config.out)
    assert report.splits["train"].images == 9
    assert (report.splits["val"].classes, report.splits["val"].most) == (3, 2)
    assert report.faults == ("val: 6 images have no box",)
    bad = config.out / "train" / WNIDS[0] / f"{WNIDS[0]}_1.JPEG"
    bad.write_bytes(b"\xff\xd8\xff")
    (config.out / "boxes.csv").unlink()
    os.utime(imagenet["train"], (1, 1))
    with State(config.out) as state:
        state.begin(imagenet["train"])
    faults = verify(config.out, config.out).faults
    assert faults[0].startswith("ILSVRC2012_img_train.tar: not finished")
    assert faults[1].startswith(str(bad))
    assert len(faults) == 2


def test_verify_counts_masks(tmp_path: Path, openimages: list[Path]) -> None:
    """A test image without a mask is a fault, and so is a damaged mask."""
    out = tmp_path / "out"
    prepare(OpenimagesConfig(out, openimages))
    assert verify(out / "images", out, out / "masks").faults == ()
    for path in (out / "masks/val/0az").iterdir():
        path.unlink()
    (out / "masks/test/0bz/1f_ignore.png").write_bytes(b"")
    faults = verify(out / "images", out, out / "masks").faults
    assert faults[0] == "val: 1 images have no mask"
    assert "1f_ignore.png: the file is empty" in faults[1]


def test_options_that_cannot_work(tmp_path: Path) -> None:
    """They are refused before anything is read."""
    with pytest.raises(ConfigError, match="nothing to prepare"):
        ImagenetConfig(tmp_path)
    with pytest.raises(ConfigError, match=r"val: .*boxes or val_labels"):
        ImagenetConfig(tmp_path, val=tmp_path / "val.tar")
    with pytest.raises(ConfigError, match="paths of the archives"):
        OpenimagesConfig(tmp_path)


@pytest.mark.parametrize("option", ["train", "val", "boxes"])
def test_archives_in_the_wrong_places(
    tmp_path: Path, imagenet: dict[str, Path], cub_tgz: Path, option: str
) -> None:
    """CUB's archive is none of ImageNet's, and a missing one is named."""
    for wrong in (cub_tgz, tmp_path / "lost.tar"):
        config = ImagenetConfig(tmp_path / "out", **imagenet | {option: wrong}, checksum="none")
        with pytest.raises(DataError, match=wrong.name):
            prepare(config)
