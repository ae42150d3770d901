"""``wsol list``."""

import sys
from collections.abc import Callable, Sequence
from inspect import cleandoc

from wsol.cli.main import OK
from wsol.errors import ConfigError, did_you_mean


def run(argv: Sequence[str]) -> int:
    """Print the names of one kind of thing, one a line, with what each is."""
    kinds: dict[str, Callable[[], list[str]]] = {
        "methods": _methods,
        "backbones": _backbones,
        "localizers": _localizers,
        "formats": _formats,
        "recipes": _recipes,
        "settings": _settings,
    }
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        sys.stdout.write(f"usage: wsol list {'|'.join(kinds)}\n")
        return OK
    if argv[0] not in kinds:
        raise ConfigError(f"wsol list: no {argv[0]!r}: {did_you_mean(argv[0], kinds)}")
    sys.stdout.writelines(f"{name}\n" for name in kinds[argv[0]]())
    return OK


def _methods() -> list[str]:
    from wsol.methods import list_methods, method_config

    return _columns([(name, _summary(method_config(name))) for name in list_methods()])


def _backbones() -> list[str]:
    from wsol.models import list_backbones

    return list_backbones()


def _localizers() -> list[str]:
    from wsol.localizers import list_localizers
    from wsol.localizers.registry import localizer_class

    return _columns([(name, _summary(localizer_class(name))) for name in list_localizers()])


def _formats() -> list[str]:
    from wsol.formats import list_formats

    return list_formats()


def _settings() -> list[str]:
    from wsol.recipes import list_settings

    return _columns(list(list_settings().items()))


def _recipes() -> list[str]:
    from wsol.recipes import list_recipes

    return _columns(
        [
            (recipe.name, recipe.row, recipe.reported, f"run here: {recipe.run_here}")
            for recipe in list_recipes()
        ]
    )


def _summary(described: type) -> str:
    """Return the first sentence of a docstring."""
    return cleandoc(described.__doc__ or "").splitlines()[0]


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
