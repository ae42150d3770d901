"""Tokens and maps are put on the grid that they come from."""

import pytest
import torch
from torch import nn

from wsol.models.layout import find_layout, prefix_tokens


@pytest.mark.parametrize("registers", range(9))
@pytest.mark.parametrize("side", [2, 3, 4, 5, 7, 8, 14])
def test_tokens_before_the_patches_are_told_by_the_patch_size(side: int, registers: int) -> None:
    """Even where another number would leave a grid as well."""
    model, images = nn.Conv2d(3, 8, 16, 16), torch.zeros(1, 3, 16 * side, 16 * side)
    assert prefix_tokens(side * side + registers, images, model) == registers


@pytest.mark.parametrize(("height", "width"), [(80, 112), (64, 96), (100, 150)])
@pytest.mark.parametrize("registers", [0, 1, 5])
def test_so_they_are_on_a_grid_that_is_not_square(height: int, width: int, registers: int) -> None:
    """The side of an image need not be a multiple of the patch size."""
    model, images = nn.Conv2d(3, 8, 16, 16), torch.zeros(1, 3, height, width)
    tokens = (height // 16) * (width // 16) + registers
    assert prefix_tokens(tokens, images, model) == registers


def test_no_grid_is_guessed() -> None:
    """Without a patch size, neither 3 x 3 nor 2 x 2 behind 5; nor 5 x 6 on a square image."""
    assert prefix_tokens(9, torch.zeros(1, 3, 48, 48), nn.Identity()) is None
    assert prefix_tokens(30, torch.zeros(1, 3, 80, 80), nn.Identity()) == 5
    assert prefix_tokens(35, torch.zeros(1, 3, 80, 80), nn.Identity()) is None


def test_what_the_network_says_comes_first() -> None:
    """Merged patches have no prefix, and a convolution before them does not fit."""
    said = nn.Identity()
    said.num_prefix_tokens = 5
    assert prefix_tokens(9, torch.zeros(1, 3, 48, 48), said) == 5
    assert prefix_tokens(9, torch.zeros(1, 3, 96, 96), nn.Conv2d(3, 8, 4, 4)) == 0


def test_maps_of_the_image_s_aspect_ratio_come_first() -> None:
    """A few channels may look like a side of the grid."""
    images = torch.zeros(1, 3, 64, 64)
    for channels_last, shape in ((False, (1, 3, 4, 4)), (True, (1, 4, 4, 5))):
        layout = find_layout(torch.zeros(shape), images, nn.Identity())
        assert layout is not None
        assert layout.channels_last == channels_last
