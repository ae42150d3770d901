"""Temporary file for the features of many images, for training a head on them."""

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
    """Feature maps of images, all of the same shape: ``values * 2**exponents``.

    The values, ``(N, C, h, w)``, are memory-mapped and read-only; the exponents are ``(N,)``.
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
        # Constant channels carry no information, whatever their scale.
        std[std == 0] = 1
        return torch.from_numpy(mean).float(), torch.from_numpy(std).float()


class FeatureFile:
    """Collects the feature maps of images in an empty file, open for reading and writing."""

    def __init__(self, file: IO[bytes]) -> None:
        """Store the file."""
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
        """Return the features of all added images, at least one, in this order."""
        # Flush before mapping: a full disk then raises an error instead of SIGBUS.
        self._file.flush()
        values = np.memmap(self._file, np.float16, "r", shape=(len(self._exponents), *self._shape))
        return KeptFeatures(values, np.array(self._exponents, np.int32))


@contextmanager
def feature_file(folder: Path) -> Iterator[FeatureFile]:
    """Open a file for features in a folder, without a name, which is removed automatically.

    The result of ``kept`` stays readable after the file is closed.

    >>> with feature_file(Path()) as file:
    ...     file.add(torch.full((1, 1, 2), 0.5))
    ...     features = file.kept()
    >>> features.batch([0]).tolist()
    [[[[0.5, 0.5]]]]
    """
    with TemporaryFile(dir=folder) as file:
        yield FeatureFile(file)


def as_float16(features: Tensor) -> tuple[Tensor, int]:
    """Convert float32 features to float16 values and an exponent: ``values * 2**exponent``.

    The relative precision is that of float16 for features of any magnitude, as scaling by a power
    of two is exact.

    >>> as_float16(torch.tensor([0.5, 2.0**19]))
    (tensor([1.5625e-02, 1.6384e+04], dtype=torch.float16), 5)
    """
    # The largest magnitude is scaled to 2^14 to 2^15. Below 2^-100 it stays smaller, as the factor
    # would exceed float32.
    exponent = max(int(torch.frexp(features.abs().amax()).exponent) - 15, -100)
    return torch.ldexp(features, torch.tensor(-exponent)).half(), exponent
