"""Files that rename, merge or leave out classes."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from wsol.data.annotations.csv import read_csv_rows
from wsol.data.annotations.names import class_fault, class_name
from wsol.errors import AnnotationError, DataError

_LEFT_OUT = ("", "~", "null")
"""What a YAML file has in place of a name for a class that is left out."""


def read_class_map(path: Path | str) -> dict[str, str | None]:
    r"""Read which names classes get.

    Args:
        path: CSV file with the columns `class,new_name`, or YAML file of `class: new_name`. Classes
            with the same new name are merged, and one without a new name is left out; a class that
            is not listed keeps its name.

    Returns:
        New name of each listed class, None where it is left out.

    Raises:
        AnnotationError: If a row cannot be used.
        DataError: If there is no such file, its suffix is unknown, or it cannot be read.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder, "classes.csv")
    ...     _ = file.write_text("class,new_name\nBengal,cat\nBombay,cat\npug,\n")
    ...     read_class_map(file)
    {'Bengal': 'cat', 'Bombay': 'cat', 'pug': None}
    """
    path = Path(path)
    suffix = path.suffix.lower()
    read = {".csv": _csv_pairs, ".yaml": _yaml_pairs, ".yml": _yaml_pairs}.get(suffix)
    if read is None:
        raise DataError(f"{path}: class maps are read from .csv, .yaml or .yml files")
    if not path.is_file():
        raise DataError(f"{path}: no such class map")
    found: dict[str, str | None] = {}
    for line, old, new in read(path):
        name, new_name = class_name(old), class_name(new)
        for each in (name, new_name or None):
            if each is not None and (fault := class_fault(each)):
                raise AnnotationError(path, line, f"the class {each!r} {fault}")
        if found.setdefault(name, new_name or None) != (new_name or None):
            raise AnnotationError(path, line, f"{name!r} has another new name already")
    return found


def _csv_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    for row in read_csv_rows(path, ("class", "new_name")):
        if isinstance(row, AnnotationError):
            raise row
        old, new = row.fields
        yield row.line, old, new


def _yaml_pairs(path: Path) -> Iterator[tuple[int | None, str, str]]:
    try:
        # Every scalar is a text: a class may be called "no" or "007".
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: needs a line 'class: new_name' for each class")
    for old, new in content.items():
        if not (isinstance(old, str) and isinstance(new, str)):
            raise AnnotationError(path, None, f"{old!r} needs one new name, not {new!r}")
        yield None, old, "" if new in _LEFT_OUT else new
