"""How long each stage of prediction takes on this machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from wsol.benchmark.benchmark_timing import one_thread, read_stages, seconds_per_image, waiter
from wsol.benchmark.bottleneck import Stage
from wsol.data.images import decode_image
from wsol.data.loader import ImageFiles, Key, collate, normalized
from wsol.data.transforms import EvalTransform
from wsol.formats.convert import convert
from wsol.inference.localizer import Localizer
from wsol.maps import normalize, scale_boxes
from wsol.maps.cut import cut_map
from wsol.models.modes import evaluating, forward
from wsol.results.store import Record, RecordWriter

WRITTEN = 256
"""Rows that are written to tell how long one takes; each file takes some time of its own."""


class PredictStages:
    """Prediction, from pictures to a record and COCO.

    Args:
        locate: a localizer, which is shown the pictures if it wants to see some.
        paths: pictures that can be read.
    """

    def __init__(self, locate: Localizer, paths: Sequence[Path]) -> None:
        """Let the localizer see the pictures."""
        self.locate, self.paths = locate, list(paths)
        self.compute = locate.compute
        transform = EvalTransform(locate.size)
        least_side = transform.least_side if locate.scaled_decoding else None
        self.files = ImageFiles(self.paths, transform, locate.max_pixels, least_side)
        if not locate.is_fitted:
            locate.fit(self.paths)

    def measure(self, seconds: float) -> list[Stage]:
        """Return the stages, each repeated for some seconds."""
        locate, count = self.locate, self.locate.batch_size
        with one_thread():
            reading = read_stages(self.files, self._decode, "resize", seconds)
        batch = collate([self.files[Key(number % len(self.paths))] for number in range(count)])
        device = locate.compute.device
        inputs = normalized(batch.images.to(device), locate.mean, locate.std)
        wait = waiter(device)
        forward = seconds_per_image(lambda: self._forward(inputs), count, seconds, wait)
        located = seconds_per_image(lambda: self._maps(inputs), count, seconds, wait)
        maps = self._maps(inputs).flatten(0, -3).cpu().numpy()

        def boxes() -> None:
            for score_map, size in zip(maps, batch.sizes, strict=True):
                own, _ = normalize(score_map, locate.normalization)
                found, _ = cut_map(own, locate.threshold, locate.objects)
                scale_boxes(found, own.shape[::-1], size)

        box = seconds_per_image(boxes, count, seconds)
        write = seconds_per_image(self._writer(), WRITTEN, seconds)
        return [
            *reading,
            Stage("forward", forward),
            Stage("localize", max(located - forward, 0.0)),
            Stage("box", box),
            Stage("write", write),
        ]

    def whole(self, workers: int, steps: int) -> float:
        """Return seconds per image of so many steps, the first left out, writing left out too."""
        self.locate.workers = workers
        number = (steps + 1) * self.locate.batch_size
        paths = [self.paths[index % len(self.paths)] for index in range(number)]
        begin = 0.0
        for index, _ in enumerate(self.locate(paths, map(str, range(number)))):
            if index == self.locate.batch_size - 1:
                begin = time.perf_counter()
        return (time.perf_counter() - begin) / (number - self.locate.batch_size)

    def _decode(self, index: int) -> None:
        decode_image(self.paths[index], self.files.max_pixels, self.files.least_side)

    def _forward(self, inputs: Tensor) -> None:
        locate = self.locate
        with evaluating(locate.model), torch.inference_mode(), locate.compute.autocast():
            forward(locate.model, inputs)

    def _maps(self, inputs: Tensor) -> Tensor:
        with self.locate.compute.autocast():
            return self.locate.localizer.locate(inputs).maps

    def _writer(self) -> Callable[[], None]:
        found = list(self.locate(self.paths))
        results = [
            replace(found[number % len(found)], image_id=f"{number}.jpg")
            for number in range(WRITTEN)
        ]
        about = self.locate.about(Path())

        def write() -> None:
            with TemporaryDirectory() as folder:
                writer = RecordWriter(Path(folder), about)
                for result in results:
                    writer.add(result)
                writer.close()
                convert(Record(Path(folder)), Path(folder), ("coco",))

        return write
