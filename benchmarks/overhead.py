"""Overhead of each training method over CAM: parameters, multiply-adds, memory and time.

    python benchmarks/overhead.py --chart overhead.png
    python benchmarks/overhead.py --networks resnet50 --methods adl cutmix --batch 4

Prints a table row for each network and method, each value with its ratio to plain training
(``none``) in the same run:

- parameters of the network, including those the method adds for training;
- multiply-adds per image of a training step, including backward, and of inference, by torch's
  counter (convolutions and matrix products);
- peak memory of the process during training steps and during inference, above that before the
  network is created, each in a separate process (Linux);
- time of a training step (the method's preparation, forward, loss, backward, optimizer) and of
  inference with class activation maps. The method and plain training alternate, in changing order:
  the ratio is the median over these pairs. The row of ``none`` compares plain training with a copy
  of itself and thus shows the noise.

Weights are random, which does not affect the cost; draws are seeded by the step.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.optim import SGD
from torch.utils.flop_counter import FlopCounterMode

from wsol.localizers import create_localizer
from wsol.methods import list_methods, method_config
from wsol.methods.network import build_network
from wsol.training.config import TrainConfig

PLAIN = "none"
COLUMNS = {
    "parameters": ("parameters", 1e6, "M"),
    "train_macs": ("multiply-adds, training", 1e9, "G"),
    "infer_macs": ("multiply-adds, inference", 1e9, "G"),
    "train_memory": ("peak memory, training", 1e6, "MB"),
    "infer_memory": ("peak memory, inference", 1e6, "MB"),
    "train_time": ("time, training", 1e-3, "ms"),
    "infer_time": ("time, inference", 1e-3, "ms"),
}


@dataclass(frozen=True)
class Setting:
    """Settings shared by all methods."""

    network: str
    batch: int
    size: int
    classes: int
    stride: int


@dataclass(frozen=True)
class Cell:
    """One value, and its ratio to that of plain training."""

    value: float
    ratio: float


Row = dict[str, Cell]


class Subject:
    """Network with a method, and a batch."""

    def __init__(self, setting: Setting, method: str) -> None:
        """Create it as in training."""
        torch.manual_seed(0)
        config = method_config(method)()
        self.method = config.create()
        self.network = build_network(
            setting.network,
            num_classes=setting.classes,
            method=config,
            output_stride=setting.stride,
            pretrained=False,
        )
        self.method.attach(self.network)
        self.localizer = create_localizer("cam", self.network)
        self.network.to(memory_format=torch.channels_last)
        lr, momentum = TrainConfig.lr, TrainConfig.momentum
        self.optimizer = SGD(self.network.parameters(), lr, momentum, nesterov=True)
        images = torch.randn(setting.batch, 3, setting.size, setting.size)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.labels = torch.arange(setting.batch) % setting.classes

    def loss(self) -> Tensor:
        """Return the loss of a training step."""
        inputs, targets = self.method.prepare(self.images, self.labels)
        return self.method.loss(self.network(inputs, self.labels), targets)

    def train(self, seed: int = 0) -> None:
        """Run one training step."""
        self.network.train()
        torch.manual_seed(seed)
        loss = self.loss()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def infer(self, seed: int = 0) -> None:
        """Compute classes and score maps of the batch."""
        self.network.eval()
        self.localizer.locate(self.images)


def count(setting: Setting, method: str) -> dict[str, float]:
    """Return the parameters, and the multiply-adds per image."""
    subject = Subject(setting, method)
    found: dict[str, float] = {
        "parameters": sum(weight.numel() for weight in subject.network.parameters())
    }
    for name, work in (("train_macs", subject.train), ("infer_macs", subject.infer)):
        with FlopCounterMode(display=False) as counter:
            work()
        found[name] = counter.get_total_flops() / 2 / setting.batch
    return found


def peaks(setting: Setting, method: str) -> dict[str, float]:
    """Return the peak memory in bytes, training and inference each in a new process."""
    found = {}
    for name in ("train", "infer"):
        with get_context("spawn").Pool(1) as pool:
            found[f"{name}_memory"] = pool.apply(peak, (setting, method, name))
    return found


def peak(setting: Setting, method: str, name: str) -> float:
    """Return the maximum memory that a few steps add to this process, in bytes."""
    before = resident("VmRSS")
    subject = Subject(setting, method)
    # Reset the peak of earlier work, including the creation of the network.
    Path("/proc/self/clear_refs").write_text("5")
    for seed in range(4):
        getattr(subject, name)(seed)
    return resident("VmHWM") - before


def resident(name: str) -> float:
    """Return a memory value of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line.split()[1] for line in lines if line.startswith(name)))


def times(setting: Setting, method: str, pairs: int) -> tuple[Row, Row]:
    """Return the times in seconds of plain training and of a method, alternating."""
    plain, other = Subject(setting, PLAIN), Subject(setting, method)
    rows: tuple[Row, Row] = {}, {}
    for name in ("train", "infer"):
        taken: list[tuple[float, float]] = []
        for pair in range(-1, pairs):  # The first pair is a warm-up.
            works = [getattr(subject, name) for subject in (plain, other)]
            order = (0, 1) if pair % 2 else (1, 0)
            spent = {index: seconds(works[index], pair + 1) for index in order}
            if pair >= 0:
                taken.append((spent[0], spent[1]))
        ratio = statistics.median(second / first for first, second in taken)
        for row, values, share in zip(rows, zip(*taken, strict=True), (1.0, ratio), strict=True):
            row[f"{name}_time"] = Cell(statistics.median(values), share)
    return rows


def seconds(work: Callable[[int], None], seed: int) -> float:
    """Return the duration of one step."""
    begin = time.perf_counter()
    work(seed)
    return time.perf_counter() - begin


def measure(setting: Setting, methods: Sequence[str], pairs: int) -> dict[str, Row]:
    """Return all values of one network, by method; plain training comes first."""
    table: dict[str, Row] = {}
    base: dict[str, float] = {}
    for method in [PLAIN, *(name for name in methods if name != PLAIN)]:
        values = count(setting, method) | peaks(setting, method)
        base = base or values
        row = {name: Cell(value, value / base[name]) for name, value in values.items()}
        table[method] = row | times(setting, method, pairs)[1]
        print(markdown_row(setting.network, method, table[method]), flush=True)
    return table


def markdown_row(network: str, method: str, row: Row) -> str:
    """Return one line of the table."""
    cells = [
        f"{row[name].value / scale:.{3 if name == 'parameters' else 1}f} {unit} "
        f"({row[name].ratio:.3f})"
        for name, (_, scale, unit) in COLUMNS.items()
    ]
    return f"| {' | '.join([network, method, *cells])} |"


def plot(path: Path, tables: dict[str, dict[str, Row]]) -> None:
    """Draw the ratios to plain training: a panel for each value, a group of bars per network."""
    from matplotlib.figure import Figure

    methods = list(next(iter(tables.values())))
    figure = Figure(figsize=(9, 2.1 * len(COLUMNS)), layout="constrained")
    panels = figure.subplots(len(COLUMNS), sharex=True)
    width = 0.8 / len(methods)
    for axes, (name, (title, _, _)) in zip(panels, COLUMNS.items(), strict=True):
        for place, method in enumerate(methods):
            ratios = [table[method][name].ratio for table in tables.values()]
            shift = (place - (len(methods) - 1) / 2) * width
            lefts = [group + shift for group in range(len(ratios))]
            bars = axes.bar(lefts, ratios, width, label=method)
            axes.bar_label(bars, fmt="%.2f", fontsize=7)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.margins(y=0.2)
        axes.set_title(title, fontsize=9)
        axes.set_ylabel("of plain CAM", fontsize=8)
    panels[-1].set_xticks(range(len(tables)), list(tables))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure every network with every method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["vgg16", "resnet50", "seresnet50"])
    parser.add_argument("--methods", nargs="+", default=list_methods())
    parser.add_argument("--pairs", type=int, default=10, help="number of timed pairs of steps")
    parser.add_argument("--batch", type=int, default=8, help="images per step")
    parser.add_argument("--image_size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--stride", type=int, default=16, help="output stride, if supported")
    parser.add_argument("--chart", type=Path, help="file for a chart of the ratios")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, batches of {options.batch}; (ratio to plain CAM)\n")
    titles = ["network", "method", *(title for title, _, _ in COLUMNS.values())]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
    tables = {}
    for network in options.networks:
        setting = Setting(
            network, options.batch, options.image_size, options.classes, options.stride
        )
        tables[network] = measure(setting, options.methods, options.pairs)
    if options.chart:
        plot(options.chart, tables)


if __name__ == "__main__":
    main()
