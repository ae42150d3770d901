"""Localizers of the app's network, made when they are first asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wsol.app.config import AppConfig
from wsol.app.storage import Choice
from wsol.inference.fitting import MOST_PICTURES
from wsol.inference.localizer import Localizer
from wsol.localizers import list_localizers
from wsol.localizers.config import Reading, reading_options
from wsol.localizers.stages import find_stages
from wsol.results.localization import Localization
from wsol.types import is_learnt

MOST_LOCALIZERS = 4
"""That are kept, each with a network of its own; the one not used for the longest time goes."""

LIKELY = 5
"""Classes to choose from."""


@dataclass
class _Made:
    """A localizer, and how many pictures it has been shown first; None where it wants none."""

    locate: Localizer
    shown: int | None


class Pool:
    """Looks at pictures in any way that is chosen. It may be used by one thread at a time.

    Args:
        config: the options; its localizer is the one for pictures of which nothing was chosen.

    Attributes:
        first: that localizer.
        taps: names of modules to choose from.

    Raises:
        RunError: not a finished run.
        ConfigError: an option does not fit the network.
    """

    def __init__(self, config: AppConfig) -> None:
        """Load the network."""
        self.config = config
        self.made: dict[tuple[str | None, str], _Made] = {}
        self.first = self._find(Choice()).locate
        self.taps = [stage.tap for stage in find_stages(self.first.model)]

    def classify(self, path: Path) -> list[tuple[int, float]]:
        """Return numbers and probabilities of an image's likeliest classes, none if it is bad."""
        (likely,) = self.first.likely_labels([path], LIKELY)
        return likely

    def look(
        self, path: Path, name: str, choice: Choice, others: Sequence[Path] = ()
    ) -> tuple[Localization, float]:
        """Return what a localizer finds, and the threshold of its boxes.

        Args:
            path: of the picture.
            name: its id in the result.
            choice: the localizer and the class; without one, what the network sees.
            others: pictures for a localizer that wants to see a collection first.

        Raises:
            ConfigError: no such localizer, tap or class, or they do not fit the network.
        """
        made = self._find(choice)
        # The more it has seen the better, up to a number that is enough.
        if made.shown is not None and made.shown < min(len(others), MOST_PICTURES):
            made.locate.fit(others)
            made.shown = len(others)
        (found,) = made.locate([path], [name], choice.label)
        return found, made.locate.threshold

    def _find(self, choice: Choice) -> _Made:
        key = choice.localizer, choice.tap
        made = self.made.pop(key, None) or self._make(choice)
        self.made[key] = made
        if len(self.made) > MOST_LOCALIZERS:
            # The one that the app was started with stays.
            oldest = next(each for each in self.made if each != (None, ""))
            del self.made[oldest]
        return made

    def _make(self, choice: Choice) -> _Made:
        reading = reading_options(self.config)
        if choice.localizer is not None:
            reading = reading_options(Reading(choice.localizer)) | {"normalization": None}
        if choice.tap:
            reading["tap"] = choice.tap
        own = choice.localizer is None
        locate = Localizer(
            self.config.run,
            backbone=self.config.backbone,
            **reading,
            threshold=self.config.threshold if own else None,
            objects=self.config.objects,
            size=self.config.size,
            batch_size=1,
            max_pixels=self.config.max_pixels,
            precision=self.config.precision,
            cpu=self.config.cpu,
        )
        return _Made(locate, None if locate.is_fitted else 0)


def localizer_names() -> list[str]:
    """Return the names of localizers to choose from.

    >>> "cam" in localizer_names(), "psol" in localizer_names()
    (True, False)
    """
    # What is learnt by distilling is in the run that was distilled, or nowhere.
    return [name for name in list_localizers() if not is_learnt(name)]
