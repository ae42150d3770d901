"""What all localizations of one prediction have in common."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wsol.names import unique_names
from wsol.results.localization import Localization


@dataclass(frozen=True)
class About:
    """Where localizations come from.

    Attributes:
        classes: names, in the order of the network's logits.
        images: folder that the pictures' ids are relative to.
        threshold: share of a map's maximum above which a pixel belongs to the object.
        objects: ``one`` box for each class of a picture, or ``several``.
        model: what made them, in words.

    >>> about = About(("cat", "dog"), Path("photos"), threshold=0.2)
    >>> about.path(Localization("a/1.jpg")).as_posix()
    'photos/a/1.jpg'
    >>> About(("crane", "jay", "crane"), Path("photos"), threshold=0.2).names
    ('crane#0', 'jay', 'crane#2')
    """

    classes: tuple[str, ...]
    images: Path
    threshold: float
    objects: str = "one"
    model: str = ""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the classes, all different: see ``unique_names``."""
        return unique_names(self.classes)

    def path(self, result: Localization) -> Path:
        """Return the picture's file.

        Args:
            result: of one picture.
        """
        return self.images / result.image_id
