"""What an annotation learns of labelled images: a classifier, a localizer, and perhaps a head."""

import logging
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from wsol._utils.feature_file import FeatureFile, feature_file
from wsol.annotation.config import AnnotateConfig
from wsol.annotation.stored_features import StoredFeatures
from wsol.data.labels import GivenLabels
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.transforms import EvalTransform
from wsol.distillation.config import DistillConfig
from wsol.distillation.dataset import Lessons, Teacher
from wsol.distillation.distill import fit_head
from wsol.errors import DataError
from wsol.inference.device import announce, choose_compute
from wsol.inference.fitting import MOST_PICTURES, Look
from wsol.inference.loading import prepare_to_localize
from wsol.localizers._forward import StoredLook, tapped_part
from wsol.localizers.config import BEST, Cutting, Reading, chosen_cutting
from wsol.localizers.distilled import LearntPixels
from wsol.maps import normalize
from wsol.maps.boxes import cut_map
from wsol.methods.network import build_network
from wsol.methods.none import Config
from wsol.models.layout import side_step
from wsol.prediction.inputs import Pictures
from wsol.runs.run import RunInfo, save_run
from wsol.training.cached_features import fit_classifier, set_last_layer
from wsol.training.logger import describe

COMPARED = 64
"""Images at most on which a distilled head is compared with its teacher."""

VIEWS = (1.0, 0.75)
"""Sides of mirrored images that are looked at again, as shares of the input's."""

log = logging.getLogger("wsol")


class Learning:
    """What is learnt of labelled images.

    Args:
        config: the options.
        pictures: the images, with their labels.
        stored: features of those to learn from; they are computed here.
    """

    def __init__(self, config: AnnotateConfig, pictures: Pictures, stored: StoredFeatures) -> None:
        """Make the network and compute the features."""
        assert pictures.labels is not None
        self.config, self.pictures, self.stored = config, pictures, stored
        self.labels: GivenLabels = pictures.labels
        self.several_labels = any(len(own) > 1 for own in self.labels)
        self.compute = choose_compute(config.precision, config.cpu)
        self.trained = build_network(
            config.backbone,
            num_classes=len(self.labels.classes),
            method=Config(),
            output_stride=None,
            pretrained=True,
            size=config.size,
        ).eval()
        # The run keeps the weights as they were trained.
        self.network = deepcopy(self.trained)
        prepare_to_localize(self.network, config.size)
        self.network.to(self.compute.device)
        self.network.to(memory_format=torch.channels_last)
        self.cutting = chosen_cutting(BEST)
        self.localizer = self.cutting.reading.create(self.network, several=self.several_labels)
        self.taps = tuple(dict.fromkeys((*self.localizer.more_taps, *self.localizer.taps)))
        self.look = Look(
            EvalTransform(config.size),
            self.network.mean,
            self.network.std,
            self.compute,
            config.batch_size,
            config.workers,
            config.max_pixels,
        )

    def write(self, run: Path) -> None:
        """Learn, and write a run."""
        least_side = EvalTransform(self.config.size).least_side
        announce(self.compute, self.config.cpu)
        self.stored.compute(
            self.network,
            self.taps,
            self.pictures.paths,
            self.look,
            least_side if self.config.scaled_decoding else None,
        )
        self._fit_head()
        self._fit_localizer()
        cutting, state = self.cutting, self.localizer.state()
        if student := self._student():
            cutting, state = _cutting_of(student), student.state()
        save_run(run, self.trained, self._info(cutting), state)

    def _fit_head(self) -> None:
        """Give the network's head the weights that tell the labels apart."""
        pooled, indices = [], []
        for of_part, look in self.stored.batches(self.network, self.look):
            pooled.append(look.output.features.float().mean((2, 3)).cpu())
            indices += of_part
        kept = [place for place, index in enumerate(indices) if self.labels[index]]
        if not kept:
            raise DataError(f"{self.pictures.root}: no image with a label can be read")
        own = [self.labels[indices[place]] for place in kept]
        number = len(self.labels.classes)
        targets = torch.tensor([labels[0] for labels in own])
        if self.several_labels:
            targets = torch.zeros(len(own), number)
            for row, labels in zip(targets, own, strict=True):
                row[list(labels)] = 1
        found = fit_classifier(torch.cat(pooled)[kept], targets, number)
        for network in (self.trained, self.network):
            set_last_layer(network, *found)

    def _fit_localizer(self) -> None:
        """Show the localizer images evenly taken of all."""
        if not self.localizer.needs_fit:
            return
        looks = [look for _, look in self._evenly(MOST_PICTURES)]
        with self.compute.autocast():
            self.localizer.fit(looks)

    def _evenly(self, count: int) -> Iterator[tuple[list[int], StoredLook]]:
        """Yield indices and features of some images, evenly taken of those that could be read."""
        number = sum(len(indices) for indices, _ in self.stored.batches(self.network, self.look))
        count = min(count, number)
        wanted = {place * number // count for place in range(count)}
        start = 0
        for indices, look in self.stored.batches(self.network, self.look):
            rows = [row for row in range(len(indices)) if start + row in wanted]
            if rows:
                yield [indices[row] for row in rows], look.select(rows)
            start += len(indices)

    def _info(self, cutting: Cutting) -> RunInfo:
        return RunInfo(
            backbone=self.config.backbone,
            output_stride=None,
            classes=self.labels.classes,
            size=self.config.size,
            **asdict(cutting.reading),
            threshold=cutting.threshold,
            threshold_from=cutting.threshold_from,
            data="",
            boxes=None,
            val_share=0.0,
            seed=self.config.seed,
            several_labels=self.several_labels,
            precision=self.compute.precision,
        )

    def _student(self) -> LearntPixels | None:
        """Return a head that is distilled from the localizer, or None where it does not help."""
        choice = self.config.distill
        # A head sees one object in an image: with several it has made boxes worse.
        if choice == "never" or (choice == "auto" and self.several_labels):
            return None
        student = LearntPixels(self.network, self.localizer.described_by)
        reading, threshold, _ = self.cutting
        teacher = Teacher(self.localizer, reading.normalization, threshold)
        with feature_file(self.config.out) as file:
            lessons = self._lessons(student, teacher, file)
            if lessons is None:
                return None
            torch.manual_seed(self.config.seed)
            head = student.head_type(lessons.features.values.shape[1])
            for known, found in zip(
                (head.mean, head.std), lessons.features.channel_statistics(), strict=True
            ):
                known.copy_(found)
            options = DistillConfig(
                self.config.out, self.config.out, seed=self.config.seed, batch_size=16
            )
            student.head = head.to(self.compute.device)
            for row in fit_head(student.head, lessons, options, self.compute.device):
                log.info("%s", describe(row, options.course.epochs))
        return student if choice == "always" or self._helps(student, teacher) else None

    def _labels_of(self, indices: Sequence[int], look: StoredLook) -> Tensor:
        """Return one class of each image, int64 ``(N,)``: its first, or what the network sees."""
        seen = look.logits.argmax(1)
        for row, index in enumerate(indices):
            if self.labels[index]:
                seen[row] = self.labels[index][0]
        return seen

    def _lessons(
        self, student: LearntPixels, teacher: Teacher, file: FeatureFile
    ) -> Lessons | None:
        """Return what the student learns from, or None where the teacher sees no object at all."""
        targets: list[NDArray[Any]] = []
        for indices, look in self.stored.batches(self.network, self.look):
            with self.compute.autocast():
                maps = teacher.localizer(look, self._labels_of(indices, look)).cpu().numpy()
            features = student.features(look)
            grid = (features.shape[2], features.shape[3])
            finite = features.isfinite().flatten(1).all(1)
            for row in range(len(indices)):
                target = teacher.target(maps[row], student, grid)
                if target is None or not finite[row]:
                    continue
                file.add(features[row])
                targets.append(target)
        if not targets:
            return None
        return Lessons(file.kept(), np.stack(targets))

    def _helps(self, student: LearntPixels, teacher: Teacher) -> bool:
        """Return whether a student says what its teacher says of other views of the same images.

        Where the teacher errs by chance, it errs differently in another view: a student that has
        learnt what images have in common then agrees with the other view better than the teacher
        does with itself. An error that the teacher makes in each view is not noticed.
        """
        for share in VIEWS:
            own, of_student = self._agreement(student, teacher, share)
            helps = of_student >= own
            log.info(
                "boxes of mirrored images, at %g of their size: the localizer agrees with itself "
                "to %.3f (IoU), a distilled head to %.3f; %s",
                share,
                own,
                of_student,
                "it may be used" if helps else "it is not used",
            )
            if not helps:
                return False
        return True

    def _agreement(
        self, student: LearntPixels, teacher: Teacher, share: float
    ) -> tuple[float, float]:
        """Return the mean IoU of a teacher's boxes of another view with its own, and a student's.

        Args:
            student: its head has learnt.
            teacher: looks at both views.
            share: side of the mirrored images.
        """
        step = side_step(tapped_part(self.network))
        side = max(round(self.config.size * share / step), 1) * step
        taught, learnt = [], []
        for indices, look in self._evenly(COMPARED):
            files = ImageFiles(self.pictures.paths, self.look.transform, self.look.max_pixels)
            (batch,) = load_batches(files, split_batches(indices, len(indices)), 0)
            images = batch.images.to(self.compute.device)
            images = normalized(images, self.look.mean, self.look.std).flip(-1)
            if side != self.config.size:
                images = interpolate(images, (side, side), mode="bilinear", antialias=True)
            labels = self._labels_of(indices, look)
            with self.compute.autocast():
                again = teacher.localizer(images, labels).flip(-1)
                maps = teacher.localizer(look, labels), student(look, labels)
            other = _boxes(again, self.cutting)
            taught.append(_ious(_boxes(maps[0], self.cutting), other))
            learnt.append(_ious(_boxes(maps[1], _cutting_of(student)), other))
        return float(np.concatenate(taught).mean()), float(np.concatenate(learnt).mean())


def _cutting_of(student: LearntPixels) -> Cutting:
    return chosen_cutting(Reading(student.name, tap=student.taps))


def _boxes(maps: Tensor, cutting: Cutting) -> NDArray[np.float64]:
    """Return one box of each map, ``(N, 4)``, as shares of the image; zeros where there is none."""
    height, width = maps.shape[1:]
    found = np.zeros((len(maps), 4))
    for row, score_map in enumerate(maps.cpu().numpy()):
        heat_map, has_object = normalize(score_map, cutting.reading.normalization)
        if has_object and len(boxes := cut_map(heat_map, cutting.threshold, "one")[0]):
            found[row] = boxes[0] / (width, height, width, height)
    return found


def _ious(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of boxes ``(N, 4)``; empty ones have none."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    common = sides.clip(0).prod(1)
    areas = [(each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others)]
    ious: NDArray[np.float64] = common / np.maximum(areas[0] + areas[1] - common, 1e-12)
    return ious
