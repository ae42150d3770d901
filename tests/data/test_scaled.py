"""Batches for training: what a smaller scale changes, and how they are normalized."""

import io
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from wsol.data.images import decode_image, load_image
from wsol.data.loader import (
    ImageFiles,
    Key,
    TrainFiles,
    decode_pixels,
    load_batches,
    normalized,
    split_batches,
)
from wsol.data.sources import Content
from wsol.data.synthetic.scenes import photograph, write_photographs
from wsol.data.transforms import EvalTransform, TrainTransform
from wsol.errors import ImageError


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a JPEG of 1600 x 1200 pixels."""
    file = tmp_path_factory.mktemp("large") / "large.jpg"
    photograph(0, (1600, 1200)).save(file, quality=90)
    return file


@pytest.mark.parametrize(
    ("least_side", "size"),
    [(None, (1600, 1200)), (601, (1600, 1200)), (600, (800, 600)), (300, (400, 300))],
)
def test_the_scale_leaves_enough_pixels(
    large: Path, least_side: int | None, size: tuple[int, int]
) -> None:
    """The smallest scale is taken that leaves both sides long enough; the size said is the file's.

    The pixels are near those of the whole image, made small in one step.
    """
    decoded = decode_image(large, least_side=least_side)
    assert decoded.image.size == size
    assert decoded.size == (1600, 1200)
    expected = np.asarray(load_image(large).reduce(1600 // size[0])).astype(int)
    assert np.abs(np.asarray(decoded.image) - expected).mean() < 1.5


def test_a_scaled_image_is_turned_as_displayed(tmp_path: Path) -> None:
    """The orientation is applied, to the size as well."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (400, 200), "black")
    image.paste("white", (0, 0, 200, 200))
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    decoded = decode_image(tmp_path / "a.jpg", least_side=100)
    assert decoded.image.size == (100, 200)
    assert decoded.size == (200, 400)
    assert decoded.image.getpixel((50, 20)) == (255, 255, 255)
    assert decoded.image.getpixel((50, 180)) == (0, 0, 0)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_file_cut_short_is_an_error_at_any_scale(
    large: Path, tmp_path: Path, share: float
) -> None:
    """A smaller scale reads the whole file."""
    data = large.read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: int(len(data) * share)])
    for side in (64, 1000):
        item = TrainFiles([tmp_path / "cut.jpg"], TrainTransform(side, side))[Key(0, (0,))]
        assert item.pixels is None
        assert "truncated" in str(item.error)


def test_a_limit_counts_the_file_s_own_pixels(large: Path) -> None:
    """What is small after scaling is refused as before."""
    files = TrainFiles([large], TrainTransform(64, 72))
    files.max_pixels = 1_000_000
    assert "1600 x 1200" in str(files[Key(0, (0,))].error)


def test_training_crops_of_scaled_images_are_near(tmp_path: Path) -> None:
    """The difference to exact decoding stays below two levels."""
    transform = TrainTransform(112, 128)
    assert transform.least_side == 192
    files = []
    for number in range(4):
        files.append(tmp_path / f"{number}.jpg")
        photograph(number, (500, 400)).save(files[-1], quality=92)
    keys = [Key(index, (0, 0, index)) for index in range(4)]
    exact, scaled = (TrainFiles(files, transform, scaled) for scaled in (False, True))
    for key in keys:
        one, other = exact[key].pixels, scaled[key].pixels
        assert one is not None
        assert other is not None
        difference = np.abs(one.astype(int) - other).mean()
        assert 0 < difference < 2


MADE: dict[str, dict[str, object]] = {
    "baseline": {"quality": 90},
    "coarse": {"quality": 60},
    "full colour": {"quality": 95, "subsampling": 0},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_rows": 2},
    "rgb": {"quality": 90, "keep_rgb": True},
    "turned": {
        "quality": 90,
        "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0",
    },
}


def jpeg(image: Image.Image, **options: object) -> bytes:
    """Return the bytes of a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def outcome(decode: Callable[[Content], tuple[object, tuple[int, int]]], data: bytes) -> object:
    """Return the pixels and the size, or the reason why there are none."""
    try:
        pixels, size = decode(Content("a.jpg", data))
    except ImageError as error:
        return error.reason
    return np.asarray(pixels).tobytes(), size


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("made", MADE)
def test_training_sees_the_pixels_that_prediction_sees(made: str, mode: str) -> None:
    """Whichever way a JPEG was made, both decoders give the same bits."""
    data = jpeg(photograph(3, (203, 118)).convert(mode), **MADE[made])
    found = outcome(decode_pixels, data)
    assert isinstance(found, tuple)
    assert found == outcome(decode_image, data)
    assert found[1] == ((118, 203) if made == "turned" else (203, 118))


def test_damaged_files_end_the_same_way_in_training() -> None:
    """Of 400 files with changed bytes or cut short, both decoders refuse the same, alike."""
    random = Random(0)
    whole = [jpeg(photograph(seed, (160, 120)), **MADE[made]) for seed, made in enumerate(MADE)]
    refused = 0
    for number in range(400):
        data = bytearray(random.choice(whole))
        if number % 2:
            for _ in range(random.randint(1, 12)):
                data[random.randrange(len(data))] = random.randrange(256)
        else:
            data = data[: random.randrange(len(data))]
        found = outcome(decode_pixels, bytes(data))
        assert found == outcome(decode_image, bytes(data))
        refused += isinstance(found, str)
    assert 100 < refused < 350


def test_evaluation_sees_every_pixel(tmp_path: Path) -> None:
    """Without ``least_side`` an image is Pillow's, decoded and resized, to the last bit."""
    (file, *_) = write_photographs(tmp_path, 1)
    with Image.open(file) as image:
        expected = np.asarray(image.convert("RGB").resize((96, 96), Image.Resampling.BILINEAR))
    (batch,) = load_batches(ImageFiles([file], EvalTransform(96)), split_batches([0], 1), 0)
    np.testing.assert_array_equal(batch.images[0].permute(1, 2, 0).numpy(), expected)
    assert batch.sizes == [(500, 375)]


def test_workers_give_what_the_process_itself_gives(tmp_path: Path) -> None:
    """Neither their number nor shared memory changes a pixel or the order."""
    paths = write_photographs(tmp_path, 6, size=(200, 150))
    keys = [[Key(index, (0, 0, index)) for index in part] for part in ((4, 1), (0, 5), (3, 2))]
    files = TrainFiles(paths, TrainTransform(64, 72))
    for one, other in zip(load_batches(files, keys, 0), load_batches(files, keys, 2), strict=True):
        assert one.indices == other.indices
        assert torch.equal(one.images, other.images)
        assert one.images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("channels_last", [True, False])
def test_normalized_is_the_textbook_s(channels_last: bool) -> None:
    """To the last bit, whatever the layout, and the bytes stay as they are."""
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    if channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    before = images.clone()
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    found = normalized(images, mean, std)
    columns = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    offset, scale = columns
    assert torch.equal(found, (images.float() / 255 - offset) / scale)
    assert torch.equal(images, before)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert normalized(images[:0], mean, std).shape == (0, 3, 5, 7)


def test_constants_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each device, as a GPU is waited for to make them; where is of no importance."""
    images = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    mean, std = [0.4, 0.5, 0.6], [0.1, 0.2, 0.3]
    with torch.inference_mode():
        first = normalized(images, mean, std)
    assert normalized(images.to("meta"), mean, std).device.type == "meta"

    def refuse(*given: object, **options: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch, "tensor", refuse)
    again = normalized(images, mean, std)
    assert torch.equal(again, first)
    weights = torch.ones_like(again, requires_grad=True)
    (weights * again).sum().backward()
    assert torch.equal(weights.grad, again)
