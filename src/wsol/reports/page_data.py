"""What a report's page is told of each picture, and how data goes into a script."""

import json
from typing import Any

from wsol._utils.names import portable
from wsol.reports.ground_truth import Truth
from wsol.results.about import About
from wsol.results.localization import Localization


def row_of(result: Localization, truth: Truth | None, classes: frozenset[str]) -> dict[str, Any]:
    """Return a picture's row, as ``page/source.js`` describes it.

    Args:
        result: of the picture.
        truth: what is true of it, or None where that is not known.
        classes: that the network knows; only of these it can be right or wrong.

    >>> row = row_of(Localization("a.jpg", (8, 6), "cat", 0, 0.5), None, frozenset({"cat"}))
    >>> row["name"], row["status"], row["truth"]
    ('a.jpg', 'no_object', None)
    """
    width, height = result.image_size
    boxes = zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    )
    return {
        "name": portable(result.image_id),
        "width": width,
        "height": height,
        "status": result.status,
        "error": None if result.error is None else portable(result.error.reason),
        "label": result.class_index,
        "score": result.score,
        "boxes": [[*box, score, label] for box, score, label in boxes],
        "truth": None if truth is None else _truth(result, truth, classes),
    }


def _truth(result: Localization, truth: Truth, classes: frozenset[str]) -> dict[str, Any]:
    boxes = zip(truth.boxes.tolist(), truth.box_classes, strict=True)
    judged = not classes.isdisjoint(truth.classes)
    return {
        "classes": [portable(name) for name in truth.classes],
        "right": result.label in truth.classes if judged else None,
        "boxes": [[*box, portable(name)] for box, name in boxes],
    }


def about_page(about: About) -> dict[str, Any]:
    """Return what all rows have in common, as the page wants it.

    Args:
        about: of the prediction.

    >>> from pathlib import Path
    >>> about_page(About(("cat",), Path("photos"), 0.2))["classes"]
    ['cat']
    """
    return {
        "classes": [portable(name) for name in about.names],
        "threshold": about.threshold,
        "objects": about.objects,
        "model": portable(about.model),
    }


def script_json(content: Any) -> str:
    r"""Return JSON that is inert inside a script, whatever its texts hold.

    Args:
        content: of dictionaries, lists, texts and finite numbers.

    >>> script_json("</script>\u2028")
    '"\\u003c/script>\\u2028"'
    """
    # All but ASCII is escaped, and with it the line ends that only JavaScript knows.
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
