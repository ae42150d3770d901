"""A map is resized as the published code does it, and then scaled."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from wsol.errors import ImageError
from wsol.evaluation.score_maps import read_score_map, resize


def read(
    folder: Path, values: NDArray[np.generic], size: int | None = None, normalize: bool = True
) -> tuple[NDArray[np.floating], bool]:
    """Read a map that has these values."""
    np.save(folder / "a.npy", values)
    return read_score_map(folder / "a.npy", size=size, normalize=normalize, max_pixels=10**6)


@pytest.mark.parametrize("shape", [(14, 14), (7, 9), (300, 224), (500, 375), (224, 224), (1, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_resized_as_opencv_does(shape: tuple[int, int], dtype: type) -> None:
    """Bicubic, larger and smaller, without smoothing; OpenCV rounds places to float32."""
    values = np.random.default_rng(0).normal(size=shape).astype(dtype)
    expected = cv2.resize(values, (224, 224), interpolation=cv2.INTER_CUBIC)
    found = resize(values, 224)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_resizing_comes_before_scaling(tmp_path: Path) -> None:
    """What bicubic interpolation adds beyond the extremes belongs to the range."""
    values = np.zeros((8, 8))
    values[4, 4] = 3
    found, has_object = read(tmp_path, values, size=32)
    assert has_object
    assert (found.shape, found.min(), found.max()) == ((32, 32), 0, 1)
    assert found[0, 0] > 0.01


@pytest.mark.parametrize("value", [0, 1, np.nan, np.inf])
@pytest.mark.parametrize("size", [None, 16])
def test_a_map_without_object_becomes_zeros(tmp_path: Path, value: float, size: int | None) -> None:
    """Constant, or not finite anywhere."""
    values = np.full((4, 4), value, np.float32)
    values[1:3, 1:3] = 1 if np.isfinite(value) and value else values[0, 0]
    found, has_object = read(tmp_path, values, size)
    assert (has_object, found.any()) == (False, False)


def test_as_it_is(tmp_path: Path) -> None:
    """Without scaling, a map keeps every bit, and constant ones are what they are."""
    values = np.array([[0.1, 0.7]])
    found, has_object = read(tmp_path, values, normalize=False)
    assert has_object
    assert found.dtype == np.float64
    assert found.tolist() == [[0.1, 0.7]]
    assert read(tmp_path, np.ones((2, 2)), normalize=False)[1]
    assert not read(tmp_path, np.zeros((2, 2)), normalize=False)[1]


@pytest.mark.parametrize("value", [-0.001, 1.001, np.nan, np.inf])
def test_as_it_is_it_must_fit(tmp_path: Path, value: float) -> None:
    """What leaves [0, 1] is no map to be taken as it is."""
    with pytest.raises(ImageError, match=r"a\.npy: .*\[0, 1\]"):
        read(tmp_path, np.array([[0.5, value]]), normalize=False)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_map_stays_without_object_when_it_is_enlarged(
    tmp_path: Path, dtype: type[np.floating]
) -> None:
    """Interpolation leaves rounding errors of the map's own type."""
    found, has_object = read(tmp_path, np.full((7, 5), 0.37, dtype), 224)
    assert (has_object, found.any()) == (False, False)
