"""Training of an annotation: a classifier, a localizer, and optionally a distilled head."""

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
"""Maximum number of images on which a distilled head is compared with its teacher."""

VIEWS = (1.0, 0.75)
"""Sides of the mirrored images for this comparison, as fractions of the input's."""

log = logging.getLogger("wsol")


class Learning:
    """Trains a classifier, a localizer and a distilled head on labeled images.

    The features of the training images are computed here and stored.
    """

    def __init__(
        self, config: AnnotateConfig, images: ImageCollection, stored: StoredFeatures
    ) -> None:
        """Create the network and the localizer."""
        assert images.labels is not None
        self.config, self.images, self.stored = config, images, stored
        self.labels: GivenLabels = images.labels
        self.is_multi_label = any(len(own) > 1 for own in self.labels)
        self.num_readable = 0
        self.compute = choose_compute(config.precision, config.device)
        self.trained = build_network(
            config.backbone,
            num_classes=len(self.labels.classes),
            method=Config(),
            output_stride=None,
            pretrained=True,
            size=config.image_size,
        ).eval()
        # The run gets the original weights, without the changes for localization.
        self.network = deepcopy(self.trained)
        prepare_to_localize(self.network, config.image_size)
        self.network.to(self.compute.device)
        self.network.to(memory_format=torch.channels_last)
        self.thresholding = resolve_threshold(BEST)
        self.localizer = self.thresholding.localizer_config.create(
            self.network, several=self.is_multi_label
        )
        self.layers = tuple(dict.fromkeys((*self.localizer.extra_layers, *self.localizer.layers)))
        transform = EvalTransform(config.image_size)
        self.preprocessing = Preprocessing.of(
            transform, self.network, self.compute, config, config.max_pixels
        )

    def write(self, run: Path) -> None:
        """Train, and write a run."""
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
        """Fit the last layer of the network to the labels, and count the readable images."""
        pooled, indices = [], []
        for of_chunk, forward_pass in self.stored.batches(self.network, self.preprocessing):
            pooled.append(forward_pass.output.features.float().mean((2, 3)).cpu())
            indices += of_chunk
        self.num_readable = len(indices)
        kept = [place for place, index in enumerate(indices) if self.labels[index]]
        if not kept:
            raise DataError(f"{self.images.root}: no labeled image is readable; check the images")
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
        """Fit the localizer to images that are spread evenly over all."""
        if not self.localizer.needs_fit:
            return
        passes = [forward_pass for _, forward_pass in self._evenly(MAX_FIT_IMAGES)]
        with self.compute.autocast():
            self.localizer.fit(passes)

    def _evenly(self, count: int) -> Iterator[tuple[list[int], StoredForwardPass]]:
        """Yield indices and features of images that are spread evenly over all readable ones."""
        count = min(count, self.num_readable)
        chosen = {place * self.num_readable // count for place in range(count)}
        start = 0
        for indices, forward_pass in self.stored.batches(self.network, self.preprocessing):
            rows = [row for row in range(len(indices)) if start + row in chosen]
            if rows:
                yield [indices[row] for row in rows], forward_pass.select(rows)
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
        """Return a head that is distilled from the localizer, or None if it does not help."""
        choice = self.config.distill
        # The head finds one object per image: it has made boxes worse on multi-label images.
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

    def _labels_of(self, indices: Sequence[int], forward_pass: StoredForwardPass) -> Tensor:
        """Return one class of each image, int64 ``(N,)``: its first label, or the predicted one."""
        seen = forward_pass.logits.argmax(1)
        for row, index in enumerate(indices):
            if self.labels[index]:
                seen[row] = self.labels[index][0]
        return seen

    def _dataset(
        self, student: DistilledPixels, teacher: Teacher, file: FeatureFile
    ) -> DistillationDataset | None:
        """Return the training data of the student, or None if the teacher finds no object."""
        targets: list[NDArray[Any]] = []
        for indices, forward_pass in self.stored.batches(self.network, self.preprocessing):
            with self.compute.autocast():
                maps = (
                    teacher.localizer(forward_pass, self._labels_of(indices, forward_pass))
                    .cpu()
                    .numpy()
                )
            features = student.features(forward_pass)
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
        """Return whether the student's boxes agree with the teacher's boxes of mirrored images.

        Random errors of the teacher differ between an image and its mirror image. A student that
        has averaged them out agrees with the teacher's boxes of mirror images better than the
        teacher does itself. Errors that the teacher makes in both are not detected.
        """
        for share in VIEWS:
            own, of_student = self._agreement(student, teacher, share)
            helps = of_student >= own
            log.info(
                "IoU with the localizer's boxes of mirrored images at scale %g: localizer %.3f, "
                "distilled head %.3f; %s",
                share,
                own,
                of_student,
                "the head may be used" if helps else "the head is not used",
            )
            if not helps:
                return False
        return True

    def _agreement(
        self, student: DistilledPixels, teacher: Teacher, share: float
    ) -> tuple[float, float]:
        """Return the mean IoU of the teacher's boxes of mirror images with its own and a student's.

        The side of the mirror images is ``share`` of the input's.
        """
        step = side_step(layer_root(self.network))
        side = max(round(self.config.image_size * share / step), 1) * step
        teacher_ious, student_ious = [], []
        for indices, forward_pass in self._evenly(COMPARED):
            files = ImageFiles(
                self.images.paths, self.preprocessing.transform, self.preprocessing.max_pixels
            )
            (batch,) = load_batches(files, split_batches(indices, len(indices)), 0)
            images = batch.images.to(self.compute.device)
            images = normalized(images, self.preprocessing.mean, self.preprocessing.std).flip(-1)
            if side != self.config.image_size:
                images = interpolate(images, (side, side), mode="bilinear", antialias=True)
            labels = self._labels_of(indices, forward_pass)
            with self.compute.autocast():
                again = teacher.localizer(images, labels).flip(-1)
                maps = teacher.localizer(forward_pass, labels), student(forward_pass, labels)
            other = _boxes(again, self.thresholding)
            teacher_ious.append(_ious(_boxes(maps[0], self.thresholding), other))
            student_ious.append(_ious(_boxes(maps[1], _thresholding_of(student)), other))
        return float(np.concatenate(teacher_ious).mean()), float(
            np.concatenate(student_ious).mean()
        )


def _thresholding_of(student: DistilledPixels) -> Thresholding:
    return resolve_threshold(LocalizerConfig(student.name, layers=student.layers))


def _boxes(maps: Tensor, thresholding: Thresholding) -> NDArray[np.float64]:
    """Return one box per map, ``(N, 4)``, as fractions of the image; zeros without an object."""
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
    """Return the IoU of each pair of boxes ``(N, 4)``; 0 for empty boxes."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    common = sides.clip(0).prod(1)
    areas = [(each[:, 2:] - each[:, :2]).prod(1) for each in (boxes, others)]
    ious: NDArray[np.float64] = common / np.maximum(areas[0] + areas[1] - common, 1e-12)
    return ious
