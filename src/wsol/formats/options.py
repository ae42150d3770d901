"""Formats and their options, as the commands that write formats have them."""

from dataclasses import fields
from typing import Any

from wsol.formats import OPTIONS, check_format
from wsol.options import Options, no_effect


def check_formats(config: Options) -> None:
    """Refuse formats that there are not, and options that none of the formats has.

    Args:
        config: options of a command; ``format`` has the names.

    Raises:
        ConfigError: no such format, or an option without effect.
    """
    names = vars(config)["format"]
    for name in names:
        check_format(name)
    own = {option for name in names for option in OPTIONS.get(name, ())}
    for field in fields(config):
        value = vars(config)[field.name]
        if field.name in format_options(config).keys() - own and value != field.default:
            formats = " and ".join(names) or "none"
            raise no_effect(field.name, value, f"with format {formats}")


def format_options(config: Options) -> dict[str, Any]:
    """Return the options of all formats, by name, as ``create_writer`` takes them.

    Args:
        config: options of a command.
    """
    return {name: vars(config)[name] for names in OPTIONS.values() for name in names}
