"""How score maps are read from a network: a localizer and its options, to be kept with a run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from wsol.options import no_effect
from wsol.types import Normalization, Student

if TYPE_CHECKING:
    from torch import nn

    from wsol.localizers.base import ScoreMaps

FLAT_MAPS = {"feature_norm", "foreground", "maskcut", "ncut", "prototypes", *get_args(Student)}
"""Localizers whose maps are nearly flat inside the object."""

Chosen = Literal["val", "pseudo_boxes"]
"""What a threshold was chosen on: the ground truth of val, or pseudo-boxes."""

ThresholdSource = Chosen | Literal["auto", "default", "option"]
"""Where a threshold comes from: chosen, from each map itself, the fixed one for the kind of map, or
given."""


@dataclass(frozen=True)
class LocalizerConfig:
    """A localizer's name and options.

    Args:
        localizer: name, or several with ``*`` between them.
        layers: names of the modules that are read; empty: found.
        affinity: name of a module whose features the map follows, or auto; empty: it does not.
        flip: average with the map of the flipped image.
        scales: average over images of these sizes, as shares of the input's; empty: as it is.
        normalization: how maps are scaled to [0, 1], as ``wsol.maps.normalize`` has it.

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
        """Return the reading that a source describes by attributes of the same names.

        Args:
            source: a run's description, or the options of a training.
        """
        return cls(**localizer_options(source))

    @property
    def threshold(self) -> float:
        """Share of a map's maximum for a box, where no ground truth exists to choose it on.

        A map that is nearly flat inside the object, as one that follows features or has been
        learnt, is cut in the middle; any other, as that of a class, has one peak and is cut low
        (Zhou et al., CVPR 2016, section 3.2). With normalization ``otsu``, 0.5 is Otsu's threshold
        of the map, and 0.29 is 0.58 times of it.

        >>> LocalizerConfig("cam", normalization="otsu").threshold
        0.29
        >>> LocalizerConfig("cam", affinity="auto").threshold, LocalizerConfig("pixels").threshold
        (0.5, 0.5)
        """
        if self.localizer == "instances" and self.normalization != "otsu":
            # The edge of an object, see ``LearntInstances``.
            return 0.25
        names = {name.strip() for name in self.localizer.split("*")}
        if self.affinity or names <= FLAT_MAPS:
            return 0.5
        return 0.29 if self.normalization == "otsu" else 0.2

    @property
    def auto_normalization(self) -> Normalization:
        """How maps are scaled where no threshold was chosen for them.

        Probabilities are cut in the middle as they are; other maps at a threshold of their own.

        >>> [LocalizerConfig(name).auto_normalization for name in ("prototypes", "cam")]
        ('minmax', 'otsu')
        """
        return "minmax" if self.localizer == "prototypes" else "otsu"

    @property
    def without_views(self) -> LocalizerConfig:
        """The same reading of the image alone, neither flipped nor resized."""
        return replace(self, flip=False, scales=())

    def shares_state(self, other: LocalizerConfig) -> bool:
        """Return whether what the localizer of one has learnt serves the other as well.

        Args:
            other: of the same network.

        >>> flipped = LocalizerConfig("ddt", flip=True, normalization="ivr")
        >>> flipped.shares_state(LocalizerConfig("ddt"))
        True
        >>> LocalizerConfig("ddt", layer=("layer3",)).shares_state(LocalizerConfig("ddt"))
        False
        """
        own = replace(self.without_views, normalization=other.normalization)
        return own == other.without_views

    def create(self, model: nn.Module, **options: Any) -> ScoreMaps:
        """Return the localizer of a classifier.

        Args:
            model: the classifier.
            options: further ones, as of ``create_localizer``.
        """
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
"""The one that finds the best boxes on our data sets; docs/results.md has the table."""


def chosen_config(own: LocalizerConfig, options: object) -> LocalizerConfig:
    """Return how to read a run: as it was made for, but for what else is asked for.

    Args:
        own: the run's.
        options: has options of the same names, of which None, False and () ask for nothing. Where a
            localizer is asked for, nothing of the run's own reading is left.

    >>> ddt = LocalizerConfig("ddt", scales=(1, 2))
    >>> chosen_config(ddt, LocalizerConfig("", flip=True))
    Reading(localizer='ddt', layer=(), affinity='', flip=True, scales=(1, 2),
    normalization='minmax')
    >>> chosen_config(ddt, LocalizerConfig("cam"))
    Reading(localizer='cam', layer=(), affinity='', flip=False, scales=(), normalization='minmax')
    """
    given = {name: value for name, value in localizer_options(options).items() if value}
    return LocalizerConfig(**given) if "localizer" in given else replace(own, **given)


class Thresholding(NamedTuple):
    """How maps are made, and where they are cut.

    Attributes:
        localizer_config: makes and scales the maps.
        threshold: share of a map's maximum above which a pixel belongs to the object.
        threshold_from: where the threshold comes from.
    """

    localizer_config: LocalizerConfig
    threshold: float
    threshold_from: ThresholdSource


def resolve_threshold(
    own: LocalizerConfig,
    chosen: float | None = None,
    options: object = None,
    source: Chosen = "val",
) -> Thresholding:
    """Return how to read a run, and its threshold.

    A threshold that was chosen holds for the maps that it was chosen for, and for
    more views of the image. Where there is none, or ``auto`` is asked for, maps are scaled by
    ``LocalizerConfig.auto_normalization``: mostly ``otsu``, so that each map's own threshold lies
    at the same value. A number is a share of maps that are scaled by ``minmax``, unless the run's
    threshold was chosen for another scale.

    Args:
        own: the run's reading.
        chosen: threshold that was chosen for it; None: there is none.
        options: options as for ``chosen_config``, and ``threshold``: a number, ``auto`` or None;
            None asks for nothing.
        source: what that threshold was chosen on.

    Raises:
        ConfigError: ``auto``, and a normalization other than its own.

    >>> auto = resolve_threshold(LocalizerConfig("cam"))
    >>> auto.localizer_config.normalization, auto.threshold, auto.threshold_from
    ('otsu', 0.29, 'auto')
    >>> resolve_threshold(LocalizerConfig("cam", flip=True), 0.4).threshold_from
    'val'
    """
    localizer_config = own if options is None else chosen_config(own, options)
    threshold: float | Literal["auto"] | None = getattr(options, "threshold", None)
    scale: Normalization | None = getattr(options, "normalization", None)
    if threshold == "auto" and scale not in (None, "otsu", localizer_config.auto_normalization):
        raise no_effect("normalization", scale, "with threshold auto")
    keeps = chosen is not None and localizer_config.without_views == own.without_views
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


def localizer_options(source: object) -> dict[str, Any]:
    """Return what an object says of reading, by name, as ``Localizer`` takes it.

    Args:
        source: has options of the names that ``LocalizerConfig`` has.

    >>> localizer_options(LocalizerConfig("ddt"))["localizer"]
    'ddt'
    """
    return {field.name: getattr(source, field.name) for field in fields(LocalizerConfig)}
