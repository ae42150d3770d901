"""Names of the classes of published classifiers: those of ImageNet and its larger editions."""

from typing import Any

from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

NUM_CLASSES = 1000


def imagenet_classes() -> tuple[str, ...]:
    """Return the names of ImageNet's 1,000 classes, in the order of the usual logits.

    >>> imagenet_classes()[0]
    'tench, Tinca tinca'
    """
    return tuple(ImageNetInfo().label_descriptions())


def published_classes(config: Any) -> tuple[str, ...]:
    """Return the names of the classes of a published classifier; none where there is none.

    A network that gives an embedding, such as CLIP's, has no classifier, however many numbers it
    returns, and neither has one whose classes have no known names.

    Args:
        config: timm's ``pretrained_cfg`` of the network.

    >>> import timm
    >>> len(published_classes(timm.get_pretrained_cfg("vit_base_patch16_224.augreg_in21k")))
    21843
    >>> published_classes(timm.get_pretrained_cfg("resnet50_clip"))
    ()
    """
    subset = infer_imagenet_subset(config)
    return tuple(ImageNetInfo(subset).label_descriptions()) if subset else ()
