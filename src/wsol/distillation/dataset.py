"""Training data of heads: features of images, and targets from a teacher."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol._utils.feature_file import KeptFeatures, feature_file
from wsol._utils.progress import Meter
from wsol.data.samples import Samples
from wsol.errors import DataError
from wsol.inference.fitting import Preprocessing, load_inputs
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import observe
from wsol.localizers.distilled import DistilledLocalizer
from wsol.maps import normalize
from wsol.types import Normalization

log = logging.getLogger("wsol")


class Teacher(NamedTuple):
    """Teacher of a distillation; its maps are of the ground-truth labels."""

    localizer: ScoreMaps
    normalization: Normalization
    threshold: float

    def target(
        self, score_map: NDArray[np.float32], student: DistilledLocalizer, grid: tuple[int, int]
    ) -> NDArray[Any] | None:
        """Return the training target of an image; None if the teacher finds no object."""
        heat_map, has_object = normalize(score_map, self.normalization)
        return student.target(heat_map, self.threshold, grid) if has_object else None


class DistillationDataset(NamedTuple):
    """Features and targets of images and their mirror images.

    The targets are boxes as fractions of the image, float32 ``(N, 4)``, or labels of positions,
    int8 ``(N, h, w)``.
    """

    features: KeptFeatures
    targets: NDArray[Any]
    num_errors: int = 0

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return features ``(n, C, h, w)``, float32, and targets ``(n, ...)`` of a subset."""
        return self.features.batch(indices), torch.from_numpy(self.targets[list(indices)])


def build_dataset(
    samples: Samples,
    teacher: Teacher,
    student: DistilledLocalizer,
    preprocessing: Preprocessing,
    folder: Path,
) -> DistillationDataset:
    """Compute features and targets of images and their mirror images.

    Unreadable images, and those in which the teacher finds no object, are skipped and logged.

    Raises:
        DataError: no image remains.
    """
    targets: list[NDArray[Any]] = []
    num_errors = 0
    with Meter("teach", len(samples)) as meter, feature_file(folder) as file:
        for batch in load_inputs(samples.paths(), preprocessing):
            for _, error in batch.errors:
                log.warning("skipped: %s", error)
                num_errors += 1
            meter.advance(len(batch.indices) + len(batch.errors))
            if not batch.indices:
                continue
            images = batch.images
            assert isinstance(images, Tensor)
            labels = torch.from_numpy(samples.labels[batch.indices]).to(images.device)
            maps = teacher.localizer(images, labels).cpu().numpy()
            seen = student.features(observe(student.model, images, student.layers))
            mirrored = student.features(observe(student.model, images.flip(-1), student.layers))
            finite = (seen.isfinite() & mirrored.isfinite()).flatten(1).all(1)
            grid = (seen.shape[2], seen.shape[3])
            for row, index in enumerate(batch.indices):
                target = teacher.target(maps[row], student, grid)
                if target is None or not finite[row]:
                    sees_none = "the teacher finds no object"
                    reason = sees_none if finite[row] else "its features are not finite"
                    log.warning("skipped: %s: %s", samples.ids[index], reason)
                    continue
                for view, of_view in ((seen, target), (mirrored, student.mirrored(target))):
                    file.add(view[row])
                    targets.append(of_view)
        if not targets:
            raise DataError(f"{samples.root}: the teacher finds no object in any training image")
        return DistillationDataset(file.kept(), np.stack(targets), num_errors)
