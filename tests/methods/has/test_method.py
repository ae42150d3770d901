"""Patches are hidden as loops over images and patches would hide them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from wsol.errors import ConfigError
from wsol.methods.has import Config, hide_patches

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 12), st.integers(1, 12))


def hide_in_loops(images: Tensor, grid_sizes: list[int], drop_rate: float) -> Tensor:
    """Return what the function computes, one patch after the other, from the same draws."""
    images = images.clone()
    sides = [grid_sizes[i] for i in torch.randint(len(grid_sizes), (len(images),)).tolist()]
    height, width = images.shape[2:]
    longest = max(height, width)
    count = max(-(-longest // (side or longest)) for side in sides)
    draws = torch.rand(len(images), count, count)
    for image, side, chances in zip(images, sides, draws, strict=True):
        if side == 0:
            continue
        for row, top in enumerate(range(0, height, side)):
            for column, left in enumerate(range(0, width, side)):
                if chances[row, column] < drop_rate:
                    image[:, top : top + side, left : left + side] = 0
    return images


@settings(deadline=None)
@given(
    SHAPES,
    st.lists(st.integers(0, 14), min_size=1, max_size=4),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_they_are_those_of_loops_over_images_and_patches(
    shape: tuple[int, ...], grid_sizes: list[int], drop_rate: float, seed: int
) -> None:
    """Any shape, square or not, and any grids, larger than the image too."""
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(seed)
    expected = hide_in_loops(images, grid_sizes, drop_rate)
    torch.manual_seed(seed)
    assert torch.equal(hide_patches(images, grid_sizes, drop_rate), expected)


def test_each_image_has_its_own_grid_and_each_patch_its_own_chance() -> None:
    """All sizes come up, equally often, and the share of hidden patches is the drop rate.

    The bounds are four standard deviations of the counts.
    """
    torch.manual_seed(0)
    count, sizes, drop_rate = 3000, [0, 2, 4], 0.3
    hidden = hide_patches(torch.ones(count, 1, 8, 8), sizes, drop_rate)[:, 0] == 0
    whole = int((~hidden.any(2).any(1)).sum())
    # A grid of four patches is whole by chance in 0.7 ** 4 of all images, one of sixteen hardly.
    chance = (1 + 0.7**4 + 0.7**16) / 3
    assert abs(whole - count * chance) <= 4 * (count * chance * (1 - chance)) ** 0.5
    torch.manual_seed(0)
    hidden = hide_patches(torch.ones(count, 1, 8, 8), [4], drop_rate)[:, 0] == 0
    patches = hidden.view(count, 2, 4, 2, 4)
    assert torch.equal(patches.amax((2, 4)), patches.amin((2, 4)))
    shares = patches[:, :, 0, :, 0].float().mean(0)
    assert (shares - drop_rate).abs().max() <= 4 * (drop_rate * (1 - drop_rate) / count) ** 0.5


@pytest.mark.parametrize(("drop_rate", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_drop_rates_of_0_and_1_mean_never_and_always(drop_rate: float, share: float) -> None:
    """No patch is hidden, or all of them."""
    hidden = hide_patches(torch.ones(50, 1, 32, 32), [1, 5], drop_rate) == 0
    assert hidden.float().mean() == share


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_precision_and_memory_format_stay(dtype: torch.dtype) -> None:
    """The images keep their type and memory order."""
    images = torch.ones(2, 3, 8, 8, dtype=dtype).contiguous(memory_format=torch.channels_last)
    found = hide_patches(images, [3], 0.5)
    assert found.dtype == dtype
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_options_reach_the_images() -> None:
    """Grid sizes and drop rate of the options are those that are used; labels stay."""
    images, labels = torch.ones(4, 3, 20, 20), torch.arange(4)
    torch.manual_seed(3)
    expected = hide_patches(images, [7, 9], 0.25)
    torch.manual_seed(3)
    found, targets = Config(grid_sizes=(7, 9), drop_rate=0.25).create().prepare(images, labels)
    assert torch.equal(found, expected)
    assert targets is labels


@pytest.mark.parametrize("drop_rate", [-0.1, 1.1, float("nan")])
def test_drop_rates_outside_0_to_1_are_refused(drop_rate: float) -> None:
    """A share that is none is refused by name."""
    with pytest.raises(ConfigError, match=rf"method\.drop_rate: {drop_rate}"):
        Config(drop_rate=drop_rate)


@pytest.mark.parametrize("grid_sizes", [(), (16, -1)])
def test_no_grids_and_negative_ones_are_refused(grid_sizes: tuple[int, ...]) -> None:
    """What is no grid is refused by name."""
    with pytest.raises(ConfigError, match=r"method\.grid_sizes: \["):
        Config(grid_sizes=grid_sizes)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"drop_rate": 75.0}, "drop_rate"),
        ({"drop_rate": float("nan")}, "drop_rate"),
        ({"grid_sizes": []}, "grid_sizes"),
        ({"grid_sizes": [-1]}, "grid_sizes"),
    ],
)
def test_options_out_of_range_are_refused_by_the_function_too(
    options: dict[str, Any], named: str
) -> None:
    """As by the method, with the option's name."""
    with pytest.raises(ConfigError, match=named):
        hide_patches(torch.zeros(1, 3, 4, 4), **({"grid_sizes": [2], "drop_rate": 0.5} | options))
