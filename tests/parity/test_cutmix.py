"""CutMix cuts the boxes that the published PyTorch re-implementation does."""

from pathlib import Path

import numpy as np

from wsol.methods.cutmix.method import cut_box

SIDE = 224


def test_boxes(parity: Path) -> None:
    """Every recorded box is the same, given its share and its centre."""
    with np.load(parity / "wsolevaluation_cutmix_boxes.npz") as file:
        rows = file["lam_seed_x0y0x1y1"]
    assert len(rows) == 100
    for share, seed, *expected in rows.tolist():
        # The recorded boxes drew their centres from numpy's global generator.
        draws = np.random.RandomState(int(seed))
        centre = int(draws.randint(SIDE)), int(draws.randint(SIDE))
        assert list(cut_box(share, centre, (SIDE, SIDE))) == expected
