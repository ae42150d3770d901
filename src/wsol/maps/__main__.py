"""``python -m wsol.maps`` compiles the numba functions of this package ahead of their first use.

Otherwise the first evaluation and the first prediction after an installation compile them, which
takes half a minute once.
"""

import numpy as np

from wsol.maps import boxes_at, iou_curves, masks_at, objects_at, score_histograms, separability


def main() -> None:
    """Call each compiled function once, with the argument types used by the package."""
    score_map = np.eye(8, dtype=np.float32)
    thresholds = np.array([0.0, 0.5])
    iou_curves(score_map, np.array([[1, 1, 4, 4]]), thresholds)
    masks_at(score_map, 0.5, boxes_at(score_map, 0.5))
    objects_at(score_map, 0.5)
    separability(score_map, 0.5)
    score_histograms(score_map, np.eye(8, dtype=np.uint8), thresholds)


if __name__ == "__main__":
    main()
