"""The public address of `place`, which is in `wsol.portable`."""

from wsol.portable import place

__all__ = ["place"]
