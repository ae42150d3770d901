"""Localizers by name."""

from importlib import import_module
from typing import Any

from torch import nn

from wsol.errors import ConfigError, did_you_mean
from wsol.localizers.base import ScoreMaps

LOCALIZERS = {
    "ablationcam": "wsol.localizers.ablationcam:AblationCAM",
    "attention_rollout": "wsol.localizers.attention_rollout:AttentionRollout",
    "bagcam": "wsol.localizers.bagcam:BagCAM",
    "cam": "wsol.localizers.cam:CAM",
    "ddt": "wsol.localizers.ddt:DDT",
    "eigencam": "wsol.localizers.eigencam:EigenCAM",
    "feature_norm": "wsol.localizers.feature_norm:FeatureNorm",
    "gradcam": "wsol.localizers.gradcam:GradCAM",
    "gradcam++": "wsol.localizers.gradcam_plusplus:GradCAMPlusPlus",
    "gradient_rollout": "wsol.localizers.gradient_rollout:GradientRollout",
    "hirescam": "wsol.localizers.hirescam:HiResCAM",
    "layercam": "wsol.localizers.layercam:LayerCAM",
    "scorecam": "wsol.localizers.scorecam:ScoreCAM",
    "tscam": "wsol.localizers.tscam:TSCAM",
    "xgradcam": "wsol.localizers.xgradcam:XGradCAM",
}
"""Name to ``module:class``."""


def list_localizers() -> list[str]:
    """Return the names of all localizers.

    >>> "cam" in list_localizers()
    True
    """
    return sorted(LOCALIZERS)


def create_localizer(name: str, model: nn.Module, **options: Any) -> ScoreMaps:
    """Return a callable from images ``(N, 3, H, W)`` to raw score maps ``(N, H, W)``.

    Args:
        name: of the localizer; ``wsol list localizers`` shows them.
        model: the classifier.
        options: of that localizer.

    Raises:
        ConfigError: no such localizer; names the nearest one.

    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> type(create_localizer("cam", network)).__name__
    'CAM'
    """
    if name not in LOCALIZERS:
        raise ConfigError(f"no localizer {name!r}: {did_you_mean(name, LOCALIZERS)}")
    module, _, attribute = LOCALIZERS[name].partition(":")
    localizer: ScoreMaps = getattr(import_module(module), attribute)(model, **options)
    return localizer
