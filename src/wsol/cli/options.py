"""From arguments and YAML files to a dataclass of options."""

import json
import shlex
import sys
from collections.abc import Collection, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import yaml

from wsol.cli.help import format_help
from wsol.errors import ConfigError, did_you_mean
from wsol.methods import method_config
from wsol.options import Options, is_required, item_kind, option_types, parse, validate
from wsol.recipes import find_recipe
from wsol.runs.config import plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound=Options)

SWITCH_VALUES = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""Words after a switch that are meant for it; only the first two are taken."""


class Arguments(NamedTuple):
    """Arguments of a command.

    Attributes:
        given: name and value of each option; None without a value.
        bare: arguments without a dash.
        asked: ``help`` or ``print_config``, or both.
    """

    given: list[tuple[str, str | None]]
    bare: list[str]
    asked: set[str]


def read_options(
    command: str,
    config: type[C],
    argv: Sequence[str],
    positional: str | None = None,
    instead: str = "options begin with --",
) -> C:
    """Return the options of a command from its arguments and its ``--config`` files or recipes.

    Arguments without a dash belong to the field ``positional``; without one, the error advises
    ``instead``. A field ``method`` has the options of the chosen training method below it.

    Raises:
        ConfigError: an unknown or missing option or key, or a value that is not valid.
        SystemExit: the help or the options were asked for, and are written.

    >>> from wsol.training.config import TrainConfig
    >>> argv = ["birds", "--out", "run", "--method", "adl", "--method.drop_rate", "0.5"]
    >>> options = read_options("train", TrainConfig, argv, positional="data")
    >>> options.data.name, options.method.drop_rate
    ('birds', 0.5)
    """
    types = option_types(config)
    given, bare, asked = _arguments(argv, [name for name, kind in types.items() if kind is bool])
    paths = [_config_file(value) for name, value in given if name == "config"]
    files = {path: _read_yaml(path) for path in paths}
    method = None
    if "method" in types:
        chosen = _method_name(given, files)
        for path, content in files.items():
            if content.get("method.name", chosen) != chosen:
                files[path] = {k: v for k, v in content.items() if not k.startswith("method.")}
        method = method_config(chosen)
        types |= {f"method.{name}": kind for name, kind in option_types(method).items()}
    for path, content in files.items():
        for key in content:
            if key not in types:
                raise ConfigError(f"{path}: no key {key!r}: {did_you_mean(key, types)}")

    # Arguments win over files, wherever they stand.
    values = {key: value for content in files.values() for key, value in content.items()}
    for name, value in given:
        known, shown = name.replace("-", "_"), name if name.startswith("-") else f"--{name}"
        if name == "config":
            continue
        if known not in types:
            raise ConfigError(f"wsol {command}: no option {shown}: {did_you_mean(name, types)}")
        if value is None and types[known] is not bool:
            raise ConfigError(f"wsol {command}: {shown} needs a value")
        values["method.name" if known == "method" else known] = True if value is None else value
    if bare:
        if positional is None:
            raise ConfigError(f"unexpected argument {bare[0]!r}: {instead}")
        several = item_kind(types[positional]) is not None
        if len(bare) > 1 and not several:
            raise ConfigError(f"unexpected argument {bare[1]!r}: give one {positional.upper()}")
        values[positional] = bare if several else bare[0]
    values = {name: parse(value, types[name]) for name, value in values.items()}
    if "help" in asked:
        sys.stdout.write(format_help(command, config, method, positional))
        raise SystemExit(0)
    if method is not None:
        below = {name for name in values if name.startswith("method.")}
        values["method"] = method(
            **{name.removeprefix("method."): values.pop(name) for name in below}
        )
    if "print_config" in asked:
        _print_options(config, validate(config, values))
        raise SystemExit(0)
    for field in fields(config):
        if is_required(field) and field.name not in values:
            raise ConfigError(f"wsol {command}: {field.name} is missing; see wsol {command} --help")
    return config(**values)


def gives(argv: Sequence[str], name: str) -> bool:
    """Return whether arguments, or a ``--config`` file that they name, give an option.

    Raises:
        ConfigError: such a file cannot be read.

    >>> gives(["--maps=cams", "--image_size", "224"], "maps"), gives(["maps"], "maps")
    (True, False)
    """
    return any(
        option == name or (option == "config" and value and name in _read_yaml(_config_file(value)))
        for option, value in _arguments(argv, switches=()).given
    )


def _print_options(config: type["DataclassInstance"], values: dict[str, Any]) -> None:
    """Write options as YAML, which ``--config`` reads back."""
    known = sorted(fields(config), key=is_required, reverse=True)
    defaults = {field.name: None if field.default is MISSING else field.default for field in known}
    options = {name: plain(value) for name, value in (defaults | values).items()}
    sys.stdout.write(yaml.safe_dump(options, sort_keys=False, allow_unicode=True))


def _arguments(argv: Sequence[str], switches: Collection[str]) -> Arguments:
    """Split arguments into options with values, and others; switches need no value."""
    found = Arguments([], [], set())
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        name, equals, value = token.removeprefix("--").partition("=")
        known = name.replace("-", "_")
        if token == "--":
            found.bare.extend(rest)
            break
        if not token.startswith("-") or token == "-":
            found.bare.append(token)
        elif token in ("-h", "--help"):
            found.asked.add("help")
        elif known == "print_config":
            found.asked.add(known)
        elif equals:
            found.given.append((name, value))
        else:
            is_switch = known in switches
            follows = bool(rest) and (
                rest[0].lower() in SWITCH_VALUES if is_switch else not rest[0].startswith("--")
            )
            found.given.append((name, rest.pop(0) if follows else None))
    return found


def _config_file(value: str | None) -> Path:
    """Return the file that ``--config`` names: a path, or a recipe's name."""
    if not value:
        raise ConfigError("--config needs a value: a YAML file or the name of a recipe")
    path = Path(value)
    return path if path.suffix or path.exists() or path.name != value else find_recipe(value)


def _read_yaml(path: Path) -> dict[str, Any]:
    """Return names and values of a file, those of the method as ``method.NAME``."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        # What JSON knows is all that options need: keys become text, and so do dates.
        content = json.loads(json.dumps(content, default=str))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold keys and values, as --print_config shows them")
    if "method" in content:
        method = content.pop("method")
        if not isinstance(method, dict) or "name" not in method:
            raise ConfigError(f"{path}: method must have a name, as in method: {{name: adl}}")
        content |= {f"method.{name}": value for name, value in method.items()}
    return content


def _method_name(given: list[tuple[str, str | None]], files: dict[Path, dict[str, Any]]) -> str:
    """Return the name of the chosen training method; arguments override files."""
    names = [content.get("method.name") for content in files.values()]
    names += [value for name, value in given if name in ("method", "method.name")]
    return str(next((name for name in reversed(names) if name is not None), "none"))


def next_steps(run: Path, splits: Collection[str]) -> str:
    """Return what to do with a run that is finished, as commands to copy.

    >>> next_steps(Path("my run"), ("train", "test"))
    "next, wsol evaluate 'my run', or wsol predict IMAGES --run 'my run' --out boxes"
    >>> next_steps(Path("birds"), ("train", "val"))
    'next, wsol evaluate birds --split val, or wsol predict IMAGES --run birds --out boxes'
    """
    evaluate = ["wsol", "evaluate", str(run)]
    if "test" not in splits:
        if "val" not in splits:
            return f"next, {predict_step(run)}"
        evaluate += ["--split", "val"]
    return f"next, {shlex.join(evaluate)}, or {predict_step(run)}"


def predict_step(run: Path | str | None, *options: str) -> str:
    """Return the command that predicts with a run, or with the default network.

    >>> predict_step("my run", "--image_size", "448")
    "wsol predict IMAGES --run 'my run' --image_size 448 --out boxes"
    """
    of_run = () if run is None else ("--run", str(run))
    return shlex.join(("wsol", "predict", "IMAGES", *of_run, *options, "--out", "boxes"))
