"""Cost of selecting localizer and threshold without ground truth, on multiple data sets.

    python benchmarks/choosing.py ../shared/data/cub10 ../shared/data/cats ...

Each data set is a folder with test images and ground-truth boxes, as for ``photographs.py``. The
test images are split into two random halves, twenty times: on one half localizer, affinity, size,
normalization and threshold are selected as in ``wsol compare``, by pseudo-boxes and by ground
truth, and both selections are evaluated on the other half. Prints one row per data set and list of
candidates, with the localizer of the pseudo-boxes, which agrees with them by construction, and
without it: the mean GT-known of both selections over all draws, their difference, and the
candidates that were selected most often. ``--most`` uses fewer images, sampled evenly.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from photographs import open_boxes
from wsol.data.loader import split_batches
from wsol.data.samples import Samples
from wsol.evaluation.evaluate import Located, locate_split, score_located
from wsol.evaluation.protocols import WSOLEval
from wsol.evaluation.pseudo_boxes import add_pseudo_boxes
from wsol.inference.device import Compute, choose_compute
from wsol.inference.fitting import Preprocessing, fit_localizer
from wsol.inference.loading import prepare_to_localize
from wsol.localizers.config import BEST, LocalizerConfig
from wsol.metrics.functional import best_threshold, box_hits, default_thresholds
from wsol.models import create_network
from wsol.models.create import NUM_CLASSES
from wsol.types import Reference

LOCALIZERS = (
    *(BEST.localizer, "cam", "feature_norm", "ddt"),
    *("cam*ddt", "feature_norm*ddt", "cam*feature_norm"),
)

DRAWS = 20

THRESHOLDS = default_thresholds(0.01)

BATCH_SIZE = 16


class Candidate(NamedTuple):
    """Correct boxes of one candidate, by reference.

    Attributes:
        title: description.
        of_source: whether pseudo-boxes come from the same localizer.
        largest: correctness of the largest contour, bool ``(N, T, 3)``, at IoU 30, 50 and 70.
        all: correctness of the best of all contours, same shape.
    """

    title: str
    of_source: bool
    largest: dict[Reference, NDArray[np.bool_]]
    all: dict[Reference, NDArray[np.bool_]]

    def score(self, reference: Reference, images: NDArray[np.int64]) -> int:
        """Return MaxBoxAccV2 as a count."""
        return int(self.all[reference][images].sum(0).max(0).sum())

    def gt_known(
        self, reference: Reference, images: NDArray[np.int64], others: NDArray[np.int64]
    ) -> float:
        """Return GT-known on other images at the threshold that is best on the given ones."""
        levels = slice(None) if reference == "pseudo_boxes" else slice(1, 2)
        hits = self.largest[reference][images][..., levels].sum((0, 2))
        index = int(np.abs(THRESHOLDS - best_threshold(hits, THRESHOLDS)).argmin())
        return 100 * float(self.largest["ground_truth"][others, index, 1].mean())


def candidates(
    references: dict[Reference, Samples], train: Samples, sizes: Sequence[int], compute: Compute
) -> Iterator[Candidate]:
    """Yield every localizer with and without affinity, at each size and normalization."""
    images = references["ground_truth"]
    for size in sizes:
        network = create_network(num_classes=NUM_CLASSES, output_stride=None)
        prepare_to_localize(network, size)
        network.to(compute.device)
        protocols = (WSOLEval(size, "minmax"), WSOLEval(size, "otsu"))
        for protocol in protocols:
            protocol.thresholds = THRESHOLDS
        transform = protocols[0].transform
        for name in LOCALIZERS:
            for affinity in ("", "auto"):
                localizer = LocalizerConfig(name, affinity=affinity).create(network)
                preprocessing = Preprocessing(
                    transform, network.mean, network.std, compute, BATCH_SIZE
                )
                fit_localizer(localizer, train.paths(), preprocessing)
                batches = split_batches(range(len(images)), BATCH_SIZE)
                located = locate_split(
                    images, network, localizer, compute, transform, batches, 0, knows_classes=False
                )
                hits = right_boxes(references, protocols, located)
                for protocol, of_protocol in zip(protocols, hits, strict=True):
                    yield Candidate(
                        f"{name}{', affinity' if affinity else ''}, {size}, "
                        f"{protocol.normalization}",
                        name == BEST.localizer,
                        {reference: right[:, 0] for reference, right in of_protocol.items()},
                        {reference: right[:, 1] for reference, right in of_protocol.items()},
                    )


def right_boxes(
    references: dict[Reference, Samples], protocols: Sequence[WSOLEval], located: Iterable[Located]
) -> list[dict[Reference, NDArray[np.bool_]]]:
    """Return for each protocol and reference which boxes are correct, ``(N, 2, T, 3)``.

    The second axis has the largest contour and the best of all.
    """
    nothing = np.zeros((2, len(THRESHOLDS)))
    curves: list[dict[Reference, list[NDArray[np.float64]]]] = [
        {reference: [] for reference in references} for _ in protocols
    ]
    for each in located:
        for reference, boxed in references.items():
            scored = score_located(boxed, protocols, each)
            for of_protocol, (_, curve) in zip(curves, scored, strict=True):
                of_protocol[reference].append(nothing if curve is None else np.stack(curve))
    return [
        {reference: box_hits(np.stack(of_images)) for reference, of_images in each.items()}
        for each in curves
    ]


def row(title: str, found: Sequence[Candidate]) -> str:
    """Return a row of the table: both selections, and the difference."""
    count = len(found[0].largest["ground_truth"])
    known: dict[Reference, list[float]] = {reference: [] for reference in get_args(Reference)}
    names: dict[Reference, Counter[str]] = {reference: Counter() for reference in known}
    generator = np.random.default_rng(0)
    for _ in range(DRAWS):
        order = generator.permutation(count)
        val, test = order[: count // 2], order[count // 2 :]
        for reference in known:
            best = max(found, key=lambda each: each.score(reference, val))
            known[reference].append(best.gt_known(reference, val, test))
            names[reference][best.title] += 1
    by_ground_truth, by_pseudo = (float(np.mean(known[key])) for key in get_args(Reference))
    most = (names[key].most_common(1)[0][0] for key in ("pseudo_boxes", "ground_truth"))
    figures = (
        f"{value:.1f}" for value in (by_pseudo, by_ground_truth, by_ground_truth - by_pseudo)
    )
    return f"| {' | '.join((title, str(count // 2), *figures, *most))} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--image_sizes", type=int, nargs="+", default=[224, 448])
    parser.add_argument("--most", type=int, default=10**6, help="maximum test images per set")
    options = parser.parse_args()
    print("| set | val images | without ground truth | with | loss | chosen without | with |")
    print("|---|---|---|---|---|---|---|", flush=True)
    compute = choose_compute("auto", device="cpu")
    for folder in options.folders:
        splits = open_boxes(folder)
        test = splits["test"]
        count = min(options.most, len(test))
        test = test.select([index * len(test) // count for index in range(count)])
        pseudo = add_pseudo_boxes(
            test, batch_size=BATCH_SIZE, num_workers=0, precision="auto", device="cpu"
        )
        references: dict[Reference, Samples] = {"ground_truth": test, "pseudo_boxes": pseudo}
        train = splits.get("train", test)
        found = list(candidates(references, train, options.sizes, compute))
        others = [each for each in found if not each.of_source]
        print(row(folder.name, found))
        print(row(f"{folder.name}, without {BEST.localizer}", others), flush=True)


if __name__ == "__main__":
    main()
