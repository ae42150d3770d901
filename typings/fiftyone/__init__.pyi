"""The part of fiftyone that wsol uses; it need not be installed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

class Detection:
    def __init__(
        self,
        *,
        label: str,
        bounding_box: Sequence[float],
        confidence: float,
        mask: NDArray[np.bool_] | None,
    ) -> None: ...

class Detections:
    detections: list[Detection]
    def __init__(self, detections: list[Detection]) -> None: ...
