"""Readers of boxes, masks and labels in all supported formats."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.data.annotations.types import BoxAnnotations, MaskAnnotations, MaskFiles
    from wsol.data.open import open_annotations

__all__ = ["BoxAnnotations", "MaskAnnotations", "MaskFiles", "open_annotations"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "BoxAnnotations": "wsol.data.annotations.types",
        "MaskAnnotations": "wsol.data.annotations.types",
        "MaskFiles": "wsol.data.annotations.types",
        "open_annotations": "wsol.data.open",
    },
)
