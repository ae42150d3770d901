"""Values of options in their declared types."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

from wsol.errors import ConfigError, did_you_mean
from wsol.options import (
    NOT_EMPTY,
    UNSPLIT,
    Options,
    PositiveFloat,
    PositiveInt,
    Range,
    Threshold,
    checked,
    parse,
)


def _numbers() -> Iterator[int]:
    yield from (1, 2)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (3, float, 3.0),
        (np.int64(3), PositiveInt, 3),
        (np.float32(0.5), PositiveFloat, 0.5),
        ("a", Path, Path("a")),
        ("a.jpg", list[Path], [Path("a.jpg")]),
        (Path("a.jpg"), list[Path], [Path("a.jpg")]),
        ("layer3", tuple[str, ...], ("layer3",)),
        ([1, 2], tuple[PositiveInt, ...], (1, 2)),
        (_numbers(), tuple[PositiveInt, ...], (1, 2)),
        (np.array([1.5]), tuple[float, ...], (1.5,)),
        (None, PositiveInt | None, None),
        ((0.1, 0.2, 0.3), tuple[float, float, float] | None, (0.1, 0.2, 0.3)),
        ("auto", Threshold | None, "auto"),
        (0, Threshold | None, 0.0),
    ],
)
def test_values_take_the_type_of_their_option(value: Any, kind: Any, expected: Any) -> None:
    """Where nothing is lost or guessed."""
    found = checked("option", value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (10**400, float),
        pytest.param(10**5000, PositiveInt, id="digits"),
        (1 + 0j, float),
        ("", Path),
        ("a\0b", Path),
        (b"a", Path),
        ({"a": 1}, tuple[str, ...]),
        ({1, 2}, tuple[int, ...]),
        ("ab", tuple[int, ...]),
        ((0.1, 0.2), tuple[float, float, float]),
        ((), Annotated[tuple[int, ...], NOT_EMPTY]),
        (None, PositiveInt),
        (object(), dict),
    ],
)
def test_other_values_are_one_line(value: Any, kind: Any) -> None:
    """The option is named, however large the value."""
    with pytest.raises(ConfigError, match=r"^option: ") as caught:
        checked("option", value, kind)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("1e-3", PositiveFloat, 0.001),
        ("null", PositiveFloat | None, None),
        ("null", Path, "null"),
        ("TRUE", bool, True),
        ("a, b", tuple[str, ...], ["a", "b"]),
        ("[a, b]", tuple[str, ...], ["a", "b"]),
        ("1,2.5", tuple[PositiveFloat, ...] | None, [1.0, 2.5]),
        ("a, b", Annotated[tuple[str, ...], UNSPLIT], ["a, b"]),
        ('["a, b", "c"]', Annotated[tuple[str, ...], UNSPLIT], ["a, b", "c"]),
        ("[1, ", tuple[int, ...], "[1, "),
        ("three", PositiveInt, "three"),
        ("auto", Threshold | None, "auto"),
        ("0.3", Threshold | None, 0.3),
        ("null", Threshold | None, None),
        pytest.param("9" * 5000, PositiveInt, "9" * 5000, id="digits"),
    ],
)
def test_texts_become_values(text: str, kind: Any, expected: Any) -> None:
    """And stay as they are where they cannot, for the validation to refuse."""
    assert parse(text, kind) == expected


def test_no_program_in_brackets_runs() -> None:
    """Tags of YAML build nothing."""
    text = "[!!python/object/apply:os.getcwd []]"
    assert parse(text, tuple[str, ...]) == text


def test_options_are_kept_in_their_types() -> None:
    """Also those of a dataclass that adds rules of its own."""

    @dataclass(frozen=True)
    class Config(Options):
        data: Path
        share: Annotated[float, Range(above=0)] = 1.0

    config = Config("birds", 2)  # type: ignore[arg-type]
    assert (config.data, config.share) == (Path("birds"), 2.0)
    assert isinstance(config.share, float)
    with pytest.raises(ConfigError, match=r"^share: 0"):
        Config(Path("birds"), 0)


def test_few_of_many_names_are_proposed() -> None:
    """The nearest ones, and how many there are besides."""
    names = [f"{number:04}-{'x' * 200}" for number in range(5000)]
    line = did_you_mean("7" * 20_000, names)
    assert len(line) < 1000
    assert "4,995" in line
