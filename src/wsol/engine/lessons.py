"""What a head learns from: features of pictures, and the boxes that a teacher sees in them."""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsol.choices import Normalization
from wsol.data.batches import ImageFiles, load_batches, normalized, split_batches
from wsol.data.samples import Samples
from wsol.engine.fit import Look
from wsol.engine.progress import Meter
from wsol.errors import DataError
from wsol.localizers import ScoreMaps
from wsol.localizers.look import observe
from wsol.localizers.psol import PSOL
from wsol.maps import boxes_at, normalize

log = logging.getLogger("wsol")


class Teacher(NamedTuple):
    """Who gives the boxes.

    Attributes:
        localizer: makes score maps of the true labels.
        normalization: how they are scaled to [0, 1].
        threshold: share of a map's maximum above which a pixel belongs to the box.
    """

    localizer: ScoreMaps
    normalization: Normalization
    threshold: float

    def box(self, score_map: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return the largest box in a map, ``(4,)`` as shares of the picture; None for none.

        Args:
            score_map: raw, ``(H, W)``.
        """
        heat_map, has_object = normalize(score_map, self.normalization)
        boxes = boxes_at(heat_map, self.threshold, "largest")
        if not has_object or len(boxes) == 0:
            return None
        height, width = heat_map.shape
        sides = np.array([width, height, width, height], np.float32)
        box: NDArray[np.float32] = boxes[0].astype(np.float32) / sides
        return box


class Lessons(NamedTuple):
    """Pictures and their mirror images.

    Attributes:
        features: float16 ``(N, C, h, w)``, on disk.
        boxes: float32 ``(N, 4)``, x0 y0 x1 y1 as shares of the picture.
    """

    features: NDArray[np.float16]
    boxes: NDArray[np.float32]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return features ``(n, C, h, w)`` and boxes ``(n, 4)`` of some, float32."""
        chosen = list(indices)
        return torch.from_numpy(self.features[chosen]).float(), torch.from_numpy(self.boxes[chosen])

    def channel_statistics(self, step: int = 64) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each channel, float32 ``(C,)`` each."""
        sums = np.zeros((2, self.features.shape[1]))
        for start in range(0, len(self.features), step):
            some = self.features[start : start + step].astype(np.float64)
            sums += some.sum((0, 2, 3)), np.square(some).sum((0, 2, 3))
        mean, square = sums / (len(self.features) * np.prod(self.features.shape[2:]))
        std = np.sqrt((square - mean**2).clip(0))
        # A channel that never changes tells nothing, however it is scaled.
        std[std == 0] = 1
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


def take_lessons(
    samples: Samples, teacher: Teacher, student: PSOL, look: Look, folder: Path
) -> Lessons:
    """Send pictures and their mirror images through the network, and keep what there is to learn.

    Pictures that cannot be read, or in which the teacher sees nothing, are left out and logged.

    Args:
        samples: the pictures.
        teacher: gives the boxes.
        student: says which features to keep.
        look: how pictures are read.
        folder: where the features lie meanwhile; the file has no name, so nothing is left of it.

    Raises:
        DataError: no picture is left.
    """
    files = ImageFiles(samples.paths(), look.transform)
    batches = split_batches(range(len(samples)), look.batch_size)
    features: NDArray[np.float16] | None = None
    boxes: list[NDArray[np.float32]] = []
    with Meter("teach", len(samples)) as meter, TemporaryFile(dir=folder) as file:
        for batch in load_batches(files, batches, look.workers):
            for _, error in batch.errors:
                log.warning("left out: %s", error)
            meter.advance(len(batch.indices) + len(batch.errors))
            if not batch.indices:
                continue
            images = normalized(batch.images.to(look.device), look.mean, look.std)
            labels = torch.from_numpy(samples.labels[batch.indices]).to(look.device)
            with torch.autocast(look.device.type, enabled=False):
                maps = teacher.localizer(images, labels).cpu().numpy()
                seen = student.features(observe(student.model, images, student.taps))
                mirrored = student.features(observe(student.model, images.flip(-1), student.taps))
            if features is None:
                shape = (2 * len(samples), *seen.shape[1:])
                features = np.memmap(file, np.float16, "w+", shape=shape)
            for row, index in enumerate(batch.indices):
                box = teacher.box(maps[row])
                if box is None:
                    log.warning("left out: %s: the teacher sees no object", samples.ids[index])
                    continue
                for view, its_box in ((seen, box), (mirrored, box[[2, 1, 0, 3]])):
                    features[len(boxes)] = view[row].half().cpu().numpy()
                    boxes.append(its_box)
                boxes[-1][[0, 2]] = 1 - boxes[-1][[0, 2]]
    if features is None or not boxes:
        raise DataError(f"{samples.root}: the teacher sees no object in any training picture")
    return Lessons(features[: len(boxes)], np.stack(boxes))
