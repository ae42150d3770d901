"""Images per second from two worker processes to a training, compared with torchvision.

    python benchmarks/loading.py
    python benchmarks/loading.py --images ../shared/data/cub10/images

Both read the same files, resize to 256 x 256, take a random 224 x 224 crop, flip half of them and
return batches of 16 through a DataLoader; torchvision's pipeline decodes with Pillow and ends with
ToTensor and Normalize, wsol's ends with bytes that the training process normalizes, which is
included. They alternate; the ratio is the median over the rounds. Nothing else should run.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from wsol.data.images import find_images
from wsol.data.loader import TrainFiles, load_batches, normalized
from wsol.data.synthetic.scenes import write_photographs
from wsol.data.transforms import TrainTransform
from wsol.models.utils import IMAGENET_MEAN, IMAGENET_STD
from wsol.training.sampler import ResumableSampler

BATCH, SIZE, RESIZE = 16, 224, 256


class PlainFiles(Dataset[Tensor]):
    """Images read as in torchvision's examples."""

    def __init__(self, paths: list[Path]) -> None:
        """Store the paths."""
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize((RESIZE, RESIZE)),
                transforms.RandomCrop(SIZE),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
            ]
        )

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        """Return one image as the network's input."""
        with Image.open(self.paths[index]) as image:
            source: Tensor = self.transform(image.convert("RGB"))
        return source


def plain(paths: list[Path], num_workers: int, seed: int) -> Iterator[Tensor]:
    """Yield batches by torchvision's pipeline."""
    torch.manual_seed(seed)
    yield from DataLoader(
        PlainFiles(paths), BATCH, shuffle=True, drop_last=True, num_workers=num_workers
    )


def ours(paths: list[Path], num_workers: int, seed: int) -> Iterator[Tensor]:
    """Yield batches by the pipeline of ``wsol train``."""
    order = ResumableSampler(len(paths), BATCH, epochs=1, seed=seed)
    files = TrainFiles(paths, TrainTransform(SIZE, RESIZE))
    keys = order.keys(0, order.total_steps, rank=0, world=1)
    for batch in load_batches(files, keys, num_workers):
        yield normalized(batch.images, IMAGENET_MEAN, IMAGENET_STD)


def speed(
    way: Callable[[list[Path], int, int], Iterator[Tensor]],
    paths: list[Path],
    num_workers: int,
    seed: int,
) -> float:
    """Return images per second from the first batch, with all workers running, to the last."""
    batches = way(paths, num_workers, seed)
    next(batches)
    begin, count = time.perf_counter(), 0
    for batch in batches:
        count += len(batch)
    return count / (time.perf_counter() - begin)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder; default: generated images")
    parser.add_argument("--count", type=int, default=1_600, help="images per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--num_workers", type=int, default=2)
    options = parser.parse_args()
    # Idle torch threads spin for a while, and would use the workers' cores.
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if options.images is None:
            paths = write_photographs(Path(folder), 200)
        else:
            paths = [options.images / name for name in find_images(options.images)]
        size = statistics.mean(path.stat().st_size for path in paths)
        print(f"{len(paths)} files of {size / 1000:.0f} KB on average, {os.cpu_count()} cores\n")
        paths = [paths[index % len(paths)] for index in range(options.count)]
        pairs = [
            (
                speed(plain, paths, options.num_workers, seed),
                speed(ours, paths, options.num_workers, seed),
            )
            for seed in range(options.rounds)
        ]
    ratios = sorted(found / base for base, found in pairs)
    base, found = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    print("| workers | torchvision images/s | wsol images/s | ratio |\n|---|---|---|---|")
    print(
        f"| {options.num_workers} | {base:.0f} | {found:.0f} | "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
    )


if __name__ == "__main__":
    main()
