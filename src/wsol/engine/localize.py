"""Boxes for pictures, from Python."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsol.choices import Normalization, Number
from wsol.data.batches import Batch, ImageFiles, load_batches, normalized, split_batches
from wsol.data.source import Picture
from wsol.data.transforms import EvalTransform
from wsol.engine.config import Precision
from wsol.engine.device import make_accelerator
from wsol.engine.fit import Look, fit_localizer
from wsol.engine.graph import GraphInfo, GraphMaps, is_graph, open_graph
from wsol.engine.hub import is_on_hub
from wsol.engine.run import load_fitted, load_run
from wsol.errors import ConfigError, did_you_mean
from wsol.formats.about import About
from wsol.localization import Localization
from wsol.localizers.base import ScoreMaps, likely_labels
from wsol.localizers.choose import probe
from wsol.localizers.look import find_logits
from wsol.localizers.reading import BEST, chosen_reading
from wsol.maps import normalize, scale_boxes
from wsol.maps.cut import cut_map
from wsol.models import create_network
from wsol.models.create import check_size
from wsol.models.fold import fold_batch_norms
from wsol.models.imagenet import NUM_CLASSES, imagenet_classes
from wsol.models.inputs import class_names, input_spec
from wsol.models.modes import evaluating
from wsol.models.names import BUNDLED_BACKBONE

SIZE = 448
"""Side in pixels of the input of the ImageNet network."""


class Localizer:
    """Finds the objects of the predicted classes in pictures.

    Args:
        model: a run folder, a run on the Hub (``hf:owner/name``), an ONNX file of
            ``wsol export``, any classifier (ours, timm's, torchvision's, Hugging Face's, your
            own), or None for an ImageNet network with its 1,000 classes.
        backbone: timm name of that ImageNet network.
        classes: names, in the order of the logits, for a classifier; default: those that it knows,
            or the numbers.
        localizer: makes the score maps; default: the run's, or ``feature_norm*ddt`` with
            affinity ``auto``, which finds the best boxes, whatever the class.
        tap: name or names of the modules whose features the localizer reads; default: the run's,
            or found and logged.
        affinity: name of a module whose features the score map then follows; default: the run's.
        flip: average score maps with those of the flipped picture.
        scales: average score maps over pictures of these sizes, as shares of ``size``.
        normalization: how score maps are scaled to [0, 1]; default: the run's, or by minimum and
            maximum.
        threshold: share of a map's maximum above which a pixel belongs to the object; default:
            the run's, or that of the localizer.
        labels: names of the classes to look for in each picture; default: those that the
            classifier sees there, which is the likeliest alone unless it is a run that was trained
            on pictures of several labels.
        objects: ``one`` box for each class, around the largest contour, or ``several``, one for
            each part of the map that is above the threshold; default: several for such a run.
        size: side of the network's input in pixels; default: the run's, that which
            a classifier says it takes, or 448.
        batch_size: images per step.
        workers: processes that decode images; 0 decodes in this one.
        max_pixels: larger pictures are refused before they are decoded.
        precision: auto takes bfloat16 where the processor has it.
        cpu: stay on the CPU even where there is a GPU.
        mean: of the normalised input, per colour, on the scale of [0, 1]; default: what the
            classifier says, or ImageNet's.
        std: the same for the standard deviation.

    Raises:
        RunError: not a finished run, nor an exported file.
        ConfigError: no such backbone, localizer or tap, an option out of range, or a classifier
            that does not take pictures of this size.

    >>> from PIL import Image
    >>> import tempfile
    >>> network = create_network("resnet18", num_classes=2, pretrained=False)
    >>> locate = Localizer(network, classes=("cat", "dog"), size=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (80, 60)).save(f"{folder}/a.png")
    ...     [result.image_size for result in locate([f"{folder}/a.png"])]
    [(80, 60)]
    """

    def __init__(
        self,
        model: nn.Module | Path | str | None = None,
        *,
        backbone: str = BUNDLED_BACKBONE,
        classes: Sequence[str] | None = None,
        localizer: str | None = None,
        tap: str | Sequence[str] = (),
        affinity: str = "",
        flip: bool = False,
        scales: Sequence[float] = (),
        normalization: Normalization | None = None,
        threshold: float | None = None,
        labels: Sequence[str] = (),
        objects: Number | None = None,
        size: int | None = None,
        batch_size: int = 16,
        workers: int = 0,
        max_pixels: int = 50_000_000,
        precision: Precision = "auto",
        cpu: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        """Load the network and put it on its device."""
        if threshold is not None and not 0 <= threshold < 1:
            raise ConfigError(f"threshold is {threshold}: it must be in [0, 1)")
        self.batch_size, self.workers, self.max_pixels = batch_size, workers, max_pixels
        self.model: nn.Module
        self.localizer: ScoreMaps
        self.labels: list[int] = []
        if isinstance(model, Path | str) and is_graph(Path(model)):
            fixed = {
                "localizer": localizer,
                "tap": tap,
                "affinity": affinity,
                "flip": flip,
                "scales": scales,
                "labels": labels,
                "size": size,
                "mean": mean,
                "std": std,
                "precision": "" if precision in ("auto", "fp32") else precision,
            }
            info = self._use_graph(Path(model), fixed)
            self.threshold = info.threshold if threshold is None else threshold
            self.normalization = normalization or info.reading.normalization
            self.objects = objects or ("several" if info.several_labels else "one")
            return
        self.accelerator = make_accelerator(precision, cpu)
        names, own, self.several_labels = classes, BEST, False
        if isinstance(model, Path | str):
            self.model, run = load_run(Path(model))
            names, size, own = run.classes, size or run.size, run.reading
            self.several_labels = run.several_labels
        elif model is None:
            self.model = create_network(
                backbone, num_classes=NUM_CLASSES, output_stride=None, size=size or SIZE
            )
            names = imagenet_classes()
        else:
            self.model = model
        spec = input_spec(self.model)
        self.size = size or (spec.size[-1] if isinstance(model, nn.Module) else SIZE)
        self.mean, self.std = mean or spec.mean, std or spec.std
        count = find_logits(check_size(self.model, self.size)).shape[1]
        self.classes = tuple(class_names(self.model, count) if names is None else names)
        self.labels += [self._number(name) for name in labels]
        self.objects = objects or ("several" if self.several_labels else "one")
        if not isinstance(model, nn.Module):
            # It is nobody else's, and learns no more.
            fold_batch_norms(self.model.eval(), probe(self.model, self.size))
        self.model.to(self.accelerator.device)
        self.model.to(memory_format=torch.channels_last)
        asked = SimpleNamespace(
            localizer=localizer,
            tap=(tap,) if isinstance(tap, str) else tuple(tap),
            affinity=affinity,
            flip=flip,
            scales=tuple(scales),
            normalization=normalization,
        )
        self.reading = reading = chosen_reading(own, asked)
        # A path would tell whoever gets the report how this machine is laid out.
        source = backbone if model is None else type(model).__name__
        if isinstance(model, Path | str):
            source = str(model) if is_on_hub(model) else Path(model).absolute().name
        self.description = f"{source}, {reading.localizer}, {self.size} pixels"
        self.normalization = reading.normalization
        several = self.several_labels or len(self.labels) > 1
        self.localizer = reading.create(self.model, several=several)
        self.is_fitted = not self.localizer.needs_fit
        if isinstance(model, Path | str) and reading.shares_state(own):
            self.is_fitted |= load_fitted(Path(model), self.localizer)
        if threshold is None:
            # A run's own was chosen for its own maps; more views of a picture change them little.
            is_own = isinstance(model, Path | str) and reading.without_views == own.without_views
            threshold = run.threshold if is_own else reading.threshold
        self.threshold = threshold

    def _use_graph(self, path: Path, fixed: Mapping[str, object]) -> GraphInfo:
        """Take an exported file for a network, and return what it says of itself.

        Args:
            path: the file.
            fixed: options that it leaves no choice of, by name.
        """
        for name, value in fixed.items():
            if value:
                raise ConfigError(
                    f"{name} cannot be changed in {path}, an exported graph: "
                    "give --run the run folder, or export it again"
                )
        self.model = graph = open_graph(path)
        self.accelerator = make_accelerator("fp32", cpu=True)
        # The graph normalizes by itself.
        self.mean, self.std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        info = graph.info
        self.classes, self.size, self.several_labels = info.classes, info.size, info.several_labels
        self.localizer, self.is_fitted, self.reading = GraphMaps(graph), True, info.reading
        self.description = f"{path.name}, {info.reading.localizer}, {info.size} pixels"
        return info

    def __call__(
        self,
        images: Iterable[Path | str],
        ids: Iterable[str] | None = None,
        label: str | None = None,
    ) -> Iterator[Localization]:
        """Yield one result for each picture, in order; one that cannot be read has an ``error``.

        A localizer that wants to see a collection of pictures first, and comes without a run that
        has seen one, is shown those of the first call.

        Args:
            images: paths of the files.
            ids: names of the pictures in the results; default: the paths.
            label: name of the class to look for in these pictures, instead of ``labels``.

        Raises:
            ConfigError: no such class.
        """
        paths = [Path(image) for image in images]
        names = [path.as_posix() for path in paths] if ids is None else list(ids)
        if not self.is_fitted:
            self.fit(paths)
        yield from self.locate_parts(paths, names, [range(len(paths))], label)

    def locate_parts(
        self,
        paths: Sequence[Picture],
        names: Sequence[str],
        parts: Iterable[range],
        label: str | None = None,
    ) -> Iterator[Localization]:
        """Yield one result for each picture of some parts of a collection, in order.

        No batch has pictures of two parts, so what is found in a part depends on it alone, to the
        last bit.

        Args:
            paths: of the whole collection.
            names: of its pictures in the results.
            parts: numbers of pictures, taken as they are needed.
            label: name of the class to look for in these pictures, instead of ``labels``.

        Raises:
            ConfigError: no such class, or a localizer that wants to see pictures has seen none.
        """
        labels = self.labels if label is None else [self._number(label)]
        for batch in self._batches(paths, parts):
            found = {
                index: Localization(names[index], error=error) for index, error in batch.errors
            }
            found |= self._locate(batch, names, labels)
            yield from (found[index] for index in sorted(found))

    def fit(self, images: Iterable[Picture]) -> None:
        """Show a localizer that wants to see a collection of pictures first this one.

        What it has seen before is forgotten. Localizers that want none stay as they are.

        Args:
            images: paths of the files.

        Raises:
            ConfigError: none of them can be read.
        """
        transform, device = EvalTransform(self.size), self.accelerator.device
        look = Look(transform, self.mean, self.std, device, self.batch_size, self.workers)
        paths = images if isinstance(images, Sequence) else list(images)
        fit_localizer(self.localizer, paths, look)
        self.is_fitted = True

    def classify(
        self, images: Iterable[Path | str], count: int = 5
    ) -> Iterator[list[tuple[str, float]]]:
        """Yield the likeliest classes of each picture, in order; none if it cannot be read.

        Args:
            images: paths of the files.
            count: of classes at most.

        Yields:
            Names and probabilities in [0, 1], the likeliest first.

        >>> from PIL import Image
        >>> import tempfile
        >>> network = create_network("resnet18", num_classes=2, pretrained=False)
        >>> locate = Localizer(network, classes=("cat", "dog"), size=64)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (80, 60)).save(f"{folder}/a.png")
        ...     (likely,) = locate.classify([f"{folder}/a.png"])
        >>> sorted(name for name, _ in likely), f"{sum(share for _, share in likely):.3f}"
        (['cat', 'dog'], '1.000')
        """
        paths = [Path(image) for image in images]
        for batch in self._batches(paths, [range(len(paths))]):
            found: dict[int, list[tuple[str, float]]] = {index: [] for index, _ in batch.errors}
            if batch.indices:
                with evaluating(self.model), torch.inference_mode(), self.accelerator.autocast():
                    logits = find_logits(self.model(self._inputs(batch)))
                scores = self._probabilities(logits)
                top = scores.topk(min(count, len(self.classes)))
                for index, *row in zip(
                    batch.indices, top.values.tolist(), top.indices.tolist(), strict=True
                ):
                    pairs = zip(*row, strict=True)
                    found[index] = [(self.classes[label], score) for score, label in pairs]
            yield from (found[index] for index in sorted(found))

    def _batches(self, paths: Sequence[Picture], parts: Iterable[range]) -> Iterator[Batch]:
        files = ImageFiles(paths, EvalTransform(self.size), self.max_pixels)
        keys = chain.from_iterable(split_batches(part, self.batch_size) for part in parts)
        return load_batches(files, keys, self.workers)

    def _inputs(self, batch: Batch) -> Tensor:
        return normalized(batch.images.to(self.accelerator.device), self.mean, self.std)

    def _probabilities(self, logits: Tensor) -> Tensor:
        logits = logits.float()
        return logits.sigmoid() if self.several_labels else logits.softmax(1)

    def about(self, images: Path) -> About:
        """Return what all results have in common, for formats and reports.

        Args:
            images: folder that the pictures' ids are relative to.
        """
        return About(self.classes, images, self.threshold, self.objects, self.description)

    def _number(self, name: str) -> int:
        if name not in self.classes:
            raise ConfigError(f"no class {name!r}: {did_you_mean(name, self.classes)}")
        return self.classes.index(name)

    def _choose(self, logits: Tensor, labels: Sequence[int]) -> Tensor:
        """Return the classes to look for, ``(N, K)``; -1 where a picture has fewer."""
        if labels:
            return torch.tensor(labels, device=logits.device).expand(len(logits), -1)
        return likely_labels(logits) if self.several_labels else logits.argmax(1, keepdim=True)

    def _locate(
        self, batch: Batch, names: Sequence[str], given: Sequence[int]
    ) -> dict[int, Localization]:
        if not batch.indices:
            return {}
        with self.accelerator.autocast():
            logits, labels, maps = self.localizer.locate(
                self._inputs(batch), lambda logits: self._choose(logits, given)
            )
        scores = self._probabilities(logits)
        return {
            index: self._result(names[index], size, *rest)
            for index, size, *rest in zip(
                batch.indices,
                batch.sizes,
                labels.cpu().numpy(),
                scores.gather(1, labels.clamp(min=0)).double().cpu().numpy(),
                maps.cpu().numpy(),
                strict=True,
            )
        }

    def _result(
        self,
        name: str,
        image_size: tuple[int, int],
        labels: NDArray[np.int64],
        scores: NDArray[np.float64],
        score_maps: NDArray[np.float32],
    ) -> Localization:
        """Return the boxes of a picture's classes ``(K,)`` from their maps ``(K, H, W)``."""
        height, width = score_maps.shape[1:]
        heat_map = np.zeros((height, width), np.float32)
        boxes, box_scores, box_labels = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros(0, np.int64)]
        for label, score, score_map in zip(labels, scores, score_maps, strict=True):
            own, has_object = normalize(score_map, self.normalization)
            if label < 0 or not has_object:
                continue
            heat_map = np.maximum(heat_map, own)
            found, peaks = cut_map(own, self.threshold, self.objects)
            boxes.append(scale_boxes(found, (width, height), image_size))
            box_scores.append(score * peaks)
            box_labels.append(np.full(len(found), label))
        order = np.argsort(-np.concatenate(box_scores), kind="stable")
        best = int(np.where(labels < 0, -1, scores).argmax())
        return Localization(
            image_id=name,
            image_size=image_size,
            label=self.classes[labels[best]],
            class_index=int(labels[best]),
            score=float(scores[best]),
            heat_map=heat_map,
            boxes=np.concatenate(boxes)[order],
            box_scores=np.concatenate(box_scores)[order],
            box_labels=np.concatenate(box_labels)[order],
        )
