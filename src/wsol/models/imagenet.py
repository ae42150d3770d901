"""Names of ImageNet's classes."""

from timm.data.imagenet_info import ImageNetInfo

NUM_CLASSES = 1000


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes, in the order of the usual logits.

    >>> imagenet_classes()[0]
    'tench, Tinca tinca'
    """
    info = ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(NUM_CLASSES))
