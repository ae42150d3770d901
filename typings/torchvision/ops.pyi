from typing import Literal

from torch import Tensor

def generalized_box_iou_loss(
    boxes1: Tensor,
    boxes2: Tensor,
    reduction: Literal["none", "mean", "sum"] = "none",
    eps: float = 1e-7,
) -> Tensor: ...
