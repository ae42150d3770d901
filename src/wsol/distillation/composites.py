"""Composite images of objects cut out by a teacher, with known pixels of each object."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, interpolate, max_pool2d, pad

from wsol._utils.feature_file import feature_file
from wsol._utils.progress import Meter
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.samples import Samples
from wsol.distillation.dataset import DistillationDataset, Teacher
from wsol.errors import DataError
from wsol.inference.fitting import Preprocessing
from wsol.inference.postprocess import Postprocessing, localize_image
from wsol.localizers import ScoreMaps
from wsol.localizers._forward import observe
from wsol.localizers.distilled import DistilledLocalizer
from wsol.maps import normalize, objects_at
from wsol.maps._components import label_components
from wsol.maps.normalize import grey_levels, threshold_levels
from wsol.metrics.average_precision import Boxes, box_average_precision

log = logging.getLogger("wsol")

AREAS = (0.03, 0.8)
"""Range of the area of a cut-out object, as fractions of the image."""

MAX_OBJECTS = 6
"""Maximum objects per composite image."""

COMPOSITES_PER_IMAGE = 3
"""Composite images per image of the teacher."""

MAX_BACKGROUNDS = 200
"""Maximum number of backgrounds in memory."""

BACKGROUND_CELLS = 56
"""Cells along each side of an image, for averaging the colours around an object."""

DEPTH_SIDE = 112
"""Side in pixels of the masks on which depths are computed."""


class Cutout(NamedTuple):
    """Object cut out of an image: uint8 ``(3, h, w)``, and its mask, bool ``(h, w)``."""

    pixels: Tensor
    mask: Tensor
    label: int


@dataclass(frozen=True)
class Material:
    """Objects for composite images, and backgrounds: images with blurred objects, uint8."""

    cutouts: tuple[Cutout, ...]
    backgrounds: tuple[Tensor, ...]
    num_errors: int = 0


class Composite(NamedTuple):
    """Composite image, uint8 ``(3, H, W)``, and the classes of its objects.

    The instances are the number of the visible object at each pixel, from 1, int16 ``(H, W)``.
    """

    image: Tensor
    instances: Tensor
    labels: list[int]


def find_cutout(
    image: Tensor, heat_map: NDArray[np.float32], threshold: float, label: int
) -> Cutout | None:
    """Return the object of an image with one object; None if it seems to have none or several.

    A single object is a compact connected component with nearly all pixels above the threshold, one
    peak, and at most one side on the image's border. The image is uint8 ``(3, H, W)``.
    """
    grey = grey_levels(heat_map)
    above = np.ascontiguousarray(grey > threshold_levels(grey, np.array([threshold]))[0])
    labels, boxes = label_components(above)
    areas = np.bincount(labels.ravel())[1:]
    if len(areas) == 0 or len(objects_at(heat_map, threshold).boxes) > 1:
        return None
    largest = int(areas.argmax())
    x0, y0, x1, y1 = boxes[largest].tolist()
    height, width = above.shape
    borders = (x0 == 0) + (y0 == 0) + (x1 == width) + (y1 == height)
    area = areas[largest]
    fills = area >= 0.9 * areas.sum() and area >= 0.4 * (x1 - x0) * (y1 - y0)
    if borders > 1 or not fills or not AREAS[0] <= area / above.size <= AREAS[1]:
        return None
    mask = torch.from_numpy(labels[y0:y1, x0:x1] == largest + 1)
    return Cutout(image[:, y0:y1, x0:x1].clone(), mask, label)


def blurred_away(image: Tensor, mask: Tensor, reach: int = 5) -> Tensor:
    """Return an image with masked pixels replaced by the mean colour of their surroundings.

    The surroundings reach this number of cells of a grid of 56 x 56; if all of them are masked, the
    colour is the mean of the image. The image is uint8 ``(3, H, W)``, the mask bool ``(H, W)``.
    """
    kept = (~mask)[None].float()
    cells = adaptive_avg_pool2d(torch.cat((image * kept, kept)), BACKGROUND_CELLS)
    around = avg_pool2d(cells, 2 * reach + 1, 1, reach)
    mean = cells.sum((1, 2), keepdim=True)
    colours = torch.where(around[3:] > 0, around, mean)
    colours = colours[:3] / colours[3:].clamp(min=1e-6)
    filled = interpolate(colours[None], mask.shape, mode="bilinear", align_corners=False)[0]
    return torch.where(mask, filled.round().to(torch.uint8), image)


def compose(material: Material, generator: np.random.Generator) -> Composite:
    """Return an image of one to six objects, many of which touch.

    Source: Dwibedi, Misra & Hebert, Cut, Paste and Learn: Surprisingly Easy Synthesis for Instance
    Detection, ICCV 2017, section 3: blended edges, occlusion, truncation; the masks are a
    teacher's.
    """
    background = material.backgrounds[generator.integers(len(material.backgrounds))]
    image = (background.flip(-1) if generator.random() < 0.5 else background).float()
    height, width = image.shape[1:]
    instances = torch.zeros(height, width, dtype=torch.int16)
    number = int(generator.integers(1, MAX_OBJECTS + 1))
    side = generator.uniform(0.25, 0.85) * min(height, width) / np.sqrt(number)
    labels: list[int] = []
    places: list[tuple[float, float, int, int]] = []
    first = generator.integers(len(material.cutouts))
    alike = generator.random() < 0.7
    same = [each for each in material.cutouts if each.label == material.cutouts[first].label]
    choice = same if alike else material.cutouts
    for _ in range(number):
        cutout = choice[generator.integers(len(choice))]
        pixels, cover = _scaled(cutout, side * generator.uniform(0.75, 1.3), (height, width))
        if generator.random() < 0.5:
            pixels, cover = pixels.flip(-1), cover.flip(-1)
        rows, columns = cover.shape
        x, y = _place(places, (rows, columns), (height, width), generator)
        # At least 80 % of the object is in the image.
        left = int(np.clip(x - columns / 2, -0.2 * columns, width - 0.8 * columns))
        top = int(np.clip(y - rows / 2, -0.2 * rows, height - 0.8 * rows))
        ys, xs = slice(max(top, 0), top + rows), slice(max(left, 0), left + columns)
        window = image[:, ys, xs]
        inner = (
            slice(max(-top, 0), max(-top, 0) + window.shape[1]),
            slice(max(-left, 0), max(-left, 0) + window.shape[2]),
        )
        alpha = _blended(cover, int(generator.integers(0, 4)))[inner]
        shown = pixels[:, *inner] * generator.uniform(0.85, 1.15)
        image[:, ys, xs] = window * (1 - alpha) + shown * alpha
        labels.append(cutout.label)
        instances[ys, xs][cover[inner] > 0.5] = len(labels)
        places.append((left + columns / 2, top + rows / 2, rows, columns))
    return Composite(image.clamp(0, 255).to(torch.uint8), instances, labels)


def _scaled(cutout: Cutout, side: float, most: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return pixels and soft mask of an object scaled to the box area of a square."""
    rows, columns = cutout.mask.shape
    scale = side / np.sqrt(rows * columns)
    size = [
        int(np.clip(round(sides * scale), 12, limit))
        for sides, limit in zip((rows, columns), most, strict=True)
    ]
    stacked = torch.cat((cutout.pixels.float(), cutout.mask[None].float()))[None]
    resized = interpolate(stacked, size, mode="bilinear", antialias=True)[0]
    return resized[:3], resized[3]


def _place(
    places: Sequence[tuple[float, float, int, int]],
    own: tuple[int, int],
    size: tuple[int, int],
    generator: np.random.Generator,
) -> tuple[float, float]:
    """Return a center, in most cases such that the box touches that of an existing object."""
    if not places or generator.random() < 0.2:
        x, y = generator.uniform(0.15, 0.85, 2) * (size[1], size[0])
        return float(x), float(y)
    x, y, rows, columns = places[int(generator.integers(len(places)))]
    angle, reach = generator.uniform(0, 2 * np.pi), generator.uniform(0.35, 0.55)
    across, down = np.cos(angle), np.sin(angle)
    touch = min((columns + own[1]) / max(abs(across), 1e-3), (rows + own[0]) / max(abs(down), 1e-3))
    return float(x + across * touch * reach), float(y + down * touch * reach)


def _blended(cover: Tensor, radius: int) -> Tensor:
    side = 2 * radius + 1
    return avg_pool2d(cover[None, None], side, 1, radius)[0, 0]


def instance_targets(composite: Composite, grid: tuple[int, int]) -> NDArray[np.float16]:
    """Return the targets of a head for a composite image, float16 ``(2, h, w)``: depth and class.

    The depth is 0.5 at an object's edge and 1 at its deepest pixel, measured by erosion of the mask
    in pixels; 0 outside. The class is that of the object at the center of a position, -1 outside.
    """
    instances = composite.instances
    number = len(composite.labels)
    masks = torch.stack([instances == each for each in range(1, number + 1)]).float()
    small = (adaptive_avg_pool2d(masks, DEPTH_SIDE) > 0.5).float()
    left, depth = small, torch.zeros_like(small)
    while left.any():
        depth += left
        left = -max_pool2d(-pad(left, (1, 1, 1, 1)), 3, 1)
    deepest = depth.amax((1, 2), keepdim=True).clamp(min=1)
    depths = adaptive_avg_pool2d((small * (0.5 + 0.5 * depth / deepest)).amax(0)[None], grid)[0]
    rows, columns = (
        ((torch.arange(count) + 0.5) * total / count).long()
        for count, total in zip(grid, instances.shape, strict=True)
    )
    classes = torch.tensor([-1, *composite.labels])[instances.long()[rows][:, columns]]
    found: NDArray[np.float16] = torch.stack((depths, classes.float())).half().numpy()
    return found


def take_material(samples: Samples, teacher: Teacher, preprocessing: Preprocessing) -> Material:
    """Return objects and backgrounds of a data set, as localized by a teacher.

    Unreadable images are skipped and logged.

    Raises:
        DataError: no object can be cut out.
    """
    files = ImageFiles(samples.paths(), preprocessing.transform)
    batches = split_batches(range(len(samples)), preprocessing.batch_size)
    cutouts: list[Cutout] = []
    backgrounds: list[Tensor] = []
    num_errors = 0
    with Meter("cut out", len(samples)) as meter:
        for batch in load_batches(files, batches, preprocessing.num_workers):
            for _, error in batch.errors:
                log.warning("skipped: %s", error)
                num_errors += 1
            meter.advance(len(batch.indices) + len(batch.errors))
            if not batch.indices:
                continue
            images = normalized(
                batch.images.to(preprocessing.compute.device), preprocessing.mean, preprocessing.std
            )
            labels = _padded([samples.labels_of(index) for index in batch.indices])
            maps = teacher.localizer(images, labels.to(preprocessing.compute.device)).cpu().numpy()
            for own, image, score_maps in zip(labels.tolist(), batch.images, maps, strict=True):
                known = [label for label in own if label >= 0]
                of_labels = [
                    normalize(score_map, teacher.normalization)
                    for score_map in score_maps[: len(known)]
                ]
                if not all(has_object for _, has_object in of_labels):
                    continue
                heat_map = np.max([each for each, _ in of_labels], axis=0)
                if len(known) == 1:
                    found = find_cutout(image, heat_map, teacher.threshold, known[0])
                    cutouts += [found] if found else []
                if len(backgrounds) < MAX_BACKGROUNDS:
                    # Also removes the object's edge and shadow.
                    object_mask = torch.from_numpy(heat_map > 0.7 * teacher.threshold)
                    backgrounds.append(blurred_away(image, object_mask))
    if not cutouts:
        raise DataError(
            f"{samples.root}: no image shows a single object that could be cut out; use "
            "--student pixels"
        )
    log.info("cut out %d objects of %d images", len(cutouts), len(samples))
    return Material(tuple(cutouts), tuple(backgrounds), num_errors)


def _padded(labels: Sequence[Sequence[int] | NDArray[np.int64]]) -> Tensor:
    """Return the labels of each image, int64 ``(N, K)``, padded with -1."""
    known = [torch.as_tensor(np.asarray(each, np.int64)) for each in labels]
    return torch.nn.utils.rnn.pad_sequence(known, batch_first=True, padding_value=-1)


def take_composites(
    material: Material,
    number: int,
    student: DistilledLocalizer,
    preprocessing: Preprocessing,
    folder: Path,
    seed: int,
) -> DistillationDataset:
    """Compose images, compute their features, and return the data set for the head.

    Image number n is drawn from (seed, n). The file of features in the folder is unnamed, so it
    vanishes with the process.
    """
    targets: list[NDArray[np.float16]] = []
    with Meter("compose", number) as meter, feature_file(folder) as file:
        for composed, inputs in _batches(material, range(number), preprocessing, seed):
            seen = student.features(observe(student.model, inputs, student.layers))
            for features, composite in zip(seen, composed, strict=True):
                file.add(features)
                targets.append(instance_targets(composite, (seen.shape[2], seen.shape[3])))
            meter.advance(len(composed))
        return DistillationDataset(file.kept(), np.stack(targets), material.num_errors)


def composite_ap50(
    localizer: ScoreMaps,
    cut: Postprocessing,
    material: Material,
    numbers: Sequence[int],
    preprocessing: Preprocessing,
    seed: int = 0,
) -> float:
    """Return AP50 in percent of a localizer, which gets the labels of each composite image."""
    found, true = [], []
    for composed, inputs in _batches(material, numbers, preprocessing, seed):
        labels = _padded([sorted(set(each.labels)) for each in composed])
        maps = localizer(inputs, labels.to(preprocessing.compute.device)).cpu().numpy()
        for own, composite, score_maps in zip(labels.numpy(), composed, maps, strict=True):
            height, width = composite.instances.shape
            scores = np.where(own < 0, 0.0, 1.0)
            said = localize_image(cut, "", (width, height), own, scores, score_maps)
            found.append(Boxes(said.boxes, said.box_labels, said.box_scores))
            true.append(_seen_boxes(composite))
    return box_average_precision(found, true).ap50 or 0.0


def _batches(
    material: Material, numbers: Sequence[int], preprocessing: Preprocessing, seed: int
) -> Iterator[tuple[list[Composite], Tensor]]:
    """Yield composite images and the network's input."""
    for keys in split_batches(numbers, preprocessing.batch_size):
        composed = [compose(material, np.random.default_rng([seed, key.index])) for key in keys]
        images = torch.stack([each.image for each in composed])
        images = images.contiguous(memory_format=torch.channels_last).to(
            preprocessing.compute.device
        )
        yield composed, normalized(images, preprocessing.mean, preprocessing.std)


def _seen_boxes(composite: Composite) -> Boxes:
    """Return the boxes of the visible region of each object."""
    boxes, labels = [], []
    for number, label in enumerate(composite.labels, 1):
        ys, xs = np.nonzero((composite.instances == number).numpy())
        if len(ys):
            boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
            labels.append(label)
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    return Boxes(corners, np.array(labels, np.int64), np.ones(len(labels)))
