"""What waits on the disk is what may be written."""

import math
from pathlib import Path

import pytest

from wsol.formats._files import JsonList, write_lists


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_has_no_number_that_is_none(tmp_path: Path, number: float) -> None:
    """It is refused before any file is written, as no other reader takes it."""
    rows = JsonList(tmp_path)
    rows.add({"score": 0.5})
    with pytest.raises(ValueError, match="not JSON compliant"):
        rows.add({"score": number})
    write_lists(tmp_path / "a.json", rows)
    assert (tmp_path / "a.json").read_text().count("score") == 1
