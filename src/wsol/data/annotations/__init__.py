"""What is known of the images that score maps are measured on: one reader per layout."""

from wsol.data.annotations.annotations import BoxAnnotations, MaskAnnotations, MaskFiles
from wsol.data.annotations.open import open_annotations

__all__ = ["BoxAnnotations", "MaskAnnotations", "MaskFiles", "open_annotations"]
