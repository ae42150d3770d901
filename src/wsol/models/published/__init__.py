"""Networks of the papers, with their published bodies, strides, heads and weight names."""

from functools import partial

from wsol.models.published import tensorpack, wsolevaluation
from wsol.models.published.network import PublishedNetwork

__all__ = ["PublishedNetwork", "create_published", "published_names"]

NETWORKS = {f"tensorpack/{name}": partial(tensorpack.create, name) for name in tensorpack.NETWORKS}
NETWORKS |= {
    f"wsolevaluation/{name}": partial(wsolevaluation.create, name)
    for name in wsolevaluation.NETWORKS
}
"""Network name to a function of number of classes, method, large feature map, pretrained."""


def published_names() -> list[str]:
    """Return the names of all published networks.

    >>> published_names()[:2]
    ['tensorpack/resnet50_se', 'tensorpack/vgg_gap']
    """
    return sorted(NETWORKS)


def create_published(
    name: str, *, num_classes: int, method: str, large_feature_map: bool, pretrained: bool
) -> PublishedNetwork:
    """Create a published network with the head of plain training.

    Args:
        name: one of ``published_names()``.
        num_classes: number of logits.
        method: training method, for which wsolevaluation changes some layers.
        large_feature_map: last features with stride 8 instead of 16, wsolevaluation's option.
        pretrained: load torchvision's ImageNet weights.

    Raises:
        ConfigError: the network has no such option, or the weights are not available.

    >>> network = create_published(
    ...     "wsolevaluation/resnet50",
    ...     num_classes=5,
    ...     method="none",
    ...     large_feature_map=True,
    ...     pretrained=False,
    ... )
    >>> network.choices["adl"]
    ('layer3.0', 'layer4.0', 'layer4.2')
    """
    return NETWORKS[name](num_classes, method, large_feature_map, pretrained)
