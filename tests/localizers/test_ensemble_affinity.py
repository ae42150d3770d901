"""Maps that follow the features of a finer layer, against a slow reference in numpy."""

import numpy as np
import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from wsol.localizers import ensemble as affinity
from wsol.localizers.ensemble import follow_details


def test_details_are_those_of_a_slow_reference() -> None:
    """Place by place, with a grid that is no multiple of the coarse one."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(2, 3, 4, generator=generator)
    details = torch.randn(2, 5, 7, 9, generator=generator)
    enlarged = interpolate(maps[:, None], (7, 9), mode="bilinear")[:, 0].double().numpy()
    for found, coarse, fine, own in zip(
        follow_details(maps, details), maps, details, enlarged, strict=True
    ):
        cells = adaptive_avg_pool2d(fine, (3, 4)).flatten(1).double().numpy()
        mean = cells.mean(1)
        followed = np.zeros((7, 9))
        for row in range(7):
            for column in range(9):
                place = fine[:, row, column].double().numpy() - mean
                cosines = [
                    place @ (cell - mean) / np.linalg.norm(place) / np.linalg.norm(cell - mean)
                    for cell in cells.T
                ]
                weights = np.maximum(cosines, 0) ** 4
                followed[row, column] = np.average(coarse.flatten(), weights=weights)
        followed = (followed - followed.min()) / (followed.max() - followed.min())
        np.testing.assert_allclose(found.numpy(), own**0.4 * followed**0.6, atol=1e-5)


def test_an_outline_is_that_of_the_details() -> None:
    """An object of two cells and a half, of which the coarse map knows two cells."""
    details = torch.zeros(1, 2, 8, 8)
    details[0, 0], details[0, 1, 2:6, 2:7] = 1, 4
    maps = torch.zeros(1, 4, 4)
    maps[0, 1:3, 1:3] = 1
    found = follow_details(maps, details)[0] > 0.5
    assert found.nonzero().amin(0).tolist() == [2, 2]
    assert found.nonzero().amax(0).tolist() == [5, 6]


def test_details_that_are_all_alike_leave_the_map() -> None:
    """It is enlarged, and nothing is divided by zero."""
    maps = torch.rand(1, 2, 2)
    found = follow_details(maps, torch.ones(1, 3, 4, 4))[0]
    own = interpolate(maps[None], (4, 4), mode="bilinear")[0, 0]
    scaled = (own - own.min()) / (own.max() - own.min())
    torch.testing.assert_close(found, own**0.4 * scaled**0.6)


@pytest.mark.parametrize(("limit", "size"), [(48, (6, 8)), (47, (3, 4)), (9, (2, 3))])
def test_fine_grids_are_made_coarser(
    limit: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory grows with the places of both grids together."""
    monkeypatch.setattr(affinity, "MAX_PLACES", limit)
    assert follow_details(torch.rand(1, 2, 2), torch.rand(1, 3, 6, 8)).shape[1:] == size
