"""Loading of images, annotations and data sets."""

from typing import TYPE_CHECKING

from wsol._lazy import lazy_names

if TYPE_CHECKING:
    from wsol.data.images import find_images, load_image
    from wsol.data.open import open_data
    from wsol.data.samples import Samples

__all__ = ["Samples", "find_images", "load_image", "open_data"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Samples": "wsol.data.samples",
        "find_images": "wsol.data.images",
        "load_image": "wsol.data.images",
        "open_data": "wsol.data.open",
    },
)
