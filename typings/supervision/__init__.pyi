"""The part of supervision that wsol uses; it need not be installed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

class Detections:
    xyxy: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    class_id: NDArray[np.int64] | None
    mask: NDArray[np.bool_] | None
    data: dict[str, Any]
    def __init__(
        self,
        xyxy: NDArray[np.floating],
        mask: NDArray[np.bool_] | None = ...,
        confidence: NDArray[np.floating] | None = ...,
        class_id: NDArray[np.integer] | None = ...,
        *,
        data: dict[str, Any] = ...,
    ) -> None: ...
