"""Writing of tar shards."""

import tarfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

_BLOCK = 512


class Place(NamedTuple):
    """Where a file lies in shards.

    Attributes:
        shard: number of the shard.
        offset: of its first byte.
        size: bytes.
    """

    shard: int
    offset: int
    size: int


class ShardWriter:
    """Writes samples to tar files one after another, a new one when the last is full.

    Equal samples give equal bytes: members have no times and no owners.

    Args:
        folder: to write to; it exists.
        shard_size: bytes above which a shard takes no further sample.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with ShardWriter(Path(folder), 10**6) as writer:
    ...         writer.begin("train")
    ...         writer.add("crow/a", {"jpg": b"bytes", "cls": b"0"}, "jpg")
    ...     writer.shards
    Place(shard=0, offset=512, size=5)
    ['train-000000.tar']
    """

    def __init__(self, folder: Path, shard_size: int) -> None:
        """Start without a shard."""
        self.folder, self.shard_size = folder, shard_size
        self.shards: list[str] = []
        self._tar: tarfile.TarFile | None = None
        self._prefix, self._number = "", 0

    def begin(self, prefix: str) -> None:
        """Let what follows go to shards of another name.

        Args:
            prefix: of the name: ``train`` makes ``train-000000.tar``.
        """
        self.close()
        self._prefix, self._number = prefix, 0
        self._next()

    def add(self, key: str, files: Mapping[str, bytes], main: str) -> Place:
        """Add one sample.

        Args:
            key: what its members' names have in common.
            files: suffix to content.
            main: suffix of the one whose place is asked for.

        Returns:
            Where that lies.
        """
        tar = self._tar
        if tar is None or tar.offset >= self.shard_size:
            tar = self._next()
        place = Place(0, 0, 0)
        for suffix, content in files.items():
            info = tarfile.TarInfo(f"{key}.{suffix}")
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, BytesIO(content))
            if suffix == main:
                padded = -(-info.size // _BLOCK) * _BLOCK
                place = Place(len(self.shards) - 1, tar.offset - padded, info.size)
        return place

    def close(self) -> None:
        """End the last shard."""
        tar, self._tar = self._tar, None
        if tar is not None:
            tar.close()

    def __enter__(self) -> "ShardWriter":
        """Return the writer."""
        return self

    def __exit__(self, *error: object) -> None:
        """End the last shard."""
        self.close()

    def _next(self) -> tarfile.TarFile:
        self.close()
        name = f"{self._prefix}-{self._number:06d}.tar"
        self._number += 1
        self.shards.append(name)
        self._tar = tarfile.TarFile(self.folder / name, "w", format=tarfile.PAX_FORMAT)
        return self._tar
