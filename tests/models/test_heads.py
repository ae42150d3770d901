"""Maps that a head scales are scaled as all others are."""

import numpy as np
import torch

from wsol.maps.normalize import FLAT_STEPS, normalize
from wsol.models.heads import FLAT, scaled_maps


def test_a_map_is_flat_where_normalize_says_so() -> None:
    """The share of the magnitude below which differences are rounding errors is the same."""
    assert FLAT_STEPS * np.finfo(np.float32).eps == FLAT
    torch.manual_seed(0)
    for share in (0, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1):
        maps = 3 * (1 + share * torch.rand(5, 6, 7)).float()
        found = scaled_maps(maps)
        for own, given in zip(found.numpy(), maps.numpy(), strict=True):
            expected, has_object = normalize(given)
            assert np.array_equal(own, expected)
            assert own.any() == has_object == (share >= 1e-4)
