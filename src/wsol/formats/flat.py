"""Predictions as a table: one row a box, and one for each picture without."""

from collections.abc import Iterator, Sequence

from wsol.results.localization import Localization

COLUMNS = {
    "image_id": str,
    "width": int,
    "height": int,
    "status": str,
    "error": str,
    "label": str,
    "class_index": int,
    "score": float,
    "x0": float,
    "y0": float,
    "x1": float,
    "y1": float,
}
"""Name and kind of each column, alike in CSV and Parquet."""


def flat_rows(
    result: Localization, classes: Sequence[str]
) -> Iterator[tuple[str | float | None, ...]]:
    """Yield the rows of one picture; what there is not is None.

    Args:
        result: of one picture.
        classes: names of all classes.

    >>> import numpy as np
    >>> box = {"boxes": [[0, 0, 4, 2]], "box_scores": [0.5], "box_labels": [0]}
    >>> result = Localization("a.jpg", (8, 6), **{k: np.array(v) for k, v in box.items()})
    >>> list(flat_rows(result, ("cat",)))
    [('a.jpg', 8, 6, 'ok', None, 'cat', 0, 0.5, 0, 0, 4, 2)]
    """
    reason = None if result.error is None else result.error.reason
    picture = (result.image_id, *result.image_size, result.status, reason)
    for box, score, label in zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    ):
        yield (*picture, classes[label], label, score, *box)
    if not len(result.boxes):
        yield (*picture, *([None] * 7))
