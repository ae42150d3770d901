"""Types of options with the range of each, and the one validation of all of them.

An option declares its range where it is declared, as part of its type. `Options` checks every field
against its type when it is created, so that Python, YAML and the command line accept the same.
"""

import re
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import reduce
from math import isfinite
from numbers import Integral, Real
from operator import or_
from os import PathLike
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from wsol.errors import ConfigError, did_you_mean, shortened


@dataclass(frozen=True)
class Range:
    """Bounds of a number; None is no bound.

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
class NotEmpty:
    """Rule of texts and lists that must have a character or an item."""

    def allows(self, value: Any) -> bool:
        """Return whether there is anything in a text or list."""
        return bool(value)

    def __str__(self) -> str:
        """Return the rule as text."""
        return "that is not empty"

    __repr__ = __str__


@dataclass(frozen=True)
class Unsplit:
    """Rule of lists whose items may contain commas: a text is one item, commas included."""

    def allows(self, value: Any) -> bool:
        """Return True: the rule is for the reading of texts."""
        return True

    def __str__(self) -> str:
        """Return no text."""
        return ""


@dataclass(frozen=True)
class DeviceName:
    """Rule of texts that name a device: ``auto``, or one as torch names it.

    >>> DeviceName().allows("cuda:1"), DeviceName().allows("gpu")
    (True, False)
    """

    def allows(self, value: Any) -> bool:
        """Return whether a text names a device."""
        return re.fullmatch(r"auto|cpu|(cuda|mps|xpu)(:[0-9]{1,3})?", str(value)) is not None

    def __str__(self) -> str:
        """Return the rule as text."""
        return "that is auto, cpu, cuda, mps or xpu, with :NUMBER for one of several"

    __repr__ = __str__


MAX_INT = 10**9
"""Largest number of anything that is counted."""

PositiveInt = Annotated[int, Range(at_least=1, at_most=MAX_INT)]
NonNegativeInt = Annotated[int, Range(at_least=0, at_most=MAX_INT)]
PositiveFloat = Annotated[float, Range(above=0)]
NonNegativeFloat = Annotated[float, Range(at_least=0)]
Fraction = Annotated[float, Range(at_least=0, at_most=1)]
FractionBelowOne = Annotated[float, Range(at_least=0, below=1)]

Threshold = FractionBelowOne | Literal["auto"]
"""Fraction of a score map's maximum above which a pixel belongs to the object; ``auto`` takes it
from the map itself."""

Name = Annotated[str, NotEmpty()]
"""A text that must not be empty."""

ImageSize = Annotated[int, Range(at_least=1, at_most=4096)]
"""Side of a network's input in pixels; the memory of a batch grows with its square."""

BatchSize = Annotated[int, Range(at_least=1, at_most=65_536)]

NumWorkers = Annotated[int, Range(at_least=0, at_most=1024)]

MaxPixels = Annotated[int, Range(at_least=1, at_most=10**12)]

Device = Annotated[str, DeviceName()]
"""Where a network computes."""

Seed = Annotated[int, Range(at_least=0, at_most=2**63 - 1)]
"""What both numpy and torch take."""

Scale = Annotated[float, Range(above=0, at_most=4)]
"""Size of an image as a fraction of the network's input."""


@dataclass(frozen=True)
class Options:
    """Base of all dataclasses of options; validates every field against its type.

    A subclass with rules between fields extends ``__post_init__``.

    Raises:
        ConfigError: a value has another type than its field, or is out of its range.

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
    """What stands before the names of the options in messages."""

    def __post_init__(self) -> None:
        """Validate every field, and store it in its declared type."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in validate(type(self), values).items():
            object.__setattr__(self, name, value)


def option_types(config: type) -> dict[str, Any]:
    """Return the type of each field of a dataclass of options, with its range.

    >>> option_types(Options)
    {}
    """
    hints = get_type_hints(config, include_extras=True)
    return {field.name: hints[field.name] for field in fields(config)}


def validate(config: type[Options], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of some options in their declared types.

    Integers become floats, texts become paths, and lists become tuples, where the type says so; a
    single text stands for a list of one.

    Args:
        config: declares the options.
        values: name to value.

    Raises:
        ConfigError: a value has another type than its option, or is out of its range.
    """
    types = option_types(config)
    return {
        name: checked(f"{config.section}{name}", value, types[name])
        for name, value in values.items()
    }


def checked(name: str, value: Any, kind: Any) -> Any:
    """Return one value in a type.

    Args:
        name: of the option, for the message.
        value: any.
        kind: a type, with or without a range.

    Raises:
        ConfigError: the value has another type, or is out of its range.

    >>> checked("size", 224, ImageSize)
    224
    """
    try:
        return _converted(value, kind)
    except (ValueError, OverflowError) as error:
        raise refusal(name, value, _advice(value, kind)) from error


def refusal(option: str, value: object, advice: str) -> ConfigError:
    """Return the error of an option's value.

    Args:
        option: its name.
        value: the value.
        advice: what to do instead, in the imperative.

    >>> str(refusal("size", 0, "use an integer >= 1"))
    'size: 0 is not valid; use an integer >= 1'
    """
    return ConfigError(f"{option}: {_shown(value)} is not valid; {advice}")


def no_effect(option: str, value: object, reason: str) -> ConfigError:
    """Return the error of an option that would change nothing.

    Args:
        option: its name.
        value: the value.
        reason: when it has no effect, as "with a run".

    >>> str(no_effect("actors", 4, "with engine local"))
    'actors: 4 is not valid; leave it out, as it has no effect with engine local'
    """
    return refusal(option, value, f"leave it out, as it has no effect {reason}")


def parse(value: Any, kind: Any) -> Any:
    """Return a value of the command line or of YAML in the type of its option, if it can be.

    Texts become numbers, booleans, None or lists where the type says so. What cannot be read stays
    as it is, for the validation to refuse.

    Args:
        value: a text from the command line, or any value from YAML.
        kind: the option's type.

    >>> parse("1e-3", float), parse("a,b", tuple[str, ...]), parse("x", int)
    (0.001, ['a', 'b'], 'x')
    """
    kind, rules = _without_rules(kind)
    if isinstance(value, str) and value.strip() == "null" and _is_optional(kind):
        return None
    kind = _without_none(kind)
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
        value = _split(value, is_whole=any(isinstance(rule, Unsplit) for rule in rules + more))
    if isinstance(value, list) and items is not None:
        return [parse(item, items) for item in value]
    return value


def _split(text: str, is_whole: bool) -> Any:
    """Return the items of a list that is written in YAML's brackets, or with commas."""
    if text.lstrip().startswith("["):
        try:
            return yaml.safe_load(text)
        except (ValueError, yaml.YAMLError):
            return text
    return [text] if is_whole else [item.strip() for item in text.split(",")]


def _without_rules(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return an annotated type without its rules, and the rules."""
    if get_origin(kind) is Annotated:
        kind, *rules = get_args(kind)
        return kind, tuple(rules)
    return kind, ()


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType)


def _is_optional(kind: Any) -> bool:
    return _is_union(kind) and NoneType in get_args(kind)


def _without_none(kind: Any) -> Any:
    if not _is_optional(kind):
        return kind
    return reduce(or_, (each for each in get_args(kind) if each is not NoneType))


def item_kind(kind: Any) -> Any:
    """Return the type of the items of a list or tuple type, None for all others.

    >>> item_kind(tuple[int, ...] | None), item_kind(int)
    (<class 'int'>, None)
    """
    kind, _ = _without_rules(_without_none(kind))
    return get_args(kind)[0] if get_origin(kind) in (list, tuple) else None


def _has_any_length(kind: Any) -> bool:
    return get_origin(kind) is list or get_args(kind)[-1] is Ellipsis


def _converted(value: Any, kind: Any) -> Any:
    """Return a value in its type, or raise ValueError."""
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
        # Path("") is the current folder, which an empty text never means.
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
    """Return what to use instead of a value."""
    kind = _without_none(kind)
    if get_origin(kind) is Literal and isinstance(value, str):
        return did_you_mean(value, get_args(kind))
    advice = f"use {describe(kind)}"
    return f"{advice}, or leave it out (is a shell variable unset?)" if value == "" else advice


def describe(kind: Any) -> str:
    """Return what values a type takes, in words.

    >>> describe(Threshold), describe(tuple[PositiveFloat, ...] | None)
    ('a number >= 0 and < 1, or auto', 'a list, each item a number > 0')
    """
    kind, rules = _without_rules(_without_none(kind))
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


def _shown(value: Any) -> str:
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
        return shortened(" ".join(map(str.strip, text.splitlines())))
    except ValueError:
        # Python writes no integers of more than some thousand digits.
        return "a number of thousands of digits"
