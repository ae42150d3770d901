"""Heat maps and boxes are those of the authors' code, from their features and weights on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wsol.localizers.base import resized
from wsol.maps.adl2019 import THRESHOLDS, fixed_boxes, gray_heat_map


@pytest.fixture(scope="session")
def recorded(parity: Path) -> dict[str, NDArray[np.generic]]:
    """Return features, class weights, and the authors' gray heat maps and boxes."""
    with np.load(parity / "tensorpack_cam_boxes.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def heat_maps(recorded: dict[str, NDArray[np.generic]]) -> list[NDArray[np.uint8]]:
    """Return our gray heat maps."""
    features, weights = (torch.from_numpy(recorded[key]) for key in ("features", "class_weights"))
    maps = torch.einsum("nchw,nc->nhw", features, weights)
    large = resized(maps, (224, 224), "bilinear")
    return [gray_heat_map(score_map) for score_map in large.numpy()]


def test_gray_levels(
    recorded: dict[str, NDArray[np.generic]], heat_maps: list[NDArray[np.uint8]]
) -> None:
    """Every pixel within one gray level."""
    difference = np.stack(heat_maps).astype(int) - recorded["gray_heatmap"]
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_boxes(
    recorded: dict[str, NDArray[np.generic]], heat_maps: list[NDArray[np.uint8]], threshold: float
) -> None:
    """Every box at every threshold, from our heat maps and from the recorded ones."""
    expected = recorded[f"boxes_threshold_{threshold:g}"]
    for grays in (heat_maps, recorded["gray_heatmap"]):
        found = np.concatenate([fixed_boxes(gray, (threshold,)) for gray in grays])
        np.testing.assert_array_equal(found, expected)
