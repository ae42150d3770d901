"""What an option chooses from, apart from the code that does it, which takes long to import."""

from typing import Literal

Normalization = Literal["minmax", "max", "pas", "ivr"]
"""How a score map is scaled to [0, 1], see ``wsol.maps.normalize``."""
