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
class Reading:
    """A localizer's name and options.

    Args:
        localizer: name, or several with ``*`` between them.
        tap: names of the modules that are read; empty: found.
        affinity: name of a module whose features the map follows, or auto; empty: it does not.
        flip: average with the map of the flipped picture.
        scales: average over pictures of these sizes, as shares of the input's; empty: as it is.
        normalization: how maps are scaled to [0, 1], as ``wsol.maps.normalize`` has it.

    >>> Reading("cam", flip=True) == Reading("cam")
    False
    """

    localizer: str = "cam"
    tap: tuple[str, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[float, ...] = ()
    normalization: Normalization = "minmax"

    @classmethod
    def of(cls, source: object) -> Reading:
        """Return the reading that a source describes by attributes of the same names.

        Args:
            source: a run's description, or the options of a training.
        """
        return cls(**reading_options(source))

    @property
    def threshold(self) -> float:
        """Share of a map's maximum for a box, where no ground truth exists to choose it on.

        A map that is nearly flat inside the object, as one that follows features or has been
        learnt, is cut in the middle; any other, as that of a class, has one peak and is cut low
        (Zhou et al., CVPR 2016, section 3.2). With normalization ``otsu``, 0.5 is Otsu's threshold
        of the map, and 0.29 is 0.58 times of it.

        >>> Reading("cam", normalization="otsu").threshold
        0.29
        >>> Reading("cam", affinity="auto").threshold, Reading("pixels").threshold
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

        >>> Reading("prototypes").auto_normalization, Reading("cam").auto_normalization
        ('minmax', 'otsu')
        """
        return "minmax" if self.localizer == "prototypes" else "otsu"

    @property
    def without_views(self) -> Reading:
        """The same reading of the picture alone, neither flipped nor resized."""
        return replace(self, flip=False, scales=())

    def shares_state(self, other: Reading) -> bool:
        """Return whether what the localizer of one has learnt serves the other as well.

        Args:
            other: of the same network.

        >>> Reading("ddt", flip=True, normalization="ivr").shares_state(Reading("ddt"))
        True
        >>> Reading("ddt", tap=("layer3",)).shares_state(Reading("ddt"))
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

        if self.tap:
            options["taps"] = self.tap
        return create_localizer(
            self.localizer,
            model,
            affinity=self.affinity,
            flip=self.flip,
            scales=self.scales,
            **options,
        )


BEST = Reading("prototypes")
"""The one that finds the best boxes on our data sets; docs/results.md has the table."""


def chosen_reading(own: Reading, asked: object) -> Reading:
    """Return how to read a run: as it was made for, but for what else is asked for.

    Args:
        own: the run's.
        asked: has options of the same names, of which None, False and () ask for nothing. Where a
            localizer is asked for, nothing of the run's own reading is left.

    >>> ddt = Reading("ddt", scales=(1, 2))
    >>> chosen_reading(ddt, Reading("", flip=True))
    Reading(localizer='ddt', tap=(), affinity='', flip=True, scales=(1, 2), normalization='minmax')
    >>> chosen_reading(ddt, Reading("cam"))
    Reading(localizer='cam', tap=(), affinity='', flip=False, scales=(), normalization='minmax')
    """
    given = {name: value for name, value in reading_options(asked).items() if value}
    return Reading(**given) if "localizer" in given else replace(own, **given)


class Cutting(NamedTuple):
    """How maps are made, and where they are cut.

    Attributes:
        reading: makes and scales the maps.
        threshold: share of a map's maximum above which a pixel belongs to the object.
        threshold_from: where the threshold comes from.
    """

    reading: Reading
    threshold: float
    threshold_from: ThresholdSource


def chosen_cutting(
    own: Reading, chosen: float | None = None, asked: object = None, source: Chosen = "val"
) -> Cutting:
    """Return how to read a run, and its threshold.

    A threshold that was chosen holds for the maps that it was chosen for, and for
    more views of the image. Where there is none, or ``auto`` is asked for, maps are scaled by
    ``Reading.auto_normalization``: mostly ``otsu``, so that each map's own threshold lies at the
    same value. A number is a share of maps that are scaled by ``minmax``, unless the run's
    threshold was chosen for another scale.

    Args:
        own: the run's reading.
        chosen: threshold that was chosen for it; None: there is none.
        asked: options as for ``chosen_reading``, and ``threshold``: a number, ``auto`` or None;
            None asks for nothing.
        source: what that threshold was chosen on.

    Raises:
        ConfigError: ``auto``, and a normalization other than its own.

    >>> auto = chosen_cutting(Reading("cam"))
    >>> auto.reading.normalization, auto.threshold, auto.threshold_from
    ('otsu', 0.29, 'auto')
    >>> chosen_cutting(Reading("cam", flip=True), 0.4).threshold_from
    'val'
    """
    reading = own if asked is None else chosen_reading(own, asked)
    threshold: float | Literal["auto"] | None = getattr(asked, "threshold", None)
    scale: Normalization | None = getattr(asked, "normalization", None)
    if threshold == "auto" and scale not in (None, "otsu", reading.auto_normalization):
        raise no_effect("normalization", scale, "with threshold auto")
    keeps = chosen is not None and reading.without_views == own.without_views
    if chosen is not None and keeps and threshold is None:
        return Cutting(reading, chosen, source)
    is_free = scale is None and not keeps and reading.normalization in ("minmax", "otsu")
    if is_free or (threshold == "auto" and scale is None):
        of_number = isinstance(threshold, float)
        scale = "minmax" if of_number else reading.auto_normalization
        reading = replace(reading, normalization=scale)
    if isinstance(threshold, float):
        return Cutting(reading, threshold, "option")
    is_auto = reading.normalization in ("otsu", reading.auto_normalization)
    return Cutting(reading, reading.threshold, "auto" if is_auto else "default")


def reading_options(source: object) -> dict[str, Any]:
    """Return what an object says of reading, by name, as ``Localizer`` takes it.

    Args:
        source: has options of the names that ``Reading`` has.

    >>> reading_options(Reading("ddt"))["localizer"]
    'ddt'
    """
    return {field.name: getattr(source, field.name) for field in fields(Reading)}
