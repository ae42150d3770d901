"""Python interface of localization."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsol.data.sources import ImageSource
from wsol.data.transforms import EvalTransform
from wsol.errors import ConfigError, ImageError
from wsol.inference.config import LocalizerOptions
from wsol.inference.fitting import Inputs, Preprocessing, fit_localizer, load_inputs
from wsol.inference.loading import LoadedClassifier, open_model
from wsol.inference.postprocess import Postprocessing, localize_image
from wsol.localizers._forward import has_classes, layer_root, observe
from wsol.localizers.base import ScoreMaps, likely_labels
from wsol.options import (
    Name,
    PositiveInt,
    checked,
    no_effect,
    refusal,
)
from wsol.results.localization import Localization, PredictionInfo
from wsol.types import BUNDLED_BACKBONE, Instances, Normalization, Precision, class_index

log = logging.getLogger("wsol")


class Localizer(LoadedClassifier):
    """Localizes the objects of the predicted classes in images.

    Args:
        model: run folder, run on the Hub (``hf:owner/name``), ONNX file of ``wsol export``, any
            classifier (of this package, timm, torchvision, Hugging Face or any other
            ``torch.nn.Module``), or None for a pretrained network. A classifier is not modified and
            stays on its device.
        backbone: timm name of the pretrained network. Its classes are the ImageNet classes it was
            published with; a network without a classifier localizes objects of one class,
            ``object``.
        classes: distinct class names, in the order of the logits, for a classifier; default: the
            classifier's names, or numbers. For a classifier with one logit, the name of its
            positive outcome, or the names of both outcomes; for a network without classes, the name
            of all objects. Without a model, names of the labels given for images: results then have
            these names instead of ImageNet's.
        localizer: localizer of the score maps; default: the run's, or ``prototypes``, which has the
            best boxes.
        layers: name or names of the modules whose features the localizer reads; default: the run's,
            or chosen automatically and logged.
        affinity: module whose features refine the score maps; default: the run's.
        flip: average score maps with those of the flipped image.
        scales: image sizes to average score maps over, relative to ``image_size``.
        normalization: scaling of score maps to [0, 1]; default: the run's, ``otsu`` with threshold
            ``auto`` (``minmax`` for prototypes), or ``minmax``.
        threshold: fraction of a map's maximum above which a pixel belongs to the object, or
            ``auto``: a separate threshold per map (0.5 for prototypes); default: the run's, if it
            was chosen on boxes, otherwise ``auto``.
        labels: names or indices of the classes to localize in each image; for classes with the same
            name, ``crane#517`` is the one with index 517. Default: the predicted classes: the top-1
            class, or all likely classes for a run trained on multi-label images.
        instances: ``single`` for one box per class, around the largest contour, or ``multiple`` for
            one box per object of the map, see ``wsol.maps.objects_at``; default: ``single``, or
            ``multiple`` for a run trained on multi-label images.
        image_size: side of the network's input in pixels; default: the run's, the classifier's, or
            448.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in the main process.
        max_pixels: maximum pixels of an image; larger images are rejected before decoding.
        scaled_decoding: decode large JPEG files at 1/2, 1/4 or 1/8 of their size, but at least 1.5
            times ``image_size``; much faster, with nearly the same pixels.
        precision: floating-point precision; ``auto`` uses the run's, or without a run bfloat16 if
            the hardware supports it; a classifier with weights other than float32 uses their type.
        device: compute device: auto (a GPU if available), cpu, cuda, cuda:1, mps or xpu.
        mean: mean of the input normalization per channel, for images in [0, 1]; default: the
            classifier's, or ImageNet's.
        std: standard deviation of the input normalization per channel; default as for ``mean``.

    Raises:
        RunError: not a finished run or an exported file.
        ConfigError: the backbone, localizer or layer does not exist, an option is out of range, or
            the classifier rejects images of this size.

    >>> from PIL import Image
    >>> import tempfile
    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=2, pretrained=False)
    >>> locate = Localizer(network, classes=("cat", "dog"), image_size=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (80, 60)).save(f"{folder}/a.png")
    ...     [result.original_size for result in locate([f"{folder}/a.png"])]
    [(80, 60)]
    """

    def __init__(
        self,
        model: nn.Module | Path | str | None = None,
        *,
        backbone: str = BUNDLED_BACKBONE,
        classes: Sequence[str] | None = None,
        localizer: str | None = None,
        layers: str | Sequence[str] = (),
        affinity: str = "",
        flip: bool = False,
        scales: Sequence[float] = (),
        normalization: Normalization | None = None,
        threshold: float | Literal["auto"] | None = None,
        labels: Sequence[str] = (),
        instances: Instances | None = None,
        image_size: int | None = None,
        batch_size: int = 16,
        num_workers: int = 0,
        max_pixels: int = 50_000_000,
        scaled_decoding: bool = True,
        precision: Precision = "auto",
        device: str = "auto",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        """Load or prepare the network."""
        arguments = locals()
        names = (field.name for field in fields(LocalizerOptions))
        options = LocalizerOptions(**{name: arguments[name] for name in names})
        self.batch_size, self.num_workers = options.batch_size, options.num_workers
        self.max_pixels, self.scaled_decoding = options.max_pixels, options.scaled_decoding
        if model is not None and backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", backbone, "with a model")
        if classes is not None and not isinstance(model, nn.Module | None):
            raise no_effect("classes", classes, "with a run, which has class names")
        super().__init__(**vars(open_model(model, options)))
        self.localizer_config, self.threshold, self.threshold_from = self.thresholding
        if self.labels and not _tells_classes_apart(self.localizer):
            log.info(
                "labels: %s has one map for all classes; labels only change names and scores",
                self.localizer_config.localizer,
            )
        self.normalization = self.localizer_config.normalization
        self.instances: Instances = options.instances or (
            "multiple" if self.is_multi_label else "single"
        )

    def __call__(
        self,
        images: Path | str | Iterable[Path | str],
        ids: Iterable[str] | None = None,
        label: int | str | None = None,
        labels: Iterable[int | str | Sequence[int | str] | None] | None = None,
    ) -> Iterator[Localization]:
        """Yield one result per image, in order; unreadable images have an ``error``.

        Without a run, a localizer that needs fitting is fitted to the images of each call, for that
        call only, unless ``fit`` was called before.

        Args:
            images: image files, or one path.
            ids: image names in the results, one per image; default: the paths.
            label: index or name of the class to localize in these images, instead of the
                localizer's ``labels``.
            labels: class of each image, one entry per image; a list for multiple classes, None for
                the predicted class.

        Raises:
            ConfigError: a class does not exist, there are no paths, or the number of ids or labels
                differs from the images.
        """
        paths: list[Path] = checked("images", images, list[Path])
        names: list[str] | None = checked("ids", ids, list[Name] | None)
        if names is None:
            names = [path.as_posix() for path in paths]
        if len(names) != len(paths):
            raise refusal("ids", names, f"use {len(paths)} names, one per image")
        if labels is None:
            given = [self.labels if label is None else [self._index_of(label)]] * len(paths)
        elif label is None:
            given = [self._indices_of(own) for own in labels]
        else:
            raise refusal("label", label, "leave it out, or leave out labels")
        if len(given) != len(paths):
            raise refusal("labels", len(given), f"use {len(paths)} labels, one per image")
        found = self.locate_chunks(paths, names, [range(len(paths))], given)
        return found if self.is_fitted else self._fitted_to(paths, found)

    def _fitted_to(
        self, paths: Sequence[ImageSource], results: Iterator[Localization]
    ) -> Iterator[Localization]:
        """Yield results of the localizer in its state after fitting to the images of this call."""
        can_locate = fit_localizer(self.localizer, paths, self.preprocessing)
        state = self.localizer.state()
        while True:
            # Another call, or ``fit``, may have fitted it to other images since.
            other = self.localizer.state()
            if can_locate:
                self.localizer.load_state(state)
            result = next(results, None)
            if self.is_fitted:
                self.localizer.load_state(other)
            if result is None:
                return
            yield result

    def locate_chunks(
        self,
        paths: Sequence[ImageSource],
        names: Sequence[str],
        parts: Iterable[range],
        labels: Sequence[Sequence[int]] | None = None,
    ) -> Iterator[Localization]:
        """Yield one result per image for chunks of a collection, in order.

        No batch spans two chunks, so the results of a chunk depend only on its images, bit for bit.

        Args:
            paths: image files of the whole collection.
            names: image names in the results.
            parts: index ranges of the chunks, consumed as needed.
            labels: indices of the classes to localize in each image, empty for the predicted
                classes; default: the localizer's ``labels`` in all.

        Raises:
            ConfigError: the localizer needs fitting and is not fitted.
        """
        for inputs in self._inputs(paths, parts):
            found = {
                index: Localization(names[index], error=error) for index, error in inputs.errors
            }
            given = [self.labels if labels is None else labels[index] for index in inputs.indices]
            found |= self._locate(inputs, names, given)
            yield from (found[index] for index in sorted(found))

    def fit(self, images: Iterable[ImageSource]) -> bool:
        """Fit the localizer to a collection of images, if it needs fitting.

        An earlier fit is discarded. Other localizers are unchanged.

        Args:
            images: image files; unreadable ones are skipped.

        Returns:
            Whether the localizer is ready: False if it needs fitting and no image is readable.
        """
        paths = images if isinstance(images, Sequence) else list(images)
        self.is_fitted = fit_localizer(self.localizer, paths, self.preprocessing) or self.is_fitted
        return self.is_fitted

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of the images."""
        return Preprocessing(
            EvalTransform(self.image_size),
            self.mean,
            self.std,
            self.compute,
            self.batch_size,
            self.num_workers,
            self.max_pixels,
        )

    def classify(
        self, images: Path | str | Iterable[Path | str], count: int = 5
    ) -> Iterator[list[tuple[str, float]]]:
        """Yield the most probable classes of each image, in order; none for unreadable images.

        Args:
            images: image files, or one path.
            count: maximum number of classes.

        Yields:
            Names and probabilities in [0, 1], most probable first.

        Raises:
            ConfigError: the network has no classes.

        >>> from PIL import Image
        >>> import tempfile
        >>> from wsol.models import create_network
        >>> network = create_network("resnet18", num_classes=2, pretrained=False)
        >>> locate = Localizer(network, classes=("cat", "dog"), image_size=64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (80, 60)).save(f"{folder}/a.png")
        ...     (likely,) = locate.classify([f"{folder}/a.png"])
        >>> sorted(name for name, _ in likely), f"{sum(share for _, share in likely):.3f}"
        (['cat', 'dog'], '1.000')
        """
        if not has_classes(self.model):
            name = type(layer_root(self.model)).__name__
            raise ConfigError(f"classify: {name} has no classes; use a run trained with it")
        for likely in self.likely_labels(images, count):
            yield [(self.classes[label], score) for label, score in likely]

    def likely_labels(
        self, images: Path | str | Iterable[Path | str], count: int = 5
    ) -> Iterator[list[tuple[int, float]]]:
        """Yield the result of ``classify`` with class indices, as classes may share a name.

        Args:
            images: image files, or one path.
            count: maximum number of classes.
        """
        if not self.num_known:
            raise ConfigError(
                "classes: the ImageNet network cannot predict them; leave classes out"
            )
        paths: list[Path] = checked("images", images, list[Path])
        count = checked("count", count, PositiveInt)
        for inputs in self._inputs(paths, [range(len(paths))]):
            found: dict[int, list[tuple[int, float]]] = {index: [] for index, _ in inputs.errors}
            if inputs.indices:
                with self.compute.autocast():
                    logits = observe(self.model, inputs.images).logits
                scores = self._probabilities(logits)
                top = scores.topk(min(count, len(self.classes)))
                for index, *row in zip(
                    inputs.indices, top.values.tolist(), top.indices.tolist(), strict=True
                ):
                    pairs = zip(*row, strict=True)
                    found[index] = [(label, score) for score, label in pairs]
            yield from (found[index] for index in sorted(found))

    def _indices_of(self, labels: int | str | Sequence[int | str] | None) -> list[int]:
        if labels is None:
            return []
        several = [labels] if isinstance(labels, int | str) else labels
        return list(dict.fromkeys(map(self._index_of, several)))

    def _index_of(self, label: int | str) -> int:
        if isinstance(label, str):
            return class_index(label, self.classes)
        index: int = checked("label", label, int)
        if not 0 <= index < len(self.classes):
            raise refusal("label", label, f"use an index from 0 to {len(self.classes) - 1}")
        return index

    def _inputs(self, paths: Sequence[ImageSource], parts: Iterable[range]) -> Iterator[Inputs]:
        least_side = EvalTransform(self.image_size).least_side if self.scaled_decoding else None
        return load_inputs(paths, self.preprocessing, parts, least_side)

    def _probabilities(self, logits: Tensor) -> Tensor:
        logits = logits.float()
        scores = logits.sigmoid() if self.is_multi_label else logits.softmax(1)
        # Broken weights can give NaN, which some formats cannot store.
        return scores.nan_to_num(0.0)

    def info(self, images: Path) -> PredictionInfo:
        """Return the information shared by all results, for formats and reports.

        Args:
            images: folder that the image ids are relative to.
        """
        return PredictionInfo(
            self.classes, images, self.threshold, self.instances, self.description
        )

    @property
    def postprocessing(self) -> Postprocessing:
        """Options of boxes from score maps."""
        return Postprocessing(
            self.classes, self.threshold, self.normalization, self.instances, self.is_multi_label
        )

    def predict_classes(self, logits: Tensor) -> tuple[Tensor, NDArray[np.float64]]:
        """Return the predicted classes, int64 ``(N, K)`` with -1 for none, and probabilities."""
        seen = self._choose(logits, [()] * len(logits))
        return seen, self._scores(logits, seen)

    def _scores(self, logits: Tensor, seen: Tensor) -> NDArray[np.float64]:
        """Return the probabilities ``(N, K)`` of classes ``(N, K)``."""
        scores = self._probabilities(logits).gather(1, seen.clamp(min=0))
        return scores.cpu().double().numpy()

    def _choose(self, logits: Tensor, given: Sequence[Sequence[int]]) -> Tensor:
        """Return the network's classes to localize, ``(N, K)``; -1 for images with fewer.

        Classes unknown to the network are replaced by the predicted ones.
        """
        if all(own and max(own) < self.num_known for own in given):
            return _as_columns(given, logits.device)
        seen = likely_labels(logits) if self.is_multi_label else logits.argmax(1, keepdim=True)
        rows = [
            [label if label < self.num_known else row[0] for label in own] or row
            for own, row in zip(given, seen.tolist(), strict=True)
        ]
        return _as_columns(rows, logits.device)

    def _locate(
        self, inputs: Inputs, names: Sequence[str], given: Sequence[Sequence[int]]
    ) -> dict[int, Localization]:
        if not inputs.indices:
            return {}
        with self.compute.autocast():
            logits, seen, maps = self.localizer.locate(
                inputs.images, lambda logits: self._choose(logits, given)
            )
        scores = self._scores(logits, seen)
        labels = seen.cpu().numpy()
        for row, own in enumerate(given):
            if not (own or self.num_known):
                labels[row] = -1
            for column, label in enumerate(own):
                if label >= self.num_known:
                    # The label is given, not predicted, so its probability is 1.
                    labels[row, column], scores[row, column] = label, 1
        found = {
            index: localize_image(self.postprocessing, names[index], size, *rest)
            for index, size, *rest in zip(
                inputs.indices, inputs.sizes, labels, scores, maps.cpu().numpy(), strict=True
            )
        }
        for index, own in zip(inputs.indices, given, strict=True):
            if not (own or self.num_known):
                error = ImageError(names[index], "has no label; use a run to predict it")
                found[index] = Localization(names[index], error=error)
        return found


def _as_columns(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return lists of classes as int64 ``(N, K)``, K >= 1, padded with -1."""
    longest = max([1, *map(len, rows)])
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows], device=device)


def _tells_classes_apart(localizer: ScoreMaps) -> bool:
    return localizer.sees_classes or getattr(localizer, "classes", None) is not None
