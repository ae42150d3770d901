"""Recipes: options of published table rows as YAML files; and settings of this project.

A recipe's first comment lines name the row and its reported result. The files are written by
``tools/write_recipes.py``. Settings are a few options for one purpose, on any data; the first line
of each states its purpose and command.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from wsol.errors import ConfigError, did_you_mean

__all__ = ["Recipe", "find_recipe", "list_recipes", "list_settings"]

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings"


@dataclass(frozen=True)
class Recipe:
    """One published row.

    Args:
        path: options file; its name without suffix is the recipe's name.
        row: paper, data set, network and method.
        reported: published result.
        run_here: whether it was run in this project.
    """

    path: Path
    row: str
    reported: str
    run_here: str

    @property
    def name(self) -> str:
        """Recipe name for ``--config``."""
        return self.path.stem


def list_recipes() -> list[Recipe]:
    """Return all recipes by name.

    >>> recipe = next(each for each in list_recipes() if each.name == "adl2019-cub-vgg_gap")
    >>> recipe.row, recipe.run_here
    ('Choe & Shim 2019, CUB, VGG-GAP, ADL', 'no')
    """
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def find_recipe(name: str) -> Path:
    """Return the file of a recipe, or of settings.

    Raises:
        ConfigError: the recipe does not exist; the message suggests the nearest name.

    >>> find_recipe("wsoleval-cub-resnet50-adl").name, find_recipe("boxes").name
    ('wsoleval-cub-resnet50-adl.yaml', 'boxes.yaml')
    """
    paths = {path.stem: path for folder in (FOLDER, SETTINGS) for path in folder.glob("*.yaml")}
    if name not in paths:
        near = get_close_matches(name, paths, n=1)
        hint = did_you_mean(name, near) if near else "use wsol list recipes to show all"
        raise ConfigError(f"no file and no recipe {name!r}: {hint}")
    return paths[name]


def list_settings() -> dict[str, str]:
    """Return the purpose of each of this project's settings, by name.

    >>> list_settings()["fast"]
    'Quick boxes of an untrained network: wsol predict IMAGES --out DIR --config fast'
    """
    paths = sorted(SETTINGS.glob("*.yaml"))
    return {path.stem: path.read_text("utf-8").splitlines()[0].removeprefix("# ") for path in paths}


def _read(path: Path) -> Recipe:
    lines = path.read_text(encoding="utf-8").splitlines()
    fields = dict(line.removeprefix("# ").split(": ", 1) for line in lines[:3])
    return Recipe(path, fields["Row"], fields["Reported"], fields["Run here"])
