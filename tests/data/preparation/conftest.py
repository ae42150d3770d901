"""Miniature archives of each data set."""

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wsol.data.preparation.extract import State

Pack = Callable[..., Path]
WNIDS = ("n01440764", "n01443537", "n01484850")


def image(seed: int, suffix: str = "JPEG") -> bytes:
    """Return the bytes of a small image that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, suffix)
    return file.getvalue()


def tar_bytes(files: Iterable[tuple[str, bytes]], mode: str = "w") -> bytes:
    """Return a tar archive of files in this order."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def voc(stem: str, wnid: str, *boxes: tuple[int, int, int, int]) -> bytes:
    """Return the XML of an image of 16 x 12 pixels as ILSVRC has it."""
    objects = "".join(
        f"<object><name>{wnid}</name><pose>Unspecified</pose><bndbox><xmin>{x0}</xmin>"
        f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for x0, y0, x1, y1 in boxes
    )
    return (
        f"<annotation><folder>val</folder><filename>{stem}</filename><size><width>16</width>"
        f"<height>12</height><depth>3</depth></size>{objects}</annotation>"
    ).encode()


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Return a function that writes a tar or zip archive of files and names it."""

    def write(name: str, files: dict[str, bytes]) -> Path:
        path = tmp_path / name
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for member, content in files.items():
                    archive.writestr(member, content)
        else:
            mode = "w:gz" if name.endswith("gz") else "w"
            path.write_bytes(tar_bytes(files.items(), mode))
        return path

    return write


@pytest.fixture
def state(tmp_path: Path) -> Iterable[State]:
    """Yield the state of the folder `out`."""
    with State(tmp_path / "out") as state:
        yield state


@pytest.fixture
def cub_tgz(pack: Pack) -> Path:
    """Return a CUB_200_2011.tgz of four images."""
    names = ("001.Crow/a.jpg", "001.Crow/b.jpg", "002.Wren/c.jpg", "002.Wren/d.jpg")
    root = "CUB_200_2011"
    files = {f"{root}/images/{name}": image(i) for i, name in enumerate(names)}
    lists = {
        "images": [f"{i} {name}" for i, name in enumerate(names, 1)],
        "classes": ["1 001.Crow", "2 002.Wren"],
        "image_class_labels": ["1 1", "2 1", "3 2", "4 2"],
        "train_test_split": ["1 1", "2 0", "3 1", "4 0"],
        "bounding_boxes": [f"{i} 1.0 2.0 5.0 6.0" for i in range(1, 5)],
    }
    texts = {f"{root}/{name}.txt": "\n".join(text).encode() for name, text in lists.items()}
    others = {"attributes.txt": b"1 beak", f"{root}/parts/parts.txt": b"1 back"}
    return pack("CUB_200_2011.tgz", others | texts | files)


@pytest.fixture
def imagenet(pack: Pack) -> dict[str, Path]:
    """Return archives of three classes, by the name of the option."""
    train = {
        f"{wnid}.tar": tar_bytes(
            [(f"{wnid}_{j}.JPEG", image(10 * i + j)) for j in range(1 + i, 4 + i)]
        )
        for i, wnid in enumerate(WNIDS)
    }
    # Not in the order of the classes, as it is in the true archive.
    classes = [WNIDS[2], WNIDS[0], WNIDS[1], WNIDS[0]]
    stems = [f"ILSVRC2012_val_{i:08d}" for i in range(1, 5)]
    val = {f"{stem}.JPEG": image(100 + i) for i, stem in enumerate(stems)}
    xml = {
        f"val/{stem}.xml": voc(stem, wnid, (1, 2, 9, 8), (1, 2, 9, 8), (0, 0, 3 + i, 4))
        for i, (stem, wnid) in enumerate(zip(stems, classes, strict=True))
    }
    second = {
        f"imagenetv2-threshold0.7/{i}/{i}{j}ab.jpeg": image(200 + 10 * i + j)
        for i in (2, 0, 1)
        for j in range(2)
    }
    return {
        "train": pack("ILSVRC2012_img_train.tar", train),
        "val": pack("ILSVRC2012_img_val.tar", val),
        "boxes": pack("ILSVRC2012_bbox_val_v3.tgz", xml),
        "imagenetv2": pack("imagenetv2-threshold0.7.tar.gz", second),
    }


@pytest.fixture
def openimages(pack: Pack) -> list[Path]:
    """Return an archive of images and one of masks."""
    splits = {"train": 3, "val": 1, "test": 2}
    names = [f"{split}/0{c}z/{i}" for split, n in splits.items() for c in "ab" for i in range(n)]
    images = {f"{name}f.jpg": image(i) for i, name in enumerate(names)}
    masks = {
        f"{name}f_{kind}.png": image(i, "PNG")
        for i, name in enumerate(names)
        if not name.startswith("train")
        for kind in ("m0az_12", "m0az_34", "ignore")
    }
    return [pack("OpenImages_images.zip", images), pack("OpenImages_annotations.zip", masks)]
