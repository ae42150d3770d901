"""Where ADL sits when nobody says: the last feature maps."""

from torch import nn

from wsol.errors import ConfigError

POOLS = (nn.MaxPool2d, nn.AvgPool2d)


def default_taps(body: nn.Module) -> tuple[str, ...]:
    """Return the tap for a network of timm: its last feature maps, before global pooling.

    Nothing is normalised after it, so the pretrained statistics of batch normalisation stay right
    for both branches of the layer, which scale the features differently. EfficientNet and its kin
    have a convolution after their last stage: there it is that one's activation. A pooling layer
    is no stage of its own.

    Raises:
        ConfigError: the network does not say what its stages are.

    >>> import timm
    >>> default_taps(timm.create_model("resnet18"))
    ('layer4',)
    >>> default_taps(timm.create_model("tf_efficientnet_lite0"))
    ('bn2',)
    """
    info = getattr(body, "feature_info", None)
    if not info:
        raise ConfigError(
            f"{type(body).__name__} does not name its stages: give the taps, --method.taps [...]"
        )
    modules = dict(body.named_modules())
    if "conv_head" in modules and "bn2" in modules:
        return ("bn2",)
    stages = [stage["module"] for stage in info]
    return ([name for name in stages if not isinstance(modules.get(name), POOLS)][-1],)
