"""Throughput of each stage of prediction and training."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from wsol.data.images import decode_image
from wsol.data.loader import (
    ImageFiles,
    Key,
    TrainFiles,
    collate,
    decode_pixels,
    load_batches,
    normalized,
)
from wsol.data.transforms import EvalTransform, TrainTransform
from wsol.formats.convert import convert
from wsol.inference.device import make_accelerator
from wsol.inference.localizer import Localizer
from wsol.maps import normalize, scale_boxes
from wsol.maps.boxes import threshold_map
from wsol.models import Network
from wsol.models.utils import evaluating, forward
from wsol.results.store import PredictionStore, PredictionWriter
from wsol.training.config import TrainConfig
from wsol.types import Precision

SLACK = 0.8
"""Target ratio of reading time to the time of all other stages, as reading times vary."""

READING = "reading"
"""Name of all stages in worker processes together."""

ADVICE = {
    READING: "use more cores, or images with fewer pixels",
    "forward": "use a smaller --image_size, another --backbone, or hardware with bfloat16",
    "backward": "use a smaller --image_size, another --backbone, or hardware with bfloat16; "
    "--backbone_lr 0 trains only the head, several times faster",
    "localize": "use another --localizer (cam is the fastest), and no --affinity",
    "box": "use --instances single, or fewer --labels",
    "write": "write fewer formats, or to a faster disk",
}
"""Advice for each stage that is the bottleneck."""


@dataclass(frozen=True)
class Stage:
    """One processing stage.

    Attributes:
        name: stage name.
        seconds: duration per image, in one process.
        in_worker: whether worker processes run it, in parallel with other stages.
    """

    name: str
    seconds: float
    in_worker: bool = False


@dataclass(frozen=True)
class Machine:
    """Number of processor cores, and whether the network also computes on all of them."""

    cores: int
    shared: bool


def required_workers(stages: Sequence[Stage], machine: Machine) -> int:
    """Return the smallest number of workers that avoids waiting, at most the number of cores.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("forward", 0.002)
    >>> required_workers(stages, Machine(cores=8, shared=False))
    3
    >>> required_workers(stages, Machine(cores=2, shared=False))
    2
    """
    reading, rest = _parts(stages, machine)
    return max(1, min(math.ceil(reading / max(SLACK * rest, 1e-9)), machine.cores))


def expected_seconds(stages: Sequence[Stage], num_workers: int, machine: Machine) -> float:
    """Return the expected duration per image, with workers reading in parallel to other stages.

    Without workers, stages run one after another.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("forward", 0.002)
    >>> machine = Machine(8, shared=False)
    >>> [expected_seconds(stages, num_workers, machine) for num_workers in (0, 1, 4)]
    [0.006, 0.004, 0.002]
    """
    if not num_workers:
        return sum(stage.seconds for stage in stages)
    reading, rest = _parts(stages, machine)
    return max(reading / min(num_workers, machine.cores), rest)


def find_bound(stages: Sequence[Stage], num_workers: int, machine: Machine) -> str:
    """Return the bottleneck: `READING`, or the longest of the other stages.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("box", 0.001), Stage("write", 0.002)
    >>> [find_bound(stages, num_workers, Machine(8, shared=False)) for num_workers in (1, 2)]
    ['reading', 'write']
    """
    reading, rest = _parts(stages, machine)
    others = [stage for stage in stages if not stage.in_worker]
    longest = max(others, key=lambda stage: stage.seconds)
    if num_workers:
        return READING if reading / min(num_workers, machine.cores) > rest else longest.name
    return READING if reading > longest.seconds else longest.name


def _parts(stages: Sequence[Stage], machine: Machine) -> tuple[float, float]:
    """Return the seconds of reading, and of all other stages including their core contention."""
    reading = sum(stage.seconds for stage in stages if stage.in_worker)
    rest = sum(stage.seconds for stage in stages if not stage.in_worker)
    return reading, rest + (reading / machine.cores if machine.shared else 0)


LEAST_REPEATS = 2


def seconds_per_image(
    work: Callable[[], object],
    images: int,
    seconds: float,
    wait: Callable[[], object] = lambda: None,
) -> float:
    """Return the duration of work on some images, per image: the median of its repetitions.

    The first call is not timed. The others take at least ``seconds``, each until the device is
    idle, for which ``wait`` waits.

    >>> seconds_per_image(lambda: time.sleep(0.01), images=2, seconds=0.02) >= 0.005
    True
    """
    work()
    wait()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < LEAST_REPEATS:
        begin = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken) / images


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, as in worker processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def read_stages(
    files: ImageFiles, decode: Callable[[int], None], second: str, seconds: float
) -> list[Stage]:
    """Return the duration of decoding images and of their transform, ``second``, in one worker."""
    numbers = range(min(len(files), 16))

    def seconds_of(work: Callable[[int], object]) -> float:
        return seconds_per_image(lambda: list(map(work, numbers)), len(numbers), seconds)

    with one_thread():
        decoded = seconds_of(decode)
        both = seconds_of(lambda index: files[Key(index, (0, 0, index))])
    return [
        Stage("decode", decoded, in_worker=True),
        Stage(second, max(both - decoded, 0.0), in_worker=True),
    ]


def waiter(device: torch.device) -> Callable[[], object]:
    """Return a function that waits until a device is idle."""
    return torch.cuda.synchronize if device.type == "cuda" else lambda: None


WRITTEN = 256
"""Rows written to measure the duration per row; each file has a fixed overhead."""


class PredictStages:
    """Stages of prediction, from readable images to prediction files and COCO."""

    def __init__(self, locate: Localizer, paths: Sequence[Path]) -> None:
        """Fit the localizer to the images."""
        self.locate, self.paths = locate, list(paths)
        self.compute = locate.compute
        transform = EvalTransform(locate.image_size)
        least_side = transform.least_side if locate.scaled_decoding else None
        self.files = ImageFiles(self.paths, transform, locate.max_pixels, least_side)
        if not locate.is_fitted:
            locate.fit(self.paths)

    def measure(self, seconds: float) -> list[Stage]:
        """Measure the stages, each repeated for some seconds."""
        locate, count = self.locate, self.locate.batch_size
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
                found, _ = threshold_map(own, locate.threshold, locate.instances)
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

    def whole(self, num_workers: int, steps: int) -> float:
        """Return seconds per image over ``steps`` steps, without the first and without writing."""
        self.locate.num_workers = num_workers
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
        info = self.locate.info(Path())

        def write() -> None:
            with TemporaryDirectory() as folder:
                writer = PredictionWriter(Path(folder), info)
                for result in results:
                    writer.add(result)
                writer.close()
                convert(PredictionStore(Path(folder)), Path(folder), ("coco",))

        return write


class TrainStages:
    """Stages of training with default options on readable images; weights are modified."""

    def __init__(
        self,
        network: Network,
        paths: Sequence[Path],
        size: int,
        batch_size: int,
        precision: Precision = "auto",
        device: str = "auto",
    ) -> None:
        """Move the network to its device."""
        self.paths, self.batch_size = list(paths), batch_size
        resize = max(size, round(size * TrainConfig.resize / TrainConfig.image_size))
        self.files = TrainFiles(self.paths, TrainTransform(size, resize))
        self.accelerator, self.compute = make_accelerator(precision, device)
        self.network = network.to(self.compute.device)
        self.network.to(memory_format=torch.channels_last)
        self.network.train()
        for module in network.body.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        # Small enough to keep random weights finite.
        self.optimizer = SGD(network.parameters(), lr=1e-6, momentum=0.9, nesterov=True)

    def measure(self, seconds: float) -> list[Stage]:
        """Measure the stages, each repeated for some seconds."""
        reading = read_stages(self.files, self._decode, "augment", seconds)
        images = collate([self.files[key] for key in self._keys(0)]).images
        wait = waiter(self.compute.device)
        count = len(images)
        forward = seconds_per_image(lambda: self._loss(images), count, seconds, wait)
        step = seconds_per_image(lambda: self.step(images), count, seconds, wait)
        backward = max(step - forward, 0.0)
        return [*reading, Stage("forward", forward), Stage("backward", backward)]

    def step(self, images: Tensor) -> None:
        """Run one training step."""
        loss = self._loss(images)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()

    def whole(self, num_workers: int, steps: int) -> float:
        """Return seconds per image over ``steps`` steps, without the first, including reading."""
        keys = [self._keys(step) for step in range(steps + 1)]
        begin, count, wait = 0.0, 0, waiter(self.compute.device)
        for number, batch in enumerate(load_batches(self.files, keys, num_workers)):
            self.step(batch.images)
            wait()
            if number:
                count += len(batch.indices)
            else:
                begin = time.perf_counter()
        return (time.perf_counter() - begin) / count

    def _keys(self, step: int) -> list[Key]:
        first = step * self.batch_size
        numbers = range(first, first + self.batch_size)
        return [Key(number % len(self.paths), (0, 0, number)) for number in numbers]

    def _decode(self, index: int) -> None:
        decode_pixels(self.paths[index], least_side=self.files.least_side)

    def _loss(self, images: Tensor) -> Tensor:
        device, network = self.compute.device, self.network
        inputs = normalized(images.to(device, non_blocking=True), network.mean, network.std)
        labels = torch.zeros(len(images), dtype=torch.int64, device=device)
        with self.compute.autocast():
            return cross_entropy(network(inputs, labels).logits.float(), labels)
