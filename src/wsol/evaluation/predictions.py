"""Boxes of the predicted classes, from the same pass over the images as the metrics."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from accelerate.utils import gather_object
from numpy.typing import NDArray

from wsol.data.samples import Samples
from wsol.errors import ImageError
from wsol.inference.device import Compute
from wsol.inference.localizer import Localizer
from wsol.inference.postprocess import localize_image
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import ForwardPass, Images
from wsol.localizers.base import Localized, observe_for
from wsol.metrics.average_precision import AveragePrecision, Boxes, box_average_precision
from wsol.reports.page_data import GroundTruth, Summary, report_thresholds, summarize
from wsol.results.localization import Localization


class PredictedMaps(NamedTuple):
    """Predicted classes of an image ``(K,)``, -1 for none; their probabilities and raw maps."""

    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    score_maps: NDArray[np.float32]


class Predictions:
    """Predictions for some images of a split; heat maps are not kept, so memory is bounded.

    Args:
        locate: predictor.
        samples: images of the split.
        ground_truth: ground truth of the images that the report shows.
        all_images: whether boxes of the other images are predicted, too.

    Attributes:
        found: prediction of each image by its index in the split.
    """

    def __init__(
        self,
        locate: Localizer,
        samples: Samples,
        ground_truth: Mapping[str, GroundTruth],
        all_images: bool,
    ) -> None:
        """Store the images to predict."""
        self.locate, self.samples, self.ground_truth = locate, samples, ground_truth
        self.all_images = all_images
        self.thresholds = report_thresholds(locate.threshold)
        self.found: dict[int, Summary] = {}

    def includes(self, index: int) -> bool:
        """Return whether an image of the split is predicted."""
        return self.all_images or self.samples.ids[index] in self.ground_truth

    def share(self, localizer: ScoreMaps, images: Images, indices: Sequence[int]) -> Images:
        """Return a forward pass that also serves the predictor, or the images if it cannot."""
        own = self.locate.localizer
        augmented = localizer.uses_augmentation or own.uses_augmentation
        # The gradients of all augmentations together would need too much memory.
        different = augmented and (localizer is not own or own.needs_gradients)
        if different or not any(map(self.includes, indices)):
            return images
        return own.observe(images) if localizer is own else observe_for([localizer, own], images)

    def maps(
        self, localizer: ScoreMaps, images: Images, indices: Sequence[int], found: Localized
    ) -> dict[int, PredictedMaps]:
        """Return the maps of the predicted classes by row of a batch.

        Args:
            localizer: localizer whose maps are evaluated.
            images: images of the batch, or the forward pass of ``share``.
            indices: indices of the images in the split.
            found: output of the localizer for the batch.
        """
        rows = [row for row, index in enumerate(indices) if self.includes(index)]
        if not rows:
            return {}
        seen, scores = self.locate.predict_classes(found.logits)
        maps: dict[int, NDArray[np.float32]] = {}
        if localizer is self.locate.localizer and seen.shape[1] == 1:
            same = (seen[:, 0] == found.labels).tolist()
            own = found.maps.cpu().numpy()
            maps = {row: own[[row]] for row in rows if same[row] or not localizer.sees_classes}
        rest = [row for row in rows if row not in maps]
        shared = isinstance(images, ForwardPass) and (
            images.augmented is not None or 4 * len(rest) >= len(indices)
        )
        if rest and shared:
            others = self.locate.localizer.locate(images, seen).maps.cpu().numpy()
            maps |= {row: others[row] for row in rest}
        elif rest:
            # For few images, a separate pass is faster than maps of the whole batch.
            pixels = images.source if isinstance(images, ForwardPass) else images
            others = self.locate.localizer.locate(pixels[rest], seen[rest]).maps.cpu().numpy()
            maps |= zip(rest, others, strict=True)
        labels = seen.cpu().numpy()
        return {row: PredictedMaps(labels[row], scores[row], maps[row]) for row in rows}

    def summarize(
        self, index: int, size: tuple[int, int], outcome: PredictedMaps | ImageError
    ) -> Summary:
        """Return what is kept of an image; can be called in any thread."""
        name = self.samples.ids[index]
        if isinstance(outcome, ImageError):
            result = Localization(name, error=outcome)
        else:
            result = localize_image(self.locate.postprocessing, name, size, *outcome)
        return self.summary(result)

    def summary(self, result: Localization) -> Summary:
        """Return what is kept of a prediction."""
        ground_truth = self.ground_truth.get(result.image_id)
        return summarize(result, ground_truth, self.thresholds, ground_truth is not None)

    def gather(self, compute: Compute) -> None:
        """Collect the predictions of all processes."""
        if compute.num_processes > 1:
            self.found = dict(gather_object(list(self.found.items())))

    def in_order(self) -> Iterator[Summary]:
        """Yield what is kept, in the order of the split."""
        return (self.found[index] for index in sorted(self.found))


def average_precision(results: Iterable[Localization], samples: Samples) -> AveragePrecision:
    """Return the average precision of the predicted boxes of all images, which are in order."""
    predicted = (Boxes(each.boxes, each.box_labels, each.box_scores) for each in results)
    ground_truth = [
        Boxes(boxes, samples.labels_of_boxes(index), np.ones(len(boxes)))
        for index, boxes in enumerate(samples.boxes or ())
    ]
    return box_average_precision(predicted, ground_truth)
