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
from wsol.distillation.dataset import DistillationDataset, Teacher
from wsol.distillation.distill import fit_head
from wsol.errors import DataError
from wsol.inference.device import announce, choose_compute
from wsol.inference.fitting import MAX_FIT_IMAGES, Preprocessing
from wsol.inference.loading import prepare_to_localize
from wsol.localizers._forward import StoredForwardPass, layer_root
from wsol.localizers.config import BEST, LocalizerConfig, Thresholding, resolve_threshold
from wsol.localizers.distilled import DistilledPixels
from wsol.maps import normalize
from wsol.maps.boxes import threshold_map
from wsol.methods.network import build_network
from wsol.methods.none import Config
from wsol.models.layout import side_step
from wsol.prediction.inputs import ImageCollection
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
        images: the images, with their labels.
        stored: features of those to learn from; they are computed here.
    """

    def __init__(
        self, config: AnnotateConfig, images: ImageCollection, stored: StoredFeatures
    ) -> None:
        """Make the network and compute the features."""
        assert images.labels is not None
        self.config, self.images, self.stored = config, images, stored
        self.labels: GivenLabels = images.labels
        self.is_multi_label = any(len(own) > 1 for own in self.labels)
        self.compute = choose_compute(config.precision, config.device)
        self.trained = build_network(
            config.backbone,
            num_classes=len(self.labels.classes),
            method=Config(),
            output_stride=None,
            pretrained=True,
            size=config.image_size,
        ).eval()
        # The run keeps the weights as they were trained.
        self.network = deepcopy(self.trained)
        prepare_to_localize(self.network, config.image_size)
        self.network.to(self.compute.device)
        self.network.to(memory_format=torch.channels_last)
        self.thresholding = resolve_threshold(BEST)
        self.localizer = self.thresholding.localizer_config.create(
            self.network, several=self.is_multi_label
        )
        self.layers = tuple(dict.fromkeys((*self.localizer.extra_layers, *self.localizer.layers)))
        self.preprocessing = Preprocessing(
            EvalTransform(config.image_size),
            self.network.mean,
            self.network.std,
            self.compute,
            config.batch_size,
            config.num_workers,
            config.max_pixels,
        )

    def write(self, run: Path) -> None:
        """Learn, and write a run."""
        least_side = EvalTransform(self.config.image_size).least_side
        announce(self.compute, self.config.device)
        self.stored.compute(
            self.network,
            self.layers,
            self.images.paths,
            self.preprocessing,
            least_side if self.config.scaled_decoding else None,
        )
        self._fit_head()
        self._fit_localizer()
        thresholding, state = self.thresholding, self.localizer.state()
        if student := self._student():
            thresholding, state = _thresholding_of(student), student.state()
        save_run(run, self.trained, self._info(thresholding), state)

    def _fit_head(self) -> None:
        """Give the network's head the weights that tell the labels apart."""
        pooled, indices = [], []
        for of_chunk, preprocessing in self.stored.batches(self.network, self.preprocessing):
            pooled.append(preprocessing.output.features.float().mean((2, 3)).cpu())
            indices += of_chunk
        kept = [place for place, index in enumerate(indices) if self.labels[index]]
        if not kept:
            raise DataError(f"{self.images.root}: no image with a label can be read")
        own = [self.labels[indices[place]] for place in kept]
        number = len(self.labels.classes)
        targets = torch.tensor([labels[0] for labels in own])
        if self.is_multi_label:
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
        looks = [preprocessing for _, preprocessing in self._evenly(MAX_FIT_IMAGES)]
        with self.compute.autocast():
            self.localizer.fit(looks)

    def _evenly(self, count: int) -> Iterator[tuple[list[int], StoredForwardPass]]:
        """Yield indices and features of some images, evenly taken of those that could be read."""
        number = sum(
            len(indices) for indices, _ in self.stored.batches(self.network, self.preprocessing)
        )
        count = min(count, number)
        wanted = {place * number // count for place in range(count)}
        start = 0
        for indices, preprocessing in self.stored.batches(self.network, self.preprocessing):
            rows = [row for row in range(len(indices)) if start + row in wanted]
            if rows:
                yield [indices[row] for row in rows], preprocessing.select(rows)
            start += len(indices)

    def _info(self, thresholding: Thresholding) -> RunInfo:
        return RunInfo(
            backbone=self.config.backbone,
            output_stride=None,
            classes=self.labels.classes,
            image_size=self.config.image_size,
            **asdict(thresholding.localizer_config),
            threshold=thresholding.threshold,
            threshold_from=thresholding.threshold_from,
            data="",
            boxes=None,
            val_fraction=0.0,
            seed=self.config.seed,
            is_multi_label=self.is_multi_label,
            precision=self.compute.precision,
        )

    def _student(self) -> DistilledPixels | None:
        """Return a head that is distilled from the localizer, or None where it does not help."""
        choice = self.config.distill
        # A head sees one object in an image: with several it has made boxes worse.
        if choice == "never" or (choice == "auto" and self.is_multi_label):
            return None
        student = DistilledPixels(self.network, self.localizer.described_by)
        localizer_config, threshold, _ = self.thresholding
        teacher = Teacher(self.localizer, localizer_config.normalization, threshold)
        with feature_file(self.config.out) as file:
            dataset = self._dataset(student, teacher, file)
            if dataset is None:
                return None
            torch.manual_seed(self.config.seed)
            head = student.head_type(dataset.features.values.shape[1])
            for known, found in zip(
                (head.mean, head.std), dataset.features.channel_statistics(), strict=True
            ):
                known.copy_(found)
            options = DistillConfig(
                self.config.out, self.config.out, seed=self.config.seed, batch_size=16
            )
            student.head = head.to(self.compute.device)
            for row in fit_head(student.head, dataset, options, self.compute.device):
                log.info("%s", describe(row, options.defaults.epochs))
        return student if choice == "always" or self._helps(student, teacher) else None

    def _labels_of(self, indices: Sequence[int], preprocessing: StoredForwardPass) -> Tensor:
        """Return one class of each image, int64 ``(N,)``: its first, or what the network sees."""
        seen = preprocessing.logits.argmax(1)
        for row, index in enumerate(indices):
            if self.labels[index]:
                seen[row] = self.labels[index][0]
        return seen

    def _dataset(
        self, student: DistilledPixels, teacher: Teacher, file: FeatureFile
    ) -> DistillationDataset | None:
        """Return what the student learns from, or None where the teacher sees no object at all."""
        targets: list[NDArray[Any]] = []
        for indices, preprocessing in self.stored.batches(self.network, self.preprocessing):
            with self.compute.autocast():
                maps = (
                    teacher.localizer(preprocessing, self._labels_of(indices, preprocessing))
                    .cpu()
                    .numpy()
                )
            features = student.features(preprocessing)
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
        return DistillationDataset(file.kept(), np.stack(targets))

    def _helps(self, student: DistilledPixels, teacher: Teacher) -> bool:
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
        self, student: DistilledPixels, teacher: Teacher, share: float
    ) -> tuple[float, float]:
        """Return the mean IoU of a teacher's boxes of another view with its own, and a student's.

        Args:
            student: its head has learnt.
            teacher: looks at both views.
            share: side of the mirrored images.
        """
        step = side_step(layer_root(self.network))
        side = max(round(self.config.image_size * share / step), 1) * step
        student_labels, learnt = [], []
        for indices, preprocessing in self._evenly(COMPARED):
            files = ImageFiles(
                self.images.paths, self.preprocessing.transform, self.preprocessing.max_pixels
            )
            (batch,) = load_batches(files, split_batches(indices, len(indices)), 0)
            images = batch.images.to(self.compute.device)
            images = normalized(images, self.preprocessing.mean, self.preprocessing.std).flip(-1)
            if side != self.config.image_size:
                images = interpolate(images, (side, side), mode="bilinear", antialias=True)
            labels = self._labels_of(indices, preprocessing)
            with self.compute.autocast():
                again = teacher.localizer(images, labels).flip(-1)
                maps = teacher.localizer(preprocessing, labels), student(preprocessing, labels)
            other = _boxes(again, self.thresholding)
            student_labels.append(_ious(_boxes(maps[0], self.thresholding), other))
            learnt.append(_ious(_boxes(maps[1], _thresholding_of(student)), other))
        return float(np.concatenate(student_labels).mean()), float(np.concatenate(learnt).mean())


def _thresholding_of(student: DistilledPixels) -> Thresholding:
    return resolve_threshold(LocalizerConfig(student.name, layers=student.layers))


def _boxes(maps: Tensor, thresholding: Thresholding) -> NDArray[np.float64]:
    """Return one box of each map, ``(N, 4)``, as shares of the image; zeros where there is none."""
    height, width = maps.shape[1:]
    found = np.zeros((len(maps), 4))
    for row, score_map in enumerate(maps.cpu().numpy()):
        heat_map, has_object = normalize(score_map, thresholding.localizer_config.normalization)
        if has_object and len(
            boxes := threshold_map(heat_map, thresholding.threshold, "single")[0]
        ):
            found[row] = boxes[0] / (width, height, width, height)
    return found


def _ious(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each pair of boxes ``(N, 4)``; empty ones have none."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    common = sides.clip(0).prod(1)
    areas = [(each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others)]
    ious: NDArray[np.float64] = common / np.maximum(areas[0] + areas[1] - common, 1e-12)
    return ious
