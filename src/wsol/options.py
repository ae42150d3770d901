"""Option types with ranges, and their validation.

The range of an option is part of its type. `Options` validates every field against its type on
creation, so that Python, YAML and the command line accept the same values.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields
from functools import reduce
from math import isfinite
from numbers import Integral, Real
from operator import or_
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import yaml

from wsol.errors import ConfigError, did_you_mean, shortened


@dataclass(frozen=True)
class Range:
    """Bounds of a number; None means no bound.

    >>> str(Range(at_least=0, below=1)), Range(above=0).allows(0)
    ('>= 0 and < 1', False)
    >>> str(Range(at_least=1, at_most=4096))
    'from 1 to 4,096'
    """

    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def allows(self, value: Any) -> bool:
        """Return whether a number is inside the bounds."""
        return (
            (self.at_least is None or value >= self.at_least)
            and (self.above is None or value > self.above)
            and (self.at_most is None or value <= self.at_most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """Return the bounds as text."""
        if self.at_least is not None and self.at_most is not None:
            return f"from {self.at_least:,} to {self.at_most:,}"
        bounds = {">=": self.at_least, ">": self.above, "<=": self.at_most, "<": self.below}
        return " and ".join(
            f"{sign} {bound:,}" for sign, bound in bounds.items() if bound is not None
        )

    __repr__ = __str__


@dataclass(frozen=True)
class Rule:
    """Rule for texts and lists: its description in messages, and its check.

    >>> DEVICE_NAME.allows("cuda:1"), DEVICE_NAME.allows("gpu"), NOT_EMPTY.allows("")
    (True, False, False)
    """

    text: str
    allows: Callable[[Any], bool]

    def __str__(self) -> str:
        """Return the description."""
        return self.text

    __repr__ = __str__


NOT_EMPTY = Rule("that is not empty", bool)

UNSPLIT = Rule("", lambda value: True)
"""A text is a single item of a list: it is not split at commas."""

DEVICE_NAME = Rule(
    "that is auto, cpu, cuda, mps or xpu, optionally with :NUMBER",
    lambda value: re.fullmatch(r"auto|cpu|(cuda|mps|xpu)(:[0-9]{1,3})?", str(value)) is not None,
)

MAX_INT = 10**9
"""Upper bound of all counts."""

PositiveInt = Annotated[int, Range(at_least=1, at_most=MAX_INT)]
NonNegativeInt = Annotated[int, Range(at_least=0, at_most=MAX_INT)]
PositiveFloat = Annotated[float, Range(above=0)]
NonNegativeFloat = Annotated[float, Range(at_least=0)]
Fraction = Annotated[float, Range(at_least=0, at_most=1)]
FractionBelowOne = Annotated[float, Range(at_least=0, below=1)]

Threshold = FractionBelowOne | Literal["auto"]
"""Fraction of a score map's maximum above which a pixel belongs to the object; ``auto`` computes it
from each map."""

Name = Annotated[str, NOT_EMPTY]
"""String that must not be empty."""

ImageSize = Annotated[int, Range(at_least=1, at_most=4096)]
"""Side of a network's input in pixels; the memory of a batch grows with its square."""

BatchSize = Annotated[int, Range(at_least=1, at_most=65_536)]

NumWorkers = Annotated[int, Range(at_least=0, at_most=1024)]

MaxPixels = Annotated[int, Range(at_least=1, at_most=10**12)]

Device = Annotated[str, DEVICE_NAME]
"""Name of the device that a network runs on."""

Seed = Annotated[int, Range(at_least=0, at_most=2**63 - 1)]
"""Random seed in the range of both numpy and torch."""

Scale = Annotated[float, Range(above=0, at_most=4)]
"""Size of an image as a fraction of the network's input."""


@dataclass(frozen=True)
class Options:
    """Base class of all option dataclasses; validates every field against its type.

    Subclasses extend ``__post_init__`` to validate combinations of fields.

    Raises:
        ConfigError: a value does not have the type of its field, or is out of range.

    >>> @dataclass(frozen=True)
    ... class Config(Options):
    ...     epochs: PositiveInt = 5
    >>> Config(epochs=3)
    Config(epochs=3)
    >>> Config(epochs=0)
    Traceback (most recent call last):
    wsol.errors.ConfigError: epochs: 0 is not valid; use an integer from 1 to 1,000,000,000
    """

    section: ClassVar[str] = ""
    """Prefix of the option names in messages."""

    def __post_init__(self) -> None:
        """Validate every field, and convert it to its declared type."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in validate(type(self), values).items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, source: object, **changes: Any) -> Self:
        """Return these options with the values of an object that has options of the same names."""
        names = (field.name for field in fields(cls) if hasattr(source, field.name))
        return cls(**{name: getattr(source, name) for name in names} | changes)


def is_required(field: Field[Any]) -> bool:
    """Return whether an option has no default."""
    return field.default is MISSING and field.default_factory is MISSING


def option_types(config: type) -> dict[str, Any]:
    """Return the type of each field of an option dataclass, including its range.

    >>> option_types(Options)
    {}
    """
    hints = get_type_hints(config, include_extras=True)
    return {field.name: hints[field.name] for field in fields(config)}


def validate(config: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of some options, converted to their declared types.

    Integers are converted to floats, strings to paths, and lists to tuples, as the type requires. A
    single string is converted to a list with one item.

    Raises:
        ConfigError: a value does not have the type of its option, or is out of range.
    """
    types = option_types(config)
    return {
        name: checked(f"{config.section}{name}", value, types[name])
        for name, value in values.items()
    }


def checked(name: str, value: Any, kind: Any) -> Any:
    """Return a value, converted to a type.

    Raises:
        ConfigError: the value does not have this type, or is out of range.

    >>> checked("size", 224, ImageSize)
    224
    """
    try:
        return _converted(value, kind)
    except (ValueError, OverflowError) as error:
        raise refusal(name, value, _advice(value, kind)) from error


def refusal(option: str, value: object, advice: str) -> ConfigError:
    """Return the error of an option value that is not valid.

    >>> str(refusal("size", 0, "use an integer >= 1"))
    'size: 0 is not valid; use an integer >= 1'
    """
    return ConfigError(f"{option}: {_shown(value)} is not valid; {advice}")


def no_effect(option: str, value: object, reason: str) -> ConfigError:
    """Return the error of an option without effect.

    >>> str(no_effect("actors", 4, "with engine local"))
    'actors: 4 is not valid; leave it out, as it has no effect with engine local'
    """
    return refusal(option, value, f"leave it out, as it has no effect {reason}")


def parse(value: Any, kind: Any) -> Any:
    """Parse a value of the command line or of YAML to the type of its option.

    Strings are converted to numbers, booleans, None or lists, as the type requires. A value that
    cannot be parsed is returned unchanged and fails the later validation.

    >>> parse("1e-3", float), parse("a,b", tuple[str, ...]), parse("x", int)
    (0.001, ['a', 'b'], 'x')
    """
    kind, rules = _without_rules(kind)
    if isinstance(value, str) and value.strip() == "null" and _is_optional(kind):
        return None
    kind = without_none(kind)
    if _is_union(kind):
        read = (parse(value, member) for member in get_args(kind))
        return next((found for found in read if found is not value), value)
    items = item_kind(kind)
    if isinstance(value, str):
        text = value.strip()
        kind, more = _without_rules(kind)
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                return value
        if kind is bool:
            return {"true": True, "false": False}.get(text.lower(), value)
        if items is None:
            return value
        value = _split(value, is_whole=UNSPLIT in rules + more)
    if isinstance(value, list) and items is not None:
        return [parse(item, items) for item in value]
    return value


def _split(text: str, is_whole: bool) -> Any:
    """Return the items of a list that is written in YAML brackets or separated by commas."""
    if text.lstrip().startswith("["):
        try:
            return yaml.safe_load(text)
        except (ValueError, yaml.YAMLError):
            return text
    return [text] if is_whole else [item.strip() for item in text.split(",")]


def _without_rules(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Split an annotated type into the type and its rules."""
    if get_origin(kind) is Annotated:
        kind, *rules = get_args(kind)
        return kind, tuple(rules)
    return kind, ()


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _is_optional(kind: Any) -> bool:
    return _is_union(kind) and NoneType in get_args(kind)


def without_none(kind: Any) -> Any:
    """Return a type without None."""
    if not _is_optional(kind):
        return kind
    return reduce(or_, (each for each in get_args(kind) if each is not NoneType))


def item_kind(kind: Any) -> Any:
    """Return the item type of a list or tuple type, or None for other types.

    >>> item_kind(tuple[int, ...] | None), item_kind(int)
    (<class 'int'>, None)
    """
    kind, _ = _without_rules(without_none(kind))
    return get_args(kind)[0] if get_origin(kind) in (list, tuple) else None


def _has_any_length(kind: Any) -> bool:
    return get_origin(kind) is list or get_args(kind)[-1] is Ellipsis


def _converted(value: Any, kind: Any) -> Any:
    """Return a value, converted to a type, or raise ValueError."""
    if _is_union(kind):
        for member in get_args(kind):
            with suppress(ValueError, OverflowError):
                return _converted(value, member)
        raise ValueError(value)
    kind, rules = _without_rules(kind)
    value = _of_type(value, kind)
    if not all(rule.allows(value) for rule in rules):
        raise ValueError(value)
    return value


def _of_type(value: Any, kind: Any) -> Any:
    is_bool = isinstance(value, bool)
    item = item_kind(kind)
    if item is not None:
        texts = (str, bytes, PathLike)
        if isinstance(value, texts) and _without_rules(item)[0] in (str, Path):
            value = [value]
        if not isinstance(value, Iterable) or isinstance(value, (*texts, Mapping, Set)):
            raise ValueError(value)
        items = get_origin(kind)(_converted(each, item) for each in value)
        if not _has_any_length(kind) and len(items) != len(get_args(kind)):
            raise ValueError(value)
        return items
    if get_origin(kind) is Literal:
        if any(type(value) is type(choice) and value == choice for choice in get_args(kind)):
            return value
    elif kind is Path:
        # Path("") is the current folder; an empty string is refused instead.
        if isinstance(value, str | PathLike) and str(value) and "\0" not in str(value):
            return value if isinstance(value, Path) else Path(value)
    elif kind is float:
        if isinstance(value, Real) and not is_bool and isfinite(value):
            return float(value)
    elif kind is int:
        if isinstance(value, Integral) and not is_bool:
            return int(value)
    elif not isinstance(kind, type) or isinstance(value, kind):
        return value
    raise ValueError(value)


def _advice(value: Any, kind: Any) -> str:
    """Return the fix for a value that is not valid."""
    kind = without_none(kind)
    if get_origin(kind) is Literal and isinstance(value, str):
        return did_you_mean(value, get_args(kind))
    advice = f"use {describe(kind)}"
    return f"{advice}, or leave it out (is a shell variable unset?)" if value == "" else advice


def describe(kind: Any) -> str:
    """Describe the values of a type in words, for help texts and messages.

    >>> describe(Threshold), describe(tuple[PositiveFloat, ...] | None)
    ('a number >= 0 and < 1, or auto', 'a list, each item a number > 0')
    """
    kind, rules = _without_rules(without_none(kind))
    if _is_union(kind):
        return ", or ".join(map(describe, get_args(kind)))
    if get_origin(kind) is Literal:
        choices = ", ".join(map(str, get_args(kind)))
        text = f"one of: {choices}" if len(get_args(kind)) > 1 else choices
    elif (item := item_kind(kind)) is not None:
        number = "" if _has_any_length(kind) else f" of {len(get_args(kind))}"
        text = " ".join((f"a list{number}", *filter(None, map(str, rules))))
        return f"{text}, each item {describe(item)}"
    else:
        known = {int: "an integer", float: "a number", bool: "true or false", str: "a string"}
        known[Path] = "a path"
        text = known.get(kind) or f"a {getattr(kind, '__name__', kind)}"
    return " ".join((text, *map(str, rules)))


def bounds(kind: Any) -> str:
    """Return the range of an option that is a number, or of the items of a list of them.

    >>> bounds(BatchSize), bounds(tuple[PositiveFloat, ...]), bounds(str)
    ('from 1 to 65,536', '> 0', '')
    """
    kind = without_none(item_kind(kind) or kind)
    members = get_args(kind) if _is_union(kind) else (kind,)
    rules = [rule for member in members for rule in _without_rules(member)[1]]
    return ", ".join(str(rule) for rule in rules if isinstance(rule, Range))


def _shown(value: Any) -> str:
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
        return shortened(" ".join(map(str.strip, text.splitlines())))
    except ValueError:
        # Python refuses to format integers with more than some thousand digits.
        return "a number of thousands of digits"
