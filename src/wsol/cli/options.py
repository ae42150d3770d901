"""From arguments and YAML files to a dataclass of options."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar, get_origin, get_type_hints

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from wsol.errors import ConfigError, did_you_mean
from wsol.methods import method_config

C = TypeVar("C")

VALUELESS = ("--help", "-h", "--print_config")


def read_options(
    command: str, config: type[C], argv: Sequence[str], positional: str | None = None
) -> C:
    """Return the options of a command from its arguments and its ``--config`` files.

    Args:
        command: name of the subcommand.
        config: a dataclass; each field is an option. A field ``method`` has the options of the
            chosen training method below it.
        argv: arguments after the subcommand.
        positional: the field that arguments without a dash belong to.

    Raises:
        ConfigError: an unknown, missing or wrong option or key; names the nearest one.

    >>> from wsol.engine.config import TrainConfig
    >>> argv = ["birds", "--out", "run", "--method", "adl", "--method.drop_rate", "0.5"]
    >>> options = read_options("train", TrainConfig, argv, positional="data")
    >>> options.data.name, options.method.drop_rate
    ('birds', 0.5)
    """
    given = list(_pairs(argv, config, positional))
    paths = [Path(value) for name, value in given if name == "config" and value is not None]
    files = {path: _read_yaml(path) for path in paths}
    types = get_type_hints(config)
    method = None
    if "method" in types:
        method = method_config(_method_name(given, files))
        types |= {f"method.{name}": kind for name, kind in get_type_hints(method).items()}
    for path, content in files.items():
        _check_keys(path, content, types)
    tokens = [token for name, value in given for token in _tokens(command, name, value, types)]

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
    return config(**{name: getattr(values, name) for name in get_type_hints(config)})


def _parser(command: str, config: type, positional: str | None) -> ArgumentParser:
    where = f" {positional.upper()}" if positional else ""
    parser = ArgumentParser(
        prog=f"wsol {command}",
        usage=f"wsol {command}{where} [--OPTION VALUE ...]",
        description=(config.__doc__ or "").splitlines()[0],
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with options")
    return parser


def _pairs(
    argv: Sequence[str], config: type, positional: str | None
) -> Iterator[tuple[str, str | None]]:
    """Yield each argument as name and value; a switch without value has None.

    Arguments without a dash are gathered under ``positional``.
    """
    switches = {name for name, kind in get_type_hints(config).items() if kind is bool}
    bare: list[str] = []
    rest = list(argv)
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
            is_switch = name in switches and not (rest and rest[0] in ("true", "false"))
            if equals:
                yield name, value
            elif is_switch or not rest:
                yield name, None
            else:
                yield name, rest.pop(0)
    if bare and positional is None:
        raise ConfigError(f"unexpected argument {bare[0]!r}: options begin with --")
    if bare and positional is not None:
        many = get_origin(get_type_hints(config)[positional]) is list
        if len(bare) > 1 and not many:
            raise ConfigError(f"unexpected argument {bare[1]!r}: give one {positional.upper()}")
        yield positional, json.dumps(bare) if many else bare[0]


def _tokens(command: str, name: str, value: str | None, types: dict[str, Any]) -> tuple[str, ...]:
    """Return one argument as the parser wants it."""
    if name.startswith("-") and name.partition("=")[0] in VALUELESS:
        return (name,)
    if name == "method":
        return ("--method.name", str(value))
    if name != "config" and name not in types:
        raise ConfigError(f"wsol {command}: no option --{name}: {did_you_mean(name, types)}")
    kind = types.get(name)
    if value is None:
        if kind is not bool:
            raise ConfigError(f"wsol {command}: --{name} needs a value")
        value = "true"
    if get_origin(kind) in (tuple, list) and not value.startswith("["):
        value = json.dumps([part for part in value.split(",") if part])
    return (f"--{name}={value}",)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold keys and values, as --print_config shows them")
    return content


def _method_name(given: list[tuple[str, str | None]], files: dict[Path, dict[str, Any]]) -> str:
    """Return the training method that is asked for; arguments win over files."""
    for name, value in reversed(given):
        if name in ("method", "method.name") and value is not None:
            return value
    for path, content in reversed(files.items()):
        method = content.get("method")
        if isinstance(method, dict) and "name" in method:
            return str(method["name"])
        if method is not None:
            raise ConfigError(f"{path}: method must have a name, as in method: {{name: adl}}")
    return "none"


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
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in known:
            raise ConfigError(f"wsol {command}: {field.name} is missing; see wsol {command} --help")
