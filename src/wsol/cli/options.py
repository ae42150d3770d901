"""From arguments and YAML files to a dataclass of options."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from wsol.errors import ConfigError, did_you_mean
from wsol.methods import method_config
from wsol.recipes import find_recipe

C = TypeVar("C")

VALUELESS = ("--help", "-h", "--print_config")

HIDDEN = {0xDC00 + byte: 0xE800 + byte for byte in range(0x80, 0x100)}
"""Bytes of a name that are no text, as Python has them, and as the parser takes them."""

SHOWN = {hidden: byte for byte, hidden in HIDDEN.items()}

SWITCH_VALUES = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""Words after a switch that are meant for it; only the first two are taken."""


def read_options(
    command: str,
    config: type[C],
    argv: Sequence[str],
    positional: str | None = None,
    instead: str = "options begin with --",
) -> C:
    """Return the options of a command from its arguments and its ``--config`` files or recipes.

    Args:
        command: name of the subcommand.
        config: a dataclass; each field is an option. A field ``method`` has the options of the
            chosen training method below it.
        argv: arguments after the subcommand.
        positional: the field that arguments without a dash belong to.
        instead: what to do instead of giving one, where they belong to none.

    Raises:
        ConfigError: an unknown, missing or wrong option or key; names the nearest one.

    >>> from wsol.engine.config import TrainConfig
    >>> argv = ["birds", "--out", "run", "--method", "adl", "--method.drop_rate", "0.5"]
    >>> options = read_options("train", TrainConfig, argv, positional="data")
    >>> options.data.name, options.method.drop_rate
    ('birds', 0.5)
    """
    argv = [word.translate(HIDDEN) for word in argv]
    given = [
        (name, str(_config_file(value)) if name == "config" and value is not None else value)
        for name, value in _pairs(argv, config, positional, instead)
    ]
    # Arguments win over files, wherever they stand: the parser goes by order.
    given.sort(key=lambda pair: pair[0] != "config")
    paths = [Path(value) for name, value in given if name == "config" and value is not None]
    files = {path: _read_yaml(path) for path in paths}
    types = get_type_hints(config)
    method = None
    if "method" in types:
        name = _method_name(given, files)
        files = {path: _without_other_methods(content, name) for path, content in files.items()}
        method = method_config(name)
        types |= {f"method.{name}": kind for name, kind in get_type_hints(method).items()}
    for path, content in files.items():
        _check_keys(path, content, types)
    given = [(_with_underscores(name, types), value) for name, value in given]
    tokens = [_token(command, name, value, types, files) for name, value in given]

    parser = _parser(command, config, positional)
    parser.add_class_arguments(config, as_group=False, skip={"method"})
    if method is not None:
        parser.add_class_arguments(method, "method")
    if not set(tokens) & set(VALUELESS):
        _check_required(command, config, {name for name, _ in given}, files)
    try:
        values = parser.instantiate(parser.parse_args(tokens))
    except ArgumentError as error:
        raise ConfigError(f"wsol {command}: {' '.join(str(error).split())}") from error
    return config(**{name: _shown(getattr(values, name)) for name in get_type_hints(config)})


def gives(argv: Sequence[str], name: str) -> bool:
    """Return whether arguments, or a ``--config`` file that they name, give an option.

    Args:
        argv: arguments after the subcommand.
        name: of the option, a single word.

    Raises:
        ConfigError: such a file cannot be read.

    >>> gives(["--maps=cams", "--size", "224"], "maps"), gives(["maps"], "maps")
    (True, False)
    """
    for token, after in zip_longest(argv, argv[1:], fillvalue="--"):
        option, equals, value = token.partition("=")
        file = value if equals else after
        if option == f"--{name}":
            return True
        is_file = option == "--config" and not file.startswith("--")
        if is_file and name in _read_yaml(_config_file(file)):
            return True
    return False


def _shown(value: Any) -> Any:
    """Return an option's value with the bytes that were hidden from the parser."""
    if isinstance(value, str):
        return value.translate(SHOWN)
    if isinstance(value, Path):
        return Path(str(value).translate(SHOWN))
    return type(value)(map(_shown, value)) if isinstance(value, list | tuple) else value


def _with_underscores(name: str, types: dict[str, Any]) -> str:
    """Return a name that was given with dashes as the options have it, or as it was given."""
    known = name.replace("-", "_")
    return known if known in types else name


def _parser(command: str, config: Any, positional: str | None) -> ArgumentParser:
    required = [field.name for field in fields(config) if _is_required(field)]
    options = "".join(f" --{name} {name.upper()}" for name in required)
    where = f" {positional.upper()}" if positional else options
    parser = ArgumentParser(
        prog=f"wsol {command}",
        usage=f"wsol {command}{where} [--OPTION VALUE ...]",
        description=(config.__doc__ or "").splitlines()[0],
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with options, or a recipe")
    return parser


def _pairs(
    argv: Sequence[str], config: type, positional: str | None, instead: str
) -> Iterator[tuple[str, str | None]]:
    """Yield each argument as name and value; a switch without value has None.

    Arguments without a dash are gathered under ``positional``.
    """
    switches = {name for name, kind in get_type_hints(config).items() if kind is bool}
    bare: list[str] = []
    rest = ["--print_config" if token == "--print-config" else token for token in argv]
    while rest:
        token = rest.pop(0)
        if not token.startswith("-") or token == "-":
            bare.append(token)
        elif token == "--":
            bare += rest
            rest = []
        elif token in VALUELESS or token.startswith("--print_config="):
            yield token, None
        else:
            name, equals, value = token.removeprefix("--").partition("=")
            has_value = bool(rest) and (
                rest[0].lower() in SWITCH_VALUES
                if name.replace("-", "_") in switches
                else not rest[0].startswith("--")
            )
            if equals:
                yield name, value
            else:
                yield name, rest.pop(0) if has_value else None
    if bare and positional is None:
        raise ConfigError(f"unexpected argument {bare[0]!r}: {instead}")
    if bare and positional is not None:
        many = get_origin(get_type_hints(config)[positional]) is list
        if len(bare) > 1 and not many:
            raise ConfigError(f"unexpected argument {bare[1]!r}: give one {positional.upper()}")
        yield positional, json.dumps(bare) if many else bare[0]


def _token(
    command: str,
    name: str,
    value: str | None,
    types: dict[str, Any],
    files: dict[Path, dict[str, Any]],
) -> str:
    """Return one argument as the parser wants it."""
    if name.startswith("-") and name.partition("=")[0] in VALUELESS:
        return name
    shown = name if name.startswith("-") else f"--{name}"
    if name != "config" and name not in types:
        raise ConfigError(f"wsol {command}: no option {shown}: {did_you_mean(name, types)}")
    kind = types.get(name)
    if value is None and kind is not bool:
        raise ConfigError(f"wsol {command}: {shown} needs a value")
    if name == "config":
        # As JSON: in YAML the parser has 1e3 for a number, and PyYAML, which wrote it, for text.
        value = json.dumps(files[Path(str(value))])
    elif name == "method":
        name = "method.name"
    elif kind is bool:
        value = "true" if value is None else value.lower()
        if value not in ("true", "false"):
            raise ConfigError(f'wsol {command}: "{name}" is {value}: give true or false')
    elif get_origin(kind) in (tuple, list) and not str(value).startswith("["):
        value = json.dumps([part for part in str(value).split(",") if part])
    return f"--{name}={value}"


def _config_file(value: str) -> Path:
    """Return the file that ``--config`` names: a path, or a recipe's name."""
    value = value.translate(SHOWN)
    path = Path(value)
    return path if path.suffix or path.exists() or path.name != value else find_recipe(value)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        # What JSON knows is all that options need: keys become text, and so do dates.
        content = json.loads(json.dumps(content, default=str))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold keys and values, as --print_config shows them")
    return content


def _method_name(given: list[tuple[str, str | None]], files: dict[Path, dict[str, Any]]) -> str:
    """Return the training method that is asked for; arguments win over files."""
    chosen = "none"
    for path, content in files.items():
        method = content.get("method", {"name": chosen})
        if not isinstance(method, dict) or "name" not in method:
            raise ConfigError(f"{path}: method must have a name, as in method: {{name: adl}}")
        chosen = str(method["name"])
    for name, value in given:
        if name in ("method", "method.name") and value is not None:
            chosen = value
    return chosen


def _without_other_methods(content: dict[str, Any], method: str) -> dict[str, Any]:
    """Return a file's options without those of another method than the chosen one."""
    other = "method" in content and content["method"]["name"] != method
    return {key: value for key, value in content.items() if not (other and key == "method")}


def _check_keys(path: Path, content: dict[str, Any], types: dict[str, Any]) -> None:
    for key, value in content.items():
        nested = value if key == "method" else {}
        for name in (key, *(f"{key}.{inner}" for inner in nested)):
            if name not in types:
                raise ConfigError(f"{path}: no key {name!r}: {did_you_mean(name, types)}")


def _check_required(
    command: str, config: Any, given: set[str], files: dict[Path, dict[str, Any]]
) -> None:
    known = given.union(*files.values())
    for field in fields(config):
        if _is_required(field) and field.name not in known:
            raise ConfigError(f"wsol {command}: {field.name} is missing; see wsol {command} --help")


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def next_steps(run: Path) -> str:
    """Return what to do with a run that is finished, as commands to copy.

    >>> next_steps(Path("my run"))
    "next, wsol evaluate 'my run', or wsol predict IMAGES --run 'my run' --out boxes"
    """
    name = shlex.quote(str(run))
    return f"next, wsol evaluate {name}, or wsol predict IMAGES --run {name} --out boxes"
