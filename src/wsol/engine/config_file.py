"""The resolved options of a run, as YAML."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from wsol.errors import ConfigError
from wsol.files import write_atomically


def plain(value: Any) -> Any:
    """Return options as what YAML knows: dicts, lists, numbers and strings.

    >>> from wsol.methods.adl.config import Config
    >>> plain(Config(taps=("layer3",)))
    {'name': 'adl', 'taps': ['layer3'], 'drop_rate': 0.75, 'threshold': 0.9}
    """
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def save_config(path: Path, config: object) -> None:
    """Write options as YAML; ``--config`` reads the file back."""
    text = yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True)
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def check_same(path: Path, config: object, free: set[str]) -> None:
    """Check that options equal the saved ones, but for those that are free to change.

    Raises:
        ConfigError: an option differs; names it with both values.
    """
    try:
        saved = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    if not isinstance(saved, dict):
        raise ConfigError(f"{path}: holds no options: start another run with another --out")
    for key, value in plain(config).items():
        if key not in free and saved.get(key) != value:
            raise ConfigError(
                f"{path}: {key} was {saved.get(key)!r} and is {value!r} now: go on with the same "
                "options, or start another run with another --out"
            )
