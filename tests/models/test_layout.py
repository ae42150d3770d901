"""Feature maps keep their places whatever order a network holds them in."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wsol.models.layout import to_feature_maps


class Body(nn.Module):
    """Says of itself what timm's networks do."""

    def __init__(self, num_features: int, num_prefix_tokens: int = 0) -> None:
        """Keep both numbers."""
        super().__init__()
        self.num_features, self.num_prefix_tokens = num_features, num_prefix_tokens


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 5), st.integers(1, 16))
def test_tokens_go_back_on_their_grid(rows: int, columns: int, prefix: int, patch: int) -> None:
    """Row by row, without class and register tokens, for pictures of any shape."""
    grid = torch.arange(2 * 3 * rows * columns).float().view(2, 3, rows, columns)
    tokens = grid.flatten(2).transpose(1, 2)
    tokens = torch.cat([torch.full((2, prefix, 3), -1.0), tokens], dim=1)
    images = torch.empty(2, 3, rows * patch, columns * patch)
    assert torch.equal(to_feature_maps(tokens, Body(3, prefix), images), grid)


def test_channels_last_is_turned_round() -> None:
    """Maps whose last dimension is the channels are turned, all others stay as they are."""
    maps, images = torch.randn(2, 7, 5, 6), torch.empty(2, 3, 40, 48)
    assert to_feature_maps(maps, Body(7), images) is maps
    assert torch.equal(to_feature_maps(maps.permute(0, 2, 3, 1), Body(7), images), maps)


def test_a_body_that_says_nothing_has_maps() -> None:
    """Without num_features the second dimension is taken for the channels."""
    maps = torch.randn(1, 4, 4, 6)
    assert to_feature_maps(maps, nn.Identity(), torch.empty(1, 3, 8, 8)) is maps
