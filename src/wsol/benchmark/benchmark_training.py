"""How long each stage of training takes on this machine."""

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import SGD

from wsol.benchmark.benchmark_timing import one_thread, read_stages, seconds_per_image, waiter
from wsol.benchmark.bottleneck import Stage
from wsol.data.loader import Key, collate, load_batches, normalized
from wsol.data.train_files import TrainFiles, decode_pixels
from wsol.data.transforms import TrainTransform
from wsol.inference.device import make_accelerator
from wsol.models import Network
from wsol.training.config import TrainConfig
from wsol.types import Precision


class TrainStages:
    """Training by its defaults, of a network whose weights do not matter.

    Args:
        network: it is changed.
        paths: pictures that can be read.
        size: side of the network's input in pixels.
        batch_size: images per step.
        precision: of the network.
        cpu: stay on the CPU even where there is a GPU.
    """

    def __init__(
        self,
        network: Network,
        paths: Sequence[Path],
        size: int,
        batch_size: int,
        precision: Precision = "auto",
        cpu: bool = False,
    ) -> None:
        """Put the network where it computes."""
        self.paths, self.batch_size = list(paths), batch_size
        resize = max(size, round(size * TrainConfig.resize / TrainConfig.size))
        self.files = TrainFiles(self.paths, TrainTransform(size, resize))
        self.accelerator, self.compute = make_accelerator(precision, cpu)
        self.network = network.to(self.compute.device)
        self.network.to(memory_format=torch.channels_last)
        self.network.train()
        for module in network.body.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        # So low that weights drawn by chance stay finite.
        self.optimizer = SGD(network.parameters(), lr=1e-6, momentum=0.9, nesterov=True)

    def measure(self, seconds: float) -> list[Stage]:
        """Return the stages, each repeated for some seconds."""
        with one_thread():
            reading = read_stages(self.files, self._decode, "augment", seconds)
        images = collate([self.files[key] for key in self._keys(0)]).images
        wait = waiter(self.compute.device)
        count = len(images)
        forward = seconds_per_image(lambda: self._loss(images), count, seconds, wait)
        step = seconds_per_image(lambda: self.step(images), count, seconds, wait)
        backward = max(step - forward, 0.0)
        return [*reading, Stage("forward", forward), Stage("backward", backward)]

    def step(self, images: Tensor) -> None:
        """Take one training step."""
        loss = self._loss(images)
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.optimizer.step()

    def whole(self, workers: int, steps: int) -> float:
        """Return seconds per image of so many steps, the first left out, pictures read besides."""
        keys = [self._keys(step) for step in range(steps + 1)]
        begin, count, wait = 0.0, 0, waiter(self.compute.device)
        for number, batch in enumerate(load_batches(self.files, keys, workers)):
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
