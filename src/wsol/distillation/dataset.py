"""What a head learns from: features of images, and what a teacher sees in them."""

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
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.samples import Samples
from wsol.errors import DataError
from wsol.inference.fitting import Preprocessing
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import observe
from wsol.localizers.distilled import DistilledLocalizer
from wsol.maps import normalize
from wsol.types import Normalization

log = logging.getLogger("wsol")


class Teacher(NamedTuple):
    """Who says where the objects are.

    Attributes:
        localizer: makes score maps of the true labels.
        normalization: how they are scaled to [0, 1].
        threshold: share of a map's maximum above which a pixel belongs to the object.
    """

    localizer: ScoreMaps
    normalization: Normalization
    threshold: float

    def target(
        self, score_map: NDArray[np.float32], student: DistilledLocalizer, grid: tuple[int, int]
    ) -> NDArray[Any] | None:
        """Return what a student is to say of an image; None where the teacher sees no object.

        Args:
            score_map: raw, ``(H, W)``.
            student: says what it wants to know of a map.
            grid: height and width of its features.
        """
        heat_map, has_object = normalize(score_map, self.normalization)
        return student.target(heat_map, self.threshold, grid) if has_object else None


class DistillationDataset(NamedTuple):
    """Images and their mirror images.

    Attributes:
        features: of the network.
        targets: what the head is to say: float32 ``(N, 4)``, boxes as shares of the image, or
            int8 ``(N, h, w)``, labels of places.
        num_errors: images that could not be read, and are left out.
    """

    features: KeptFeatures
    targets: NDArray[Any]
    num_errors: int = 0

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return features ``(n, C, h, w)``, float32, and targets ``(n, ...)`` of some."""
        return self.features.batch(indices), torch.from_numpy(self.targets[list(indices)])


def build_dataset(
    samples: Samples,
    teacher: Teacher,
    student: DistilledLocalizer,
    preprocessing: Preprocessing,
    folder: Path,
) -> DistillationDataset:
    """Send images and their mirror images through the network, and keep what there is to learn.

    Images that cannot be read, or in which the teacher sees nothing, are left out and logged.

    Args:
        samples: the images.
        teacher: says where the objects are.
        student: says which features to keep, and what to learn of the teacher's maps.
        preprocessing: how images are read.
        folder: where the features lie meanwhile; the file has no name, so nothing is left of it.

    Raises:
        DataError: no image is left.
    """
    files = ImageFiles(samples.paths(), preprocessing.transform)
    batches = split_batches(range(len(samples)), preprocessing.batch_size)
    targets: list[NDArray[Any]] = []
    num_errors = 0
    with Meter("teach", len(samples)) as meter, feature_file(folder) as file:
        for batch in load_batches(files, batches, preprocessing.num_workers):
            for _, error in batch.errors:
                log.warning("left out: %s", error)
                num_errors += 1
            meter.advance(len(batch.indices) + len(batch.errors))
            if not batch.indices:
                continue
            images = normalized(
                batch.images.to(preprocessing.compute.device), preprocessing.mean, preprocessing.std
            )
            labels = torch.from_numpy(samples.labels[batch.indices]).to(
                preprocessing.compute.device
            )
            maps = teacher.localizer(images, labels).cpu().numpy()
            seen = student.features(observe(student.model, images, student.layers))
            mirrored = student.features(observe(student.model, images.flip(-1), student.layers))
            finite = (seen.isfinite() & mirrored.isfinite()).flatten(1).all(1)
            grid = (seen.shape[2], seen.shape[3])
            for row, index in enumerate(batch.indices):
                target = teacher.target(maps[row], student, grid)
                if target is None or not finite[row]:
                    sees_none = "the teacher sees no object"
                    reason = sees_none if finite[row] else "its features are not finite"
                    log.warning("left out: %s: %s", samples.ids[index], reason)
                    continue
                for view, of_view in ((seen, target), (mirrored, student.mirrored(target))):
                    file.add(view[row])
                    targets.append(of_view)
        if not targets:
            raise DataError(f"{samples.root}: the teacher sees no object in any training image")
        return DistillationDataset(file.kept(), np.stack(targets), num_errors)
