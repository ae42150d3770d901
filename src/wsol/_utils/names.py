"""The public address of `portable` and `original`, which are in `wsol.portable`."""

from wsol.portable import original, portable

__all__ = ["original", "portable"]
