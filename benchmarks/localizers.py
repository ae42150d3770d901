"""Localizers compared with pytorch-grad-cam: images per second and peak memory.

    python benchmarks/localizers.py
    python benchmarks/localizers.py --networks resnet50 --localizers gradcam --batches 10

Each network (random weights, which do not affect the cost) and each localizer of both libraries
process the same batches alternately, in changing order: the ratio is the median over batches. Both
read the same layer, wsol in float32 with the default layout, and with the defaults of ``Localizer``
(channels-last, fused batch normalisation), in float32 and, if the processor supports it, in
bfloat16. Peak memory is the maximum that a few batches add to a new process (Linux).
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import timm
import torch
from torch import Tensor

from wsol.inference.device import has_bfloat16
from wsol.localizers import create_localizer
from wsol.models.batch_norm import fuse_batch_norms

PUBLISHED = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
    "layercam": "LayerCAM",
}
LAYERS = {"resnet50": "layer4", "tf_efficientnet_lite0": "bn2"}
KINDS = ("pytorch-grad-cam", "wsol, plain", "wsol, defaults in float32", "wsol, defaults")

Work = Callable[[Tensor, Tensor], object]


@dataclass(frozen=True)
class Setting:
    """Settings shared by all libraries."""

    network: str
    localizer: str
    batch: int
    size: int

    def images(self) -> tuple[Tensor, Tensor]:
        """Return a batch and its labels."""
        torch.manual_seed(0)
        return torch.randn(self.batch, 3, self.size, self.size), torch.arange(self.batch)


def make(setting: Setting, kind: str) -> Work:
    """Return a function from images and labels to score maps."""
    torch.manual_seed(0)
    model, layer = timm.create_model(setting.network).eval(), LAYERS[setting.network]
    if kind == KINDS[0]:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam = getattr(pytorch_grad_cam, PUBLISHED[setting.localizer])
        published = cam(model, [model.get_submodule(layer)])
        return lambda images, labels: published(
            images, [ClassifierOutputTarget(label) for label in labels.tolist()]
        )
    localizer = create_localizer(setting.localizer, model, layers=[layer], interpolation="bilinear")
    if kind == KINDS[1]:
        return localizer
    rounds = kind == KINDS[3] and has_bfloat16(torch.device("cpu"))
    fuse_batch_norms(model, setting.images()[0][:1])
    model.to(memory_format=torch.channels_last)

    def with_defaults(images: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=rounds):
            return localizer(images.contiguous(memory_format=torch.channels_last), labels)

    return with_defaults


def speeds(setting: Setting, batches: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return images per second by kind, and their ratios to pytorch-grad-cam."""
    works = {kind: make(setting, kind) for kind in KINDS}
    images, labels = setting.images()
    taken: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(-1, batches):  # The first batch is a warm-up.
        for kind in KINDS if number % 2 else reversed(KINDS):
            begin = time.perf_counter()
            works[kind](images, labels)
            if number >= 0:
                taken[kind].append(time.perf_counter() - begin)
    rates = {kind: setting.batch / statistics.median(times) for kind, times in taken.items()}
    first = taken[KINDS[0]]
    ratios = {
        kind: statistics.median(a / b for a, b in zip(first, times, strict=True))
        for kind, times in taken.items()
    }
    return rates, ratios


def peak(setting: Setting, kind: str) -> float:
    """Return the maximum memory that a few batches add to this process, in bytes."""
    work, (images, labels) = make(setting, kind), setting.images()
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        work(images, labels)
    return resident("VmHWM") - before


def resident(name: str) -> float:
    """Return a memory value of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * float(next(line.split()[1] for line in lines if line.startswith(name)))


def main() -> None:
    """Compare both libraries on every network with every localizer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=list(LAYERS), choices=list(LAYERS))
    parser.add_argument("--localizers", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--batches", type=int, default=5, help="number of timed batches")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{torch.get_num_threads()} threads, bfloat16 {has_bfloat16(torch.device('cpu'))}\n")
    titles = ["network", "localizer", *(f"{kind}, images/s (ratio), MB" for kind in KINDS)]
    print(f"| {' | '.join(titles)} |\n|{'---|' * len(titles)}", flush=True)
    for network in options.networks:
        for localizer in options.localizers:
            setting = Setting(network, localizer, options.batch, options.image_size)
            rates, ratios = speeds(setting, options.batches)
            cells = []
            for kind in KINDS:
                with get_context("spawn").Pool(1) as pool:
                    memory = pool.apply(peak, (setting, kind))
                cells.append(f"{rates[kind]:.1f} ({ratios[kind]:.2f}x), {memory / 1e6:.0f}")
            print(f"| {' | '.join([network, localizer, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
