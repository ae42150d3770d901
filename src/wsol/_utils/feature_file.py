"""Features of many images, kept in a file while a head is trained on them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class KeptFeatures(NamedTuple):
    """Feature maps of images, all of one shape.

    Attributes:
        values: float16 ``(N, C, h, w)``, on disk, not to be written to.
        exponents: int32 ``(N,)``; the values times 2 to its power are the features.
    """

    values: NDArray[np.float16]
    exponents: NDArray[np.int32]

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Return the features of some images, float32 ``(n, C, h, w)``."""
        chosen = list(indices)
        exponents = self.exponents[chosen][:, None, None, None]
        return torch.from_numpy(np.ldexp(self.values[chosen].astype(np.float32), exponents))

    def channel_statistics(self, step: int = 16) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of each channel, float32 ``(C,)`` each."""
        sums = np.zeros((2, self.values.shape[1]))
        for start in range(0, len(self.values), step):
            some = self.batch(range(start, min(start + step, len(self.values)))).numpy()
            some = some.astype(np.float64)
            sums += some.sum((0, 2, 3)), np.square(some).sum((0, 2, 3))
        mean, square = sums / (len(self.values) * np.prod(self.values.shape[2:]))
        std = np.sqrt((square - mean**2).clip(0))
        # A channel that never changes tells nothing, however it is scaled.
        std[std == 0] = 1
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


class FeatureFile:
    """Collects the feature maps of images in a file.

    Args:
        file: open for reading and writing, and empty.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Keep the file."""
        self._file = file
        self._exponents: list[int] = []
        self._shape: tuple[int, ...] = ()

    def add(self, features: Tensor) -> None:
        """Add the features of one image, float32 ``(C, h, w)``, of the same shape as all others."""
        values, exponent = as_float16(features)
        self._file.write(values.cpu().numpy().tobytes())
        self._exponents.append(exponent)
        self._shape = tuple(features.shape)

    def kept(self) -> KeptFeatures:
        """Return what was added, in this order; at least one image was."""
        # Written before it is mapped: a full disk is an error then, and not the end.
        self._file.flush()
        values = np.memmap(self._file, np.float16, "r", shape=(len(self._exponents), *self._shape))
        return KeptFeatures(values, np.array(self._exponents, np.int32))


@contextmanager
def feature_file(folder: Path) -> Iterator[FeatureFile]:
    """Open a file for features that has no name, so that nothing is left of it afterwards.

    What ``kept`` returns stays readable after the file is closed.

    Args:
        folder: where the file lies.

    >>> with feature_file(Path()) as file:
    ...     file.add(torch.full((1, 1, 2), 0.5))
    ...     features = file.kept()
    >>> features.batch([0]).tolist()
    [[[[0.5, 0.5]]]]
    """
    with TemporaryFile(dir=folder) as file:
        yield FeatureFile(file)


def as_float16(features: Tensor) -> tuple[Tensor, int]:
    """Return features in float16, brought into its range by a power of two, and the exponent.

    The precision is that of float16 for features of any magnitude; multiplication by a power of
    two rounds nothing.

    Args:
        features: float32, any shape.

    Returns:
        Values of float16, which times 2 to the power of the exponent are the features.

    >>> as_float16(torch.tensor([0.5, 2.0**19]))
    (tensor([1.5625e-02, 1.6384e+04], dtype=torch.float16), 5)
    """
    # The largest magnitude becomes one from 2^14 to 2^15. Below 2^-100 it stays less, as the factor
    # would leave float32.
    exponent = max(int(torch.frexp(features.abs().amax()).exponent) - 15, -100)
    return torch.ldexp(features, torch.tensor(-exponent)).half(), exponent
