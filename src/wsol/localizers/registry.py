"""Localizers by name."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from torch import nn

from wsol.errors import ConfigError, did_you_mean
from wsol.localizers._forward import has_classes, layer_root
from wsol.localizers.base import ScoreMaps
from wsol.localizers.ensemble import Ensemble
from wsol.options import ImageSize, Name, checked

LOCALIZERS = {
    "ablationcam": "wsol.localizers.perturbation:AblationCAM",
    "attention_rollout": "wsol.localizers.transformer:AttentionRollout",
    "bagcam": "wsol.localizers.gradient:BagCAM",
    "cam": "wsol.localizers.cam:CAM",
    "ddt": "wsol.localizers.features:DDT",
    "eigencam": "wsol.localizers.features:EigenCAM",
    "feature_norm": "wsol.localizers.features:FeatureNorm",
    "foreground": "wsol.localizers.cam:Foreground",
    "gradcam": "wsol.localizers.gradient:GradCAM",
    "gradcam++": "wsol.localizers.gradient:GradCAMPlusPlus",
    "gradient_rollout": "wsol.localizers.transformer:GradientRollout",
    "hirescam": "wsol.localizers.gradient:HiResCAM",
    "instances": "wsol.localizers.distilled:DistilledInstances",
    "layercam": "wsol.localizers.gradient:LayerCAM",
    "maskcut": "wsol.localizers.ncut:MaskCut",
    "ncut": "wsol.localizers.ncut:NCut",
    "pixels": "wsol.localizers.distilled:DistilledPixels",
    "prototypes": "wsol.localizers.prototypes:Prototypes",
    "psol": "wsol.localizers.distilled:PSOL",
    "scorecam": "wsol.localizers.perturbation:ScoreCAM",
    "tscam": "wsol.localizers.transformer:TSCAM",
    "xgradcam": "wsol.localizers.gradient:XGradCAM",
}
"""Localizer name to ``module:class``."""


def list_localizers() -> list[str]:
    """Return the names of all localizers.

    >>> "cam" in list_localizers()
    True
    """
    return sorted(LOCALIZERS)


def create_localizer(
    name: str,
    model: nn.Module,
    *,
    affinity: str = "",
    flip: bool = False,
    scales: Sequence[float] = (),
    several: bool = False,
    **options: Any,
) -> ScoreMaps:
    """Create a localizer: a callable from images ``(N, 3, H, W)`` to raw maps ``(N, H, W)``.

    Args:
        name: localizer name, see ``wsol list localizers``. Names combined with ``*`` give the
            geometric mean of their maps, each scaled to [0, 1].
        model: classifier.
        affinity: layer whose features refine the map, see ``Ensemble``.
        flip: average with the map of the flipped image.
        scales: image sizes to average maps over, relative to the input.
        several: whether images are multi-label: if no localizer separates their objects, each
            position of the map belongs to one label only, by the class maps of ``cam``.
        options: options of the localizer, such as ``layers``, or ``image_size`` for networks with a
            fixed input size.

    Raises:
        ConfigError: the localizer does not exist (the message suggests the nearest name), or an
            option is invalid.

    >>> from wsol.models import create_network
    >>> network = create_network("resnet18", num_classes=5, pretrained=False)
    >>> type(create_localizer("cam", network)).__name__
    'CAM'
    >>> type(create_localizer("cam*feature_norm", network, flip=True)).__name__
    'Ensemble'
    """
    name = checked("name", name, Name)
    affinity = checked("affinity", affinity, str)
    flip, several = checked("flip", flip, bool), checked("several", several, bool)
    if options.get("image_size") is not None:
        options["image_size"] = checked("image_size", options["image_size"], ImageSize)
    if "layers" in options:
        options["layers"] = checked("layers", options["layers"], tuple[Name, ...])
    parts = [_create(part.strip(), model, options) for part in name.split("*")]
    classes = None
    if several and not any(part.sees_classes and part.separates_labels for part in parts):
        classes = _create("cam", model, {"image_size": options.get("image_size")})
    if len(parts) == 1 and not (affinity or flip or scales or classes):
        return parts[0]
    return Ensemble(
        parts,
        affinity=affinity,
        flip=flip,
        scales=scales,
        classes=classes,
        interpolation=parts[0].interpolation,
    )


def _create(name: str, model: nn.Module, options: dict[str, Any]) -> ScoreMaps:
    kind = localizer_class(name)
    if kind.needs_classes and not has_classes(model):
        free = [each for each in list_localizers() if not localizer_class(each).needs_classes]
        raise ConfigError(
            f"localizer: {name} needs a classifier with classes, and "
            f"{type(layer_root(model)).__name__} has none; use one of {', '.join(free)}, or "
            "a run trained with it"
        )
    return kind(model, **options)


def localizer_class(name: str) -> type[ScoreMaps]:
    """Return the class of a localizer; an error names the nearest one."""
    if name not in LOCALIZERS:
        raise ConfigError(f"no localizer {name!r}: {did_you_mean(name, LOCALIZERS)}")
    module, _, attribute = LOCALIZERS[name].partition(":")
    found: type[ScoreMaps] = getattr(import_module(module), attribute)
    return found
