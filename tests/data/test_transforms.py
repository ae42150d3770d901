"""Training crops, the centre crop, and boxes that move with it."""

import numpy as np
import pytest
from PIL import Image

from wsol.data.transforms import CenterCropTransform, TrainTransform


@pytest.mark.parametrize(("size", "resize"), [(224, 256), (64, 97)])
def test_a_box_stays_on_its_object(size: int, resize: int) -> None:
    """A bright rectangle of the image is found in the crop where its box says."""
    pixels = np.zeros((300, 500, 3), np.uint8)
    pixels[120:200, 200:320] = 255
    crop = CenterCropTransform(size, resize)
    found = crop(Image.fromarray(pixels))
    assert found.shape == (size, size, 3)
    rows, columns = np.nonzero(found[..., 0] > 127)
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    box = np.array([[200.0, 120.0, 320.0, 200.0]])
    np.testing.assert_allclose(crop.move_boxes(box, (500, 300))[0], edges, atol=1)


def test_the_crop_is_the_centre_of_the_square() -> None:
    """Sixteen pixels are lost on each side, and a box there lies outside."""
    image = Image.effect_noise((256, 256), 90).convert("RGB")
    expected = np.asarray(image)[16:240, 16:240]
    np.testing.assert_array_equal(CenterCropTransform(224, 256)(image), expected)
    corner = np.array([[0.0, 0.0, 8.0, 256.0]])
    moved = CenterCropTransform(224, 256).move_boxes(corner, (256, 256))
    assert moved.tolist() == [[-16, -16, -8, 240]]


@pytest.mark.parametrize("size_of_image", [(500, 375), (120, 300), (256, 256), (1500, 40)])
def test_a_training_crop_is_that_of_pillow(size_of_image: tuple[int, int]) -> None:
    """The draws are those of the seed, and the pixels Pillow's up to rounding."""
    noise = np.random.default_rng(7).integers(0, 256, (*size_of_image[::-1], 3), np.uint8)
    image = Image.fromarray(noise)
    square = np.asarray(image.resize((256, 256), Image.Resampling.BILINEAR)).astype(int)
    places = set()
    for index in range(12):
        random = np.random.default_rng((3, 1, index))
        left, top = random.integers(0, 33, 2)
        expected = square[top : top + 224, left : left + 224]
        if random.random() < 0.5:
            expected = expected[:, ::-1]
        found = TrainTransform(224, 256)(image, (3, 1, index))
        assert found.dtype == np.uint8
        assert found.shape == (224, 224, 3)
        difference = np.abs(found - expected)
        assert difference.max() <= 2
        places.add((left, top))
    assert len(places) > 6


def test_a_image_is_not_changed_by_its_transform() -> None:
    """What a crop is made of stays as it was."""
    image = Image.effect_noise((300, 200), 90).convert("RGB")
    before = image.tobytes()
    crop = TrainTransform(64, 72)(image, (0,))
    crop[:] = 0
    assert image.tobytes() == before
