"""How score maps are read from a network: a localizer and its options, to be kept with a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from wsol.localizers.base import ScoreMaps


@dataclass(frozen=True)
class Reading:
    """A localizer's name and options.

    Args:
        localizer: name, or several with ``*`` between them.
        tap: names of the modules that are read; empty: found.
        flip: average with the map of the flipped picture.
        scales: average over pictures of these sizes, as shares of the input's; empty: as it is.

    >>> Reading("cam", flip=True) == Reading("cam")
    False
    """

    localizer: str = "cam"
    tap: tuple[str, ...] = ()
    flip: bool = False
    scales: tuple[float, ...] = ()

    def create(self, model: nn.Module, **options: Any) -> ScoreMaps:
        """Return the localizer of a classifier.

        Args:
            model: the classifier.
            options: further ones, as of ``create_localizer``.
        """
        from wsol.localizers.registry import create_localizer

        taps = {"taps": self.tap} if self.tap else {}
        return create_localizer(
            self.localizer, model, flip=self.flip, scales=self.scales, **taps, **options
        )


def chosen_reading(own: Reading, asked: Reading, localizer: str | None) -> Reading:
    """Return how to read a run: as it was made for, where nothing else is asked for.

    Args:
        own: the run's.
        asked: the options given; its name is not looked at.
        localizer: the name given, if one was.

    >>> chosen_reading(Reading("ddt", flip=True), Reading(), None)
    Reading(localizer='ddt', tap=(), flip=True, scales=())
    >>> chosen_reading(Reading("ddt", flip=True), Reading(), "cam")
    Reading(localizer='cam', tap=(), flip=False, scales=())
    """
    if localizer is None and not (asked.tap or asked.flip or asked.scales):
        return own
    return replace(asked, localizer=localizer or own.localizer)
