"""Boxes for images, from Python."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from wsol.data.sources import ImageSource
from wsol.data.transforms import EvalTransform
from wsol.errors import ConfigError, ImageError
from wsol.inference.fitting import Inputs, Preprocessing, fit_localizer, load_inputs
from wsol.inference.loading import LocalizerOptions, open_model
from wsol.inference.postprocess import Postprocessing, localize_image
from wsol.localizers._forward import has_classes, layer_root, observe
from wsol.localizers.base import ScoreMaps, likely_labels
from wsol.options import (
    BatchSize,
    MaxPixels,
    Name,
    NumWorkers,
    PositiveInt,
    checked,
    no_effect,
    refusal,
)
from wsol.results.localization import Localization, PredictionInfo
from wsol.types import BUNDLED_BACKBONE, Instances, Normalization, Precision, class_index

log = logging.getLogger("wsol")


class Localizer:
    """Finds the objects of the predicted classes in images.

    Args:
        model: a run folder, a run on the Hub (``hf:owner/name``), an ONNX file of
            ``wsol export``, any classifier (ours, timm's, torchvision's, Hugging Face's, your
            own), or None for a pretrained network. A classifier stays as it is, on its own device.
        backbone: timm name of that pretrained network. Its classes are those of ImageNet that it
            was published with; one without a classifier finds objects of one class, ``object``.
        classes: names, in the order of the logits, all different, for a classifier of your own;
            default: those that it knows, or the numbers. For a classifier of one logit the
            name of its positive outcome, or those of both outcomes; for a network without
            classes the name of all objects. Without a model, names of the labels that are given of
            images: results then have these, and none of ImageNet's.
        localizer: makes the score maps; default: the run's, or ``prototypes``, which
            finds the best boxes.
        layers: name or names of the modules whose features the localizer reads; default: the run's,
            or found and logged.
        affinity: name of a module whose features the score map then follows; default: the run's.
        flip: average score maps with those of the flipped image.
        scales: average score maps over images of these sizes, as shares of ``size``.
        normalization: how score maps are scaled to [0, 1]; default: the run's, ``otsu`` with
            threshold ``auto`` (``minmax`` for prototypes), or by minimum and maximum.
        threshold: share of a map's maximum above which a pixel belongs to the object, or ``auto``:
            each map's own, and 0.5 for prototypes; default: the run's where it was chosen on boxes,
            otherwise ``auto``.
        labels: names or indices of the classes to look for in each image; where two classes have
            one name, ``crane#517`` is the one with index 517. Default: those that the classifier
            sees there, which is the likeliest alone unless it is a run that was trained
            on images of several labels.
        objects: ``single`` box for each class, around the largest contour, or ``multiple``, one for
            each object of the map, see ``wsol.maps.objects_at``; default: several for such a run.
        image_size: side of the network's input in pixels; default: the run's, that which
            a classifier says it takes, or 448.
        batch_size: images per step.
        num_workers: processes that decode images; 0 decodes in this one.
        max_pixels: larger images are refused before they are decoded.
        scaled_decoding: decode large JPEG at a half, a quarter or an eighth of their size, to at
            least one and a half times ``size``; much faster, and nearly the same.
        precision: auto is that of the run, or without one bfloat16 where the hardware supports it;
            a classifier whose weights are not float32 is read in their type.
        device: auto (a GPU where there is one), cpu, cuda, cuda:1, mps or xpu.
        mean: of the normalised input, per colour, on the scale of [0, 1]; default: what the
            classifier says, or ImageNet's.
        std: the same for the standard deviation.

    Raises:
        RunError: not a finished run, nor an exported file.
        ConfigError: no such backbone, localizer or layer, an option out of range, or a classifier
            that does not take images of this size.

    >>> from PIL import Image
    >>> import tempfile
    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=2, pretrained=False)
    >>> locate = Localizer(network, classes=("cat", "dog"), size=64)
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
        """Load the network, or take the given one as it is."""
        self.batch_size: int = checked("batch_size", batch_size, BatchSize)
        self.num_workers: int = checked("num_workers", num_workers, NumWorkers)
        self.max_pixels: int = checked("max_pixels", max_pixels, MaxPixels)
        self.scaled_decoding: bool = checked("scaled_decoding", scaled_decoding, bool)
        instances_option: Instances | None = checked("instances", instances, Instances | None)
        options: dict[str, Any] = {
            "localizer": localizer,
            "layers": layers,
            "affinity": affinity,
            "flip": flip,
            "scales": scales,
            "normalization": normalization,
            "threshold": threshold,
            "labels": labels,
            "classes": classes,
            "image_size": image_size,
            "precision": precision,
            "device": device,
            "mean": mean,
            "std": std,
        }
        checked("backbone", backbone, Name)
        if model is not None and backbone != BUNDLED_BACKBONE:
            raise no_effect("backbone", backbone, "with a model")
        if classes is not None and not isinstance(model, nn.Module | None):
            raise no_effect("classes", classes, "with a run, which has its own")
        loaded = open_model(model, backbone, LocalizerOptions(**options))
        self.model, self.compute = loaded.model, loaded.compute
        self.localizer, self.is_fitted = loaded.localizer, loaded.is_fitted
        self.localizer_config, self.threshold, self.threshold_from = loaded.thresholding
        self.classes, self.labels, self.image_size = (
            loaded.classes,
            loaded.labels,
            loaded.image_size,
        )
        self.mean, self.std = loaded.mean, loaded.std
        self.is_multi_label, self.description = loaded.is_multi_label, loaded.description
        self.num_known = loaded.num_known
        if self.labels and not _tells_classes_apart(self.localizer):
            log.info(
                "labels: %s makes one map for all classes; labels change names and scores alone",
                self.localizer_config.localizer,
            )
        self.normalization = self.localizer_config.normalization
        self.instances: Instances = instances_option or (
            "multiple" if loaded.is_multi_label else "single"
        )

    def __call__(
        self,
        images: Path | str | Iterable[Path | str],
        ids: Iterable[str] | None = None,
        label: int | str | None = None,
        labels: Iterable[int | str | Sequence[int | str] | None] | None = None,
    ) -> Iterator[Localization]:
        """Yield one result for each image, in order; one that cannot be read has an ``error``.

        A localizer that is fitted to a collection, and comes without a run, is fitted to the images
        of each call for that call alone, unless ``fit`` was called before.

        Args:
            images: paths of the files, or one path.
            ids: names of the images in the results, as many; default: the paths.
            label: number or name of the class to look for in these images, instead of the
                localizer's ``labels``.
            labels: the same for each image, as many; a list for an image of several classes, None
                for the class that the classifier sees.

        Raises:
            ConfigError: no such class, no paths, or another number of names or labels.
        """
        paths: list[Path] = checked("images", images, list[Path])
        names: list[str] | None = checked("ids", ids, list[Name] | None)
        if names is None:
            names = [path.as_posix() for path in paths]
        if len(names) != len(paths):
            raise refusal("ids", names, f"use {len(paths)} names, one for each image")
        if labels is None:
            given = [self.labels if label is None else [self._index_of(label)]] * len(paths)
        elif label is None:
            given = [self._indices_of(own) for own in labels]
        else:
            raise refusal("label", label, "leave it out, or leave out labels")
        if len(given) != len(paths):
            raise refusal("labels", len(given), f"use {len(paths)} labels, one for each image")
        found = self.locate_chunks(paths, names, [range(len(paths))], given)
        return found if self.is_fitted else self._fitted_to(paths, found)

    def _fitted_to(
        self, paths: Sequence[ImageSource], results: Iterator[Localization]
    ) -> Iterator[Localization]:
        """Yield results of the localizer as it is when fitted to the images of this call."""
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
        """Yield one result for each image of some parts of a collection, in order.

        No batch has images of two parts, so what is found in a part depends on it alone, to the
        last bit.

        Args:
            paths: of the whole collection.
            names: of its images in the results.
            parts: numbers of images, taken as they are needed.
            labels: numbers of the classes to look for in each, none for what the classifier sees;
                default: the localizer's ``labels`` in all.

        Raises:
            ConfigError: a localizer that wants to see images has seen none.
        """
        for inputs in self._inputs(paths, parts):
            found = {
                index: Localization(names[index], error=error) for index, error in inputs.errors
            }
            given = [self.labels if labels is None else labels[index] for index in inputs.indices]
            found |= self._locate(inputs, names, given)
            yield from (found[index] for index in sorted(found))

    def fit(self, images: Iterable[ImageSource]) -> bool:
        """Show a localizer that wants to see a collection of images first this one.

        What it has seen before is forgotten. Localizers that want none stay as they are.

        Args:
            images: paths of the files; those that cannot be read are left out.

        Returns:
            Whether it has seen what it wants to see: False where none can be read.
        """
        paths = images if isinstance(images, Sequence) else list(images)
        self.is_fitted = fit_localizer(self.localizer, paths, self.preprocessing) or self.is_fitted
        return self.is_fitted

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are made the network's input."""
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
        """Yield the likeliest classes of each image, in order; none if it cannot be read.

        Args:
            images: paths of the files, or one path.
            count: of classes at most.

        Yields:
            Names and probabilities in [0, 1], the likeliest first.

        Raises:
            ConfigError: the network has no classes.

        >>> from PIL import Image
        >>> import tempfile
        >>> from wsol.models import create_network
        >>> network = create_network("resnet18", num_classes=2, pretrained=False)
        >>> locate = Localizer(network, classes=("cat", "dog"), size=64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (80, 60)).save(f"{folder}/a.png")
        ...     (likely,) = locate.classify([f"{folder}/a.png"])
        >>> sorted(name for name, _ in likely), f"{sum(share for _, share in likely):.3f}"
        (['cat', 'dog'], '1.000')
        """
        if not has_classes(self.model):
            name = type(layer_root(self.model)).__name__
            raise ConfigError(
                f"classify: {name} has no classes; use a run that was trained with it"
            )
        for likely in self.likely_labels(images, count):
            yield [(self.classes[label], score) for label, score in likely]

    def likely_labels(
        self, images: Path | str | Iterable[Path | str], count: int = 5
    ) -> Iterator[list[tuple[int, float]]]:
        """Yield what ``classify`` does with the classes' numbers, as some classes share a name.

        Args:
            images: paths of the files.
            count: of classes at most.
        """
        if not self.num_known:
            raise ConfigError("the ImageNet network does not know these classes: leave out classes")
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
        # Of broken weights; no format has a word for what is no number.
        return scores.nan_to_num(0.0)

    def info(self, images: Path) -> PredictionInfo:
        """Return what all results have in common, for formats and reports.

        Args:
            images: folder that the images' ids are relative to.
        """
        return PredictionInfo(
            self.classes, images, self.threshold, self.instances, self.description
        )

    def _choose(self, logits: Tensor, given: Sequence[Sequence[int]]) -> Tensor:
        """Return the network's classes to look for, ``(N, K)``; -1 where an image has fewer.

        For a class that it does not know it looks for what it sees.
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
        scores = self._probabilities(logits).gather(1, seen.clamp(min=0)).cpu().double().numpy()
        labels = seen.cpu().numpy()
        for row, own in enumerate(given):
            if not (own or self.num_known):
                labels[row] = -1
            for column, label in enumerate(own):
                if label >= self.num_known:
                    # It is certain, as nothing but what is known of the image says it.
                    labels[row, column], scores[row, column] = label, 1
        cut = Postprocessing(
            self.classes, self.threshold, self.normalization, self.instances, self.is_multi_label
        )
        found = {
            index: localize_image(cut, names[index], size, *rest)
            for index, size, *rest in zip(
                inputs.indices, inputs.sizes, labels, scores, maps.cpu().numpy(), strict=True
            )
        }
        for index, own in zip(inputs.indices, given, strict=True):
            if not (own or self.num_known):
                error = ImageError(names[index], "has no label, and there is no run to find one")
                found[index] = Localization(names[index], error=error)
        return found


def _as_columns(rows: Sequence[Sequence[int]], device: torch.device) -> Tensor:
    """Return lists of classes as int64 ``(N, K)``, K at least 1, with -1 behind shorter ones."""
    longest = max([1, *map(len, rows)])
    return torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows], device=device)


def _tells_classes_apart(localizer: ScoreMaps) -> bool:
    return localizer.sees_classes or getattr(localizer, "classes", None) is not None
