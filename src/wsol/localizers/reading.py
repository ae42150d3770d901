"""How score maps are read from a network: a localizer and its options, to be kept with a run."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from wsol.choices import Normalization, is_learnt

if TYPE_CHECKING:
    from torch import nn

    from wsol.localizers.base import ScoreMaps


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
        """Share of a map's maximum for a box, where no true boxes exist to choose it on.

        A class map has one peak, and is cut low (Zhou et al., CVPR 2016, section 3.2); a map that
        follows features is nearly flat inside the object, and so is one that has been learnt.
        """
        return 0.5 if self.affinity or is_learnt(self.localizer) else 0.2

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


BEST = Reading("feature_norm*ddt", affinity="auto")
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


def reading_options(source: object) -> dict[str, Any]:
    """Return what an object says of reading, by name, as ``Localizer`` takes it.

    Args:
        source: has options of the names that ``Reading`` has.

    >>> reading_options(Reading("ddt"))["localizer"]
    'ddt'
    """
    return {field.name: getattr(source, field.name) for field in fields(Reading)}
