"""The tables of options in the pages are those of the dataclasses."""

import re
import runpy
from pathlib import Path

TOOL = runpy.run_path(str(Path(__file__).parents[2] / "tools/write_option_tables.py"))
"""Names of the script that writes the tables."""


def test_the_tables_are_those_of_the_dataclasses() -> None:
    """No table was edited by hand: run ``python tools/write_option_tables.py`` if this fails."""
    pages = {path: path.read_text(encoding="utf-8") for path in TOOL["DOCS"].glob("*.md")}
    assert sum(len(TOOL["TABLE"].findall(text)) for text in pages.values()) == 15
    for path, text in pages.items():
        assert TOOL["page"](text) == text, path.name


def test_a_row_has_default_and_choices() -> None:
    """A default in words replaces the value, and choices that the text lacks are added."""
    text = "<!-- options of wsol.inference.config.ExportConfig -->\n<!-- end of options -->\n"
    rows = re.findall(r"^\| \W*`(\w+)`.*? \| (.*) \| (.*) \|$", TOOL["page"](text), re.MULTILINE)
    found = {name: (default, meaning) for name, default, meaning in rows}
    assert [row[0] for row in rows[:2]] == ["run", "out"]
    assert found["out"][0] == "required"
    assert found["image_size"][0] == "the run's"
    assert found["layers"][0] == "the run's; with `--localizer`, chosen automatically and logged"
    assert found["format"][0] == "`onnx`"
