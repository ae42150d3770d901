"""Where ADL sits when nobody says: rectified features of the last stages."""

from torch import nn

from wsol.errors import ConfigError


def default_taps(body: nn.Module) -> tuple[str, ...]:
    """Return the taps for a network of timm: its last two stages.

    Blocks that end in a linear projection, as in EfficientNet and MobileNet, have features of
    mean zero at their end, which are no attention map: there the tap is the rectified layer
    before the projection of the stage's last block.

    Raises:
        ConfigError: the network does not say what its stages are.

    >>> import timm
    >>> default_taps(timm.create_model("resnet18"))
    ('layer3', 'layer4')
    >>> default_taps(timm.create_model("tf_efficientnet_lite0"))
    ('blocks.4.2.bn2', 'blocks.6.0.bn2')
    """
    info = getattr(body, "feature_info", None)
    if not info:
        raise ConfigError(
            f"{type(body).__name__} does not name its stages: give the taps, --method.taps [...]"
        )
    modules = dict(body.named_modules())
    return tuple(_rectified(stage["module"], modules) for stage in list(info)[-2:])


def _rectified(stage: str, modules: dict[str, nn.Module]) -> str:
    depthwise = [name for name in modules if name.startswith(f"{stage}.") and name.endswith(".bn2")]
    inverted = [name for name in depthwise if hasattr(modules[name[:-4]], "conv_pwl")]
    return inverted[-1] if inverted else stage
