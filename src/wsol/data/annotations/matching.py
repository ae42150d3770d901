"""Matching of the rows of annotation files with images, for all readers."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from wsol.data.annotations.types import ImageRow, OnBad
from wsol.data.names import ImageNames, some
from wsol.errors import AnnotationError

RowT = TypeVar("RowT", bound=ImageRow)

Synonyms = Literal["exact", "all", "none"]
"""Different names that rows may use for one image: only exact ones (`Match`), all, or none."""

_logger = logging.getLogger("wsol")


@dataclass(frozen=True, eq=False)
class MatchedRows(Generic[RowT]):
    """Rows of annotation files by image, in the order of the files.

    Args:
        ids: Path of each image.
        of_image: Rows of each image that has any, by the index of the image.
        unknown: Rows that match no image.
    """

    ids: Sequence[str]
    of_image: dict[int, list[RowT]] = field(default_factory=dict)
    unknown: list[RowT] = field(default_factory=list)

    def refuse_unknown(self, on_bad: OnBad = "fail", where: object = None) -> None:
        """Refuse all rows of unknown images with a single message.

        Args:
            on_bad: Whether to raise the error of the first row, or to log it.
            where: Folder of the images, for the message.
        """
        if not self.unknown:
            return
        first, number = self.unknown[0], len(self.unknown)
        names = dict.fromkeys(row.image for row in self.unknown)
        reason = f"no image {first.image!r}" + (f" in {where}" if where else "")
        file = _file_name(first.image)
        near = next((name for name in self.ids if _file_name(name) == file), None)
        reason += f"; did you mean {near!r}?" if near else ""
        if number > 1:
            reason += f"; in total {number} rows of {len(names)} unknown images: {some(names)}"
        refuse(first.bad(reason), on_bad, "row skipped" if number == 1 else "rows skipped")


def match_rows(
    rows: Iterable[RowT | AnnotationError],
    names: ImageNames,
    *,
    check: Callable[[RowT, int, list[RowT]], RowT] | None = None,
    on_bad: OnBad = "fail",
    synonyms: Synonyms = "exact",
) -> MatchedRows[RowT]:
    """Assign the rows of annotation files to images.

    Args:
        rows: Rows of files, and errors of invalid rows.
        names: Names of the images.
        check: Function of a row, the index of its image, and the earlier rows of the image. It
            returns the row to keep, or raises its error.
        on_bad: Whether a bad row raises an error or is skipped with a log message.
        synonyms: Different names that rows may use for one image.

    Raises:
        AnnotationError: If a row is an error, matches more than one image, or fails the check.

    >>> from pathlib import Path
    >>> ids = ["crow/a.jpg", "crow/b.jpg"]
    >>> rows = [ImageRow(Path("boxes.csv"), name) for name in ("b.jpg", "c.jpg")]
    >>> matched = match_rows(rows, ImageNames(ids))
    >>> list(matched.of_image), [row.image for row in matched.unknown]
    ([1], ['c.jpg'])
    """
    found = MatchedRows[RowT](names.ids)
    called: dict[int, str] = {}
    for row in rows:
        try:
            if isinstance(row, AnnotationError):
                raise row
            match = names.find(row.image)
            if match is None:
                found.unknown.append(row)
                continue
            index = match.index
            if index is None:
                raise row.bad(f"{row.image!r} matches more than one image; use a longer path")
            if synonyms == "none" or not (synonyms == "all" or match.is_exact):
                called.setdefault(index, row.image)
            other = called.get(index, row.image)
            if other != row.image:
                both = f"{row.image!r} and {other!r}"
                raise row.bad(f"{both} match the same image {names.ids[index]!r}; use longer paths")
            earlier = found.of_image.get(index, [])
            kept = row if check is None else check(row, index, earlier)
            found.of_image.setdefault(index, earlier).append(kept)
        except AnnotationError as error:
            refuse(error, on_bad)
    return found


def refuse(error: AnnotationError, on_bad: OnBad, consequence: str = "row skipped") -> None:
    """Raise the error of a row, or log it if bad rows are skipped."""
    if on_bad != "skip":
        raise error
    _logger.warning("%s (%s)", error, consequence)


def _file_name(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].casefold()
