"""CSV and Parquet: every row comes back, and no cell is a formula."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from wsol._utils.names import unescape_name
from wsol.formats._files import from_cell, to_cell
from wsol.formats.tables import COLUMNS
from wsol.results.localization import Localization


def read_csv(path: Path) -> list[dict[str, object]]:
    """Read with Python's reader, by the rule of the documentation."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        assert reader.fieldnames == list(COLUMNS)
        return [
            {
                name: None if cell == "" else from_cell(cell) if kind is str else kind(cell)
                for (name, kind), cell in zip(COLUMNS.items(), row.values(), strict=True)
            }
            for row in reader
        ]


def read_parquet(path: Path) -> list[dict[str, object]]:
    """Read with pyarrow."""
    return [
        {name: unescape_name(cell) if isinstance(cell, str) else cell for name, cell in row.items()}
        for row in pq.read_table(path).to_pylist()
    ]


@settings(max_examples=40)
@given(data=st.data())
def test_all_rows_come_back(
    data: st.DataObject,
    predictions: st.SearchStrategy[list[Localization]],
    classes: tuple[str, ...],
    write: Callable[[str, list[Localization]], Path],
) -> None:
    """From both files alike, to the last digit: also images without boxes and errors."""
    results = data.draw(predictions)
    rows = read_csv(write("csv", results) / "predictions.csv")
    assert rows == read_parquet(write("parquet", results) / "predictions.parquet")
    for result in results:
        mine = [row for row in rows if row["image_id"] == result.image_id]
        assert len(mine) == max(1, len(result.boxes))
        for row in mine:
            assert (row["width"], row["height"]) == result.original_size
            assert row["status"] == result.status
            assert row["error"] == (None if result.error is None else result.error.reason)
        if not len(result.boxes):
            assert mine[0]["x0"] is mine[0]["score"] is mine[0]["label"] is None
            continue
        corners = [[row[name] for name in ("x0", "y0", "x1", "y1")] for row in mine]
        np.testing.assert_array_equal(corners, result.boxes)
        assert [row["score"] for row in mine] == result.box_scores.tolist()
        assert [row["class_index"] for row in mine] == result.box_labels.tolist()
        assert [row["label"] for row in mine] == [classes[i] for i in result.box_labels]


@given(st.text(st.sampled_from("=+-@'\t\r\n,;\"a\uff1d"), min_size=1, max_size=6))
def test_no_cell_is_a_formula_and_each_leads_back(text: str) -> None:
    """Nothing that a spreadsheet acts upon comes first."""
    cell = to_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d"))
    assert from_cell(cell) == text
