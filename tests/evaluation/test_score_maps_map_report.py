"""Rows of maps: the worst are kept, and tables are safe to open."""

import csv
import random
from pathlib import Path

import pytest

from wsol.evaluation.score_maps import MapRow, keep_worst, write_table
from wsol.formats._files import from_cell


def row(name: str, score: float | None) -> MapRow:
    """Return the row of a map with a score."""
    return MapRow(name, "crow", "ok", score, None, "")


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_the_worst_are_those_of_a_sorted_list(count: int) -> None:
    """By score, and of equals the first seen; a row without score is none of them."""
    draws = random.Random(count)
    rows = [row(str(i), draws.choice([None, 0.0, 10.0, 20.0, 30.0])) for i in range(30)]
    worst: list[MapRow] = []
    for each in rows:
        keep_worst(worst, each, count)
    scored = [each for each in rows if each.score is not None]
    assert worst == sorted(scored, key=lambda each: each.score or 0)[:count]


def test_names_survive_and_formulas_do_not(tmp_path: Path) -> None:
    """Odd names lead back to what they were; what a spreadsheet would run is quoted."""
    names = ["a,b.jpg", 'q"uote', "line\nbreak", "日本", "\udcff.jpg", "'quoted", "%0A"]
    names += ["=1+1", "+1", "-1", "@x", "\tx", "\r=1", "\uff1d1"]
    write_table(tmp_path / "a.csv", ["name"], [(name,) for name in names])
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    found = [line[0] for line in csv.reader(text.splitlines(keepends=True))][1:]
    assert [from_cell(cell) for cell in found] == names
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")) for cell in found)


def test_a_table_that_fails_is_not_there(tmp_path: Path) -> None:
    """The old one stays, whole."""
    write_table(tmp_path / "a.csv", ["n"], [(1,)])
    with pytest.raises(ZeroDivisionError):
        write_table(tmp_path / "a.csv", ["n"], ((1 / n,) for n in (1, 0)))
    assert (tmp_path / "a.csv").read_text().split() == ["n", "1"]
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]
