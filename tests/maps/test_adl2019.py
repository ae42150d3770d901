"""The authors' heat map and boxes, against the libraries that they used."""

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.maps.adl2019 import GRAY_OF_COLOURS, cubehelix, fixed_boxes, gray_heat_map


def library_gray(score_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour a map with matplotlib and turn it to gray with OpenCV, step by step."""
    scores = score_map.astype(float)
    scores -= scores.min()
    scores /= scores.max()
    coloured = mpl.colormaps["cubehelix"](scores)[..., :3].astype("float32") * 255.0
    return cv2.cvtColor(coloured.astype("uint8"), cv2.COLOR_RGB2GRAY)


def library_box(gray: NDArray[np.uint8], threshold: float) -> list[int]:
    """Cut a gray map with OpenCV and take the box of its largest contour."""
    value = int(np.max(gray) * threshold)
    _, cut = cv2.threshold(gray, value, 255, cv2.THRESH_TOZERO)
    contours, _ = cv2.findContours(cut, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return [0, 0, 1, 1]
    x, y, w, h = cv2.boundingRect(max(contours, key=cv2.contourArea))
    return [x, y, x + w, y + h]


def test_the_colours_are_cubehelix() -> None:
    """All 256 colours, within rounding."""
    values = np.linspace(0, 1, 256)
    expected = mpl.colormaps["cubehelix"](np.arange(256))[:, :3]
    np.testing.assert_allclose(cubehelix(values), expected, atol=1e-12)


def test_gray_levels_are_those_of_the_libraries() -> None:
    """A ramp through all colours, and noise of any range."""
    ramp = np.linspace(-3, 5, 2000, dtype=np.float32)[None]
    noise = np.random.default_rng(0).normal(2, 7, (64, 48)).astype(np.float32)
    for score_map in (ramp, noise):
        np.testing.assert_array_equal(gray_heat_map(score_map), library_gray(score_map))
    assert GRAY_OF_COLOURS[[0, 255]].tolist() == [0, 255]


@pytest.mark.parametrize("seed", range(30))
def test_boxes_are_those_of_opencv(seed: int) -> None:
    """Blobs, specks with ties in area, and rings, at thresholds up to the maximum."""
    random = np.random.default_rng(seed)
    small = random.random((random.integers(3, 12), random.integers(3, 12)), dtype=np.float32)
    gray = (cv2.resize(small, (60, 44)) * random.integers(20, 256)).astype(np.uint8)
    gray[random.random(gray.shape) < 0.02 * (seed % 3)] = 0
    thresholds = (0.05, 0.2, 0.35, 0.6, 0.9, 0.99)
    expected = [library_box(gray, threshold) for threshold in thresholds]
    assert fixed_boxes(gray, thresholds).tolist() == expected


def test_maps_without_an_object() -> None:
    """A constant map, NaN and infinity are black, and black has the smallest box."""
    for value in (0.0, 3.0, np.nan, np.inf):
        gray = gray_heat_map(np.full((5, 7), value, np.float32))
        assert not gray.any()
        assert fixed_boxes(gray, (0.05, 0.35)).tolist() == [[0, 0, 1, 1]] * 2
    broken = np.zeros((5, 7), np.float32)
    broken[0, 0], broken[1, 1] = np.nan, 1
    assert not gray_heat_map(broken).any()


def test_the_box_reaches_past_the_last_pixel() -> None:
    """It is not clipped at the map's border."""
    gray = np.full((4, 6), 200, np.uint8)
    assert fixed_boxes(gray, (0.35,)).tolist() == [[0, 0, 6, 4]]
