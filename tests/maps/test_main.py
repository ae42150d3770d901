"""What is compiled ahead is all that is compiled."""

import numpy as np
import pytest

from wsol.maps import boxes_at, iou_curves, score_histograms
from wsol.maps.__main__ import main
from wsol.maps._components import find_components
from wsol.maps._tree import tree_curves
from wsol.maps.separability import _count


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_other_arrays_need_no_other_machine_code(dtype: type[np.floating]) -> None:
    """Types of maps, arrays in columns and read-only ones would take half a minute each."""
    main()
    score_map = np.asfortranarray(np.random.default_rng(0).random((9, 7)).astype(dtype))
    in_rows = np.array([[1, 1, 4, 4], [0, 2, 3, 6]])
    in_columns = np.asfortranarray(in_rows, np.int32)
    for array in (score_map, in_rows, in_columns):
        array.setflags(write=False)
    for ground_truth in (in_rows, in_columns, in_rows[::-1]):
        iou_curves(score_map, ground_truth, np.array([0.0, 0.5]))
        iou_curves(score_map[::2], ground_truth, np.array([0.0, 0.5]))
    boxes_at(score_map, 0.5)
    boxes_at(score_map[::2], 0.5, "largest")
    # Each knows one type of arguments, whatever other tests have called before.
    assert [len(f.signatures) for f in (tree_curves, find_components)] == [1, 1]


def test_the_masks_of_the_engine_are_counted_ahead() -> None:
    """Maps are float32 and masks uint8, both in rows."""
    main()
    compiled = len(_count.signatures)
    score_histograms(np.eye(5, dtype=np.float32), np.eye(5, dtype=np.uint8), np.array([0.0]))
    assert len(_count.signatures) == compiled
