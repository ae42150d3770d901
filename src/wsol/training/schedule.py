"""The learning rate over a training, as a pure function of the progress."""

import math

from wsol.training.config import MILESTONES
from wsol.types import Schedule

WARM_UP = 0.1


def lr_factor(
    schedule: Schedule, progress: float, milestones: tuple[float, ...] = MILESTONES
) -> float:
    """Return the share of the learning rate to use.

    Args:
        schedule: ``step`` divides by ten at each milestone; ``onecycle`` rises for a tenth of
            the training and falls to zero along a cosine.
        progress: share of the training done, in [0, 1].
        milestones: shares of the training.

    Source: Choe & Shim, CVPR 2019, section 4.1 (step, from the authors' code); Smith & Topin,
    Super-Convergence, 2018 (onecycle).

    >>> [round(lr_factor("step", progress), 6) for progress in (0, 0.3, 0.6, 0.9)]
    [1.0, 0.1, 0.01, 0.001]
    >>> [round(lr_factor("onecycle", progress), 6) for progress in (0.05, 0.1, 0.55, 1)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if schedule == "step":
        return 0.1 ** sum(progress >= step for step in milestones)
    if progress < WARM_UP:
        return progress / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))
