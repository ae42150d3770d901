"""Class maps: new names by class, from CSV and YAML."""

from pathlib import Path

import pytest

from wsol.data.labels import read_class_map
from wsol.errors import DataError

EXPECTED = {"Bengal": "cat", "no": "yes", "007": None}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "new_name,class,note\ncat, Bengal ,x\nyes,no,\n,007,\n"),
        ("a.yaml", "Bengal: cat\nno: yes\n007:\n"),
        ("a.yml", "{Bengal: cat, no: yes, 007: null}"),
        ("a.yaml", "{Bengal: cat, no: yes, 007: ~}"),
    ],
)
def test_both_formats_say_the_same(tmp_path: Path, name: str, text: str) -> None:
    """Names are texts, whatever YAML makes of them elsewhere."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_class_map(tmp_path / name) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.csv", "class,name\na,b\n", "a.csv:1"),
        ("a.csv", "class,new_name\na,b\na,c\n", "a.csv:3"),
        ("a.csv", "class,new_name\n,c\n", "a.csv:2"),
        ("a.csv", 'class,new_name\na,"b\tc"\n', "a.csv:2"),
        ("a.yaml", "- a\n- b\n", "a.yaml"),
        ("a.yaml", "a: [b, c]\n", "a.yaml"),
        ("a.yaml", "a: {b: c}\n", "a.yaml"),
        ("a.yaml", "a: 'b\n", "a.yaml"),
        ("a.yaml", "a: &x b\nc: *x\n", None),
        ("a.txt", "a b\n", "a.txt"),
        ("missing.csv", None, "missing.csv"),
    ],
)
def test_what_cannot_be_used_is_refused(
    tmp_path: Path, name: str, text: str | None, where: str | None
) -> None:
    """In one line with the file, and its line where it has lines."""
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    if where is None:
        assert read_class_map(tmp_path / name) == {"a": "b", "c": "b"}
        return
    with pytest.raises(DataError, match=where) as error:
        read_class_map(tmp_path / name)
    assert "\n" not in str(error.value)
