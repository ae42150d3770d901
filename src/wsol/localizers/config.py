"""Localizer options, as stored with a run, and the choice of thresholds."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from wsol.options import no_effect
from wsol.types import Normalization, Student

if TYPE_CHECKING:
    from torch import nn

    from wsol.localizers.base import ScoreMaps

FLAT_MAPS = {"feature_norm", "foreground", "maskcut", "ncut", "prototypes", *get_args(Student)}
"""Localizers whose maps are nearly constant inside the object."""

Chosen = Literal["val", "pseudo_boxes"]
"""Boxes that a threshold was chosen on: ground truth of val, or pseudo-boxes."""

ThresholdSource = Chosen | Literal["auto", "default", "option"]
"""Origin of a threshold: chosen on boxes, per map (auto), the default of the kind of map, or set as
an option."""


@dataclass(frozen=True)
class LocalizerConfig:
    """Localizer name and options.

    Args:
        localizer: localizer name, or several names combined with ``*``.
        layers: names of the modules that are read; empty: chosen automatically.
        affinity: module whose features refine the map, or ``auto``; empty: none.
        flip: average with the map of the flipped image.
        scales: image sizes to average maps over, relative to the input; empty: the input size.
        normalization: scaling of maps to [0, 1], see ``wsol.maps.normalize``.

    >>> LocalizerConfig("cam", flip=True) == LocalizerConfig("cam")
    False
    """

    localizer: str = "cam"
    layers: tuple[str, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[float, ...] = ()
    normalization: Normalization = "minmax"

    @classmethod
    def of(cls, source: object) -> LocalizerConfig:
        """Return the localizer options in the attributes of the same names of an object."""
        return cls(**{field.name: getattr(source, field.name) for field in fields(cls)})

    @property
    def threshold(self) -> float:
        """Default threshold of a box as a fraction of the map's maximum, without ground truth.

        Maps that are nearly constant inside the object (refined by features, or learned) use the
        middle of the range; class maps have one peak and use a low threshold (Zhou et al., CVPR
        2016, section 3.2). With normalization ``otsu``, 0.5 is the Otsu threshold of the map, and
        0.29 is 0.58 times that.

        >>> LocalizerConfig("cam", normalization="otsu").threshold
        0.29
        >>> LocalizerConfig("cam", affinity="auto").threshold, LocalizerConfig("pixels").threshold
        (0.5, 0.5)
        """
        if self.localizer == "instances" and self.normalization != "otsu":
            # Value at the edge of an object, see ``DistilledInstances``.
            return 0.25
        names = {name.strip() for name in self.localizer.split("*")}
        if self.affinity or names <= FLAT_MAPS:
            return 0.5
        return 0.29 if self.normalization == "otsu" else 0.2

    @property
    def auto_normalization(self) -> Normalization:
        """Normalization of maps without a chosen threshold.

        Probabilities have a fixed threshold of 0.5; other maps have a threshold per map.

        >>> [LocalizerConfig(name).auto_normalization for name in ("prototypes", "cam")]
        ['minmax', 'otsu']
        """
        return "minmax" if self.localizer == "prototypes" else "otsu"

    @property
    def without_augmentation(self) -> LocalizerConfig:
        """Same options without flip and scales."""
        return replace(self, flip=False, scales=())

    def shares_state(self, other: LocalizerConfig) -> bool:
        """Return whether both options can use the same fitted state of one network.

        >>> flipped = LocalizerConfig("ddt", flip=True, normalization="ivr")
        >>> flipped.shares_state(LocalizerConfig("ddt"))
        True
        >>> LocalizerConfig("ddt", layers=("layer3",)).shares_state(LocalizerConfig("ddt"))
        False
        """
        own = replace(self.without_augmentation, normalization=other.normalization)
        return own == other.without_augmentation

    def create(self, model: nn.Module, **options: Any) -> ScoreMaps:
        """Create the localizer of a classifier, with further options of ``create_localizer``."""
        from wsol.localizers.registry import create_localizer

        if self.layers:
            options["layers"] = self.layers
        return create_localizer(
            self.localizer,
            model,
            affinity=self.affinity,
            flip=self.flip,
            scales=self.scales,
            **options,
        )


BEST = LocalizerConfig("prototypes")
"""Default localizer: best boxes on the benchmark data sets, see docs/results.md."""


class Thresholding(NamedTuple):
    """Localizer options, and the fraction of a map's maximum above which a pixel is an object's."""

    localizer_config: LocalizerConfig
    threshold: float
    threshold_from: ThresholdSource


def resolve_threshold(
    own: LocalizerConfig,
    chosen: float | None = None,
    options: object = None,
    source: Chosen = "val",
) -> Thresholding:
    """Return the localizer options and the threshold to use for a run.

    A chosen threshold is valid for the options it was chosen for, with any flip and scales.
    Without one, or with ``auto``, maps are scaled by ``LocalizerConfig.auto_normalization``: mostly
    ``otsu``, which maps each map's threshold to the same value. A number is a
    fraction of maps scaled by ``minmax``, unless the run's threshold was chosen for another
    normalization.

    The options, such as ``BoxOptions``, override those of the run; without any, pass None.

    Raises:
        ConfigError: ``auto`` is combined with a different normalization.

    >>> auto = resolve_threshold(LocalizerConfig("cam"))
    >>> auto.localizer_config.normalization, auto.threshold, auto.threshold_from
    ('otsu', 0.29, 'auto')
    >>> resolve_threshold(LocalizerConfig("cam", flip=True), 0.4).threshold_from
    'val'
    """
    localizer_config = own if options is None else _overridden(own, options)
    threshold: float | Literal["auto"] | None = getattr(options, "threshold", None)
    scale: Normalization | None = getattr(options, "normalization", None)
    if threshold == "auto" and scale not in (None, "otsu", localizer_config.auto_normalization):
        raise no_effect("normalization", scale, "with threshold auto")
    keeps = chosen is not None and localizer_config.without_augmentation == own.without_augmentation
    if chosen is not None and keeps and threshold is None:
        return Thresholding(localizer_config, chosen, source)
    is_free = scale is None and not keeps and localizer_config.normalization in ("minmax", "otsu")
    if is_free or (threshold == "auto" and scale is None):
        of_number = isinstance(threshold, float)
        scale = "minmax" if of_number else localizer_config.auto_normalization
        localizer_config = replace(localizer_config, normalization=scale)
    if isinstance(threshold, float):
        return Thresholding(localizer_config, threshold, "option")
    is_auto = localizer_config.normalization in ("otsu", localizer_config.auto_normalization)
    return Thresholding(
        localizer_config, localizer_config.threshold, "auto" if is_auto else "default"
    )


def _overridden(own: LocalizerConfig, options: object) -> LocalizerConfig:
    """Return the options of a run with the given ones; empty values keep those of the run.

    >>> ddt = LocalizerConfig("ddt", scales=(1, 2))
    >>> _overridden(ddt, LocalizerConfig("", flip=True)).scales
    (1, 2)
    """
    values = {field.name: getattr(options, field.name) for field in fields(LocalizerConfig)}
    given = {name: value for name, value in values.items() if value}
    # A given localizer discards all other options of the run.
    return LocalizerConfig(**given) if "localizer" in given else replace(own, **given)
