"""Features of images that are computed once and stored in files."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from wsol._utils.feature_file import as_float16
from wsol._utils.progress import Meter
from wsol.data.loader import ImageFiles, load_batches, normalized, split_batches
from wsol.data.sources import ImageSource
from wsol.errors import ConfigError, ImageError
from wsol.inference.fitting import Inputs, Preprocessing
from wsol.localizers._forward import StoredForwardPass, observe
from wsol.models import Network
from wsol.runs.run import read_tensors, write_tensors

LAST = "last"
"""Stands for the input of the head, in place of the name of a layer."""


class StoredFeatures:
    """Files with float16 features, each with a chunk of images.

    ``size`` is the side of the network's input in pixels; the last file may have fewer images.
    """

    def __init__(self, folder: Path, size: int, indices: Sequence[int], chunk_size: int) -> None:
        """Split the images into chunks."""
        self.folder, self.size = folder, size
        starts = range(0, len(indices), chunk_size)
        self.chunks = [list(indices[start : start + chunk_size]) for start in starts]

    def part_of(self, numbers: range) -> int | None:
        """Return the number of the file with exactly the images of these indices, or None."""
        for chunk, indices in enumerate(self.chunks):
            if indices[:1] == [numbers.start]:
                return chunk if indices == list(numbers) and self.file(chunk).exists() else None
        return None

    def file(self, chunk: int) -> Path:
        """Return the path of a file."""
        return self.folder / f"chunk-{chunk:06d}.safetensors"

    def compute(
        self,
        network: Network,
        layers: Sequence[str],
        paths: Sequence[ImageSource],
        preprocessing: Preprocessing,
        least_side: int | None,
    ) -> None:
        """Compute and store the features of the images that are not in a file yet.

        Stored are those of the layers, besides the input of the head. ``paths`` are those of all
        images; for ``least_side`` see ``ImageFiles``.
        """
        self.folder.mkdir(exist_ok=True)
        missing = [chunk for chunk in range(len(self.chunks)) if not self.file(chunk).exists()]
        number = sum(len(self.chunks[chunk]) for chunk in missing)
        if not number:
            return
        files = ImageFiles(paths, preprocessing.transform, preprocessing.max_pixels, least_side)
        keys = [
            key
            for chunk in missing
            for key in split_batches(self.chunks[chunk], preprocessing.batch_size)
        ]
        batches = load_batches(files, keys, preprocessing.num_workers)
        with Meter("features", number) as meter:
            for chunk in missing:
                kept = _Kept()
                while kept.number < len(self.chunks[chunk]):
                    batch = next(batches)
                    images = batch.images.to(preprocessing.compute.device)
                    features: dict[str, Tensor] = {}
                    if batch.indices:
                        images = normalized(images, preprocessing.mean, preprocessing.std)
                        with preprocessing.compute.autocast(), torch.no_grad():
                            seen = observe(network, images, layers)
                        features = seen.features | {LAST: seen.output.features.float()}
                    kept.add(batch.indices, batch.sizes, batch.errors, features)
                    meter.advance(len(batch.indices) + len(batch.errors))
                write_tensors(self.file(chunk), kept.tensors())

    def read(self, chunk: int, network: Network, preprocessing: Preprocessing) -> Inputs:
        """Return the images of a file as a batch with the network's forward pass.

        The network's backbone must be that of ``compute``; its head may differ.

        Raises:
            ConfigError: the file cannot be read.
        """
        try:
            content = read_tensors(self.file(chunk))
            errors = json.loads(content["errors"].numpy().tobytes())
            indices, sizes = content["indices"].tolist(), content["sizes"].tolist()
            found = {
                name.partition(".")[2]: _float32(content, name.partition(".")[2])
                for name in content
                if name.startswith("features.")
            }
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ConfigError(
                f"{self.file(chunk)}: cannot be read: {error}; remove it and run the same command "
                "again"
            ) from error
        failed = [(index, ImageError(path, reason)) for index, path, reason in errors]
        if not indices:
            return Inputs([], torch.empty(0), [], failed)
        features = {name: value.to(preprocessing.compute.device) for name, value in found.items()}
        with preprocessing.compute.autocast(), torch.no_grad():
            output = network.head.output(features.pop(LAST))
        seen = StoredForwardPass(network, (self.size, self.size), output, features)
        return Inputs(indices, seen, [(width, height) for width, height in sizes], failed)

    def batches(
        self, network: Network, preprocessing: Preprocessing
    ) -> Iterator[tuple[list[int], StoredForwardPass]]:
        """Yield indices and features of all readable images, file by file."""
        for chunk in range(len(self.chunks)):
            inputs = self.read(chunk, network, preprocessing)
            if isinstance(inputs.images, StoredForwardPass):
                yield inputs.indices, inputs.images


class _Kept:
    """Content of a file, collected batch by batch."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self.sizes: list[tuple[int, int]] = []
        self.errors: list[tuple[int, str, str]] = []
        self.features: dict[str, list[tuple[Tensor, int]]] = {}

    @property
    def number(self) -> int:
        return len(self.indices) + len(self.errors)

    def add(
        self,
        indices: list[int],
        sizes: list[tuple[int, int]],
        errors: list[tuple[int, ImageError]],
        features: dict[str, Tensor],
    ) -> None:
        for index, error in errors:
            self.errors.append((index, str(error.path), error.reason))
        self.indices += indices
        self.sizes += sizes
        for name, maps in features.items():
            self.features.setdefault(name, []).extend(map(as_float16, maps.cpu()))

    def tensors(self) -> dict[str, Tensor]:
        text = json.dumps(self.errors).encode()
        found = {
            "errors": torch.from_numpy(np.frombuffer(text, np.uint8).copy()),
            "indices": torch.tensor(self.indices, dtype=torch.int64),
            "sizes": torch.tensor(self.sizes, dtype=torch.int64),
        }
        for name, rows in self.features.items():
            found[f"features.{name}"] = torch.stack([values for values, _ in rows])
            found[f"exponents.{name}"] = torch.tensor([exponent for _, exponent in rows])
        return found


def _float32(content: dict[str, Tensor], name: str) -> Tensor:
    exponents = content[f"exponents.{name}"][:, None, None, None]
    return torch.ldexp(content[f"features.{name}"].float(), exponents)
