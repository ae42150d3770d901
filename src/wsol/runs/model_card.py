"""Model card of a run on the Hub: description, metrics and usage."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import PurePath
from string import punctuation
from typing import Any, NamedTuple

from wsol._utils.names import escape_name
from wsol.reports.metrics import metric_of
from wsol.runs.run import RunInfo

MOST_CLASSES = 200
"""Maximum number of listed classes; model.json has all."""


class _Figure(NamedTuple):
    """Name of a metric on the Hub."""

    metric: str
    task: str = "object-detection"


METRICS = {
    "top1_cls": _Figure("accuracy", "image-classification"),
    "top5_cls": _Figure("top-5-accuracy", "image-classification"),
    "max_box_acc_v2": _Figure("max_box_acc_v2"),
    "max_box_acc_50": _Figure("max_box_acc"),
    "gt_known": _Figure("gt_known_loc"),
    "top1_loc": _Figure("top1_loc"),
    "top5_loc": _Figure("top5_loc"),
    "box_ap": _Figure("mean_average_precision"),
    "box_ap50": _Figure("average_precision_50"),
}
"""Metrics of ``metrics.json`` in the model card, all in percent."""

_ESCAPES = {ord(mark): f"&#{ord(mark)};" for mark in punctuation}


def model_card(
    name: str,
    info: RunInfo,
    figures: Mapping[str, Any],
    *,
    license_name: str | None = None,
    dataset: str | None = None,
) -> str:
    """Return the text of a repository's ``README.md``.

    Args:
        name: repository, owner and name.
        info: info of the run.
        figures: metrics of ``metrics.json``; may be empty.
        license_name: license identifier of the Hub.
        dataset: training data set on the Hub.

    >>> from wsol.runs.run import RunInfo
    >>> info = RunInfo("resnet18", 16, ("a_b",), 224, "cam", 0.2, "val", "", None, 0.1, 0)
    >>> card = model_card("me/birds", info, {"gt_known": 61.5})
    >>> print(card[card.index("| GT") :].splitlines()[0], card.count("a_b"), "a&#95;b" in card)
    | GT-known Loc | 61.5 | 0 True
    """
    shown = {
        key: round(float(figures[key]), 2)
        for key in METRICS
        if isinstance(figures.get(key), int | float) and isfinite(figures[key])
    }
    data = dataset or (PurePath(info.data).name if info.data else "")
    top = _metadata(name, info, shown, license_name, dataset, data)
    return f"---\n{top}---\n\n{_text(name, info, shown, data)}"


def escaped(text: str) -> str:
    r"""Escape a text for Markdown and HTML by numeric references, which have no special meaning.

    >>> escaped("<b>*x*\n")
    '&#60;b&#62;&#42;x&#42;&#37;0A'
    """
    return escape_name(text).translate(_ESCAPES)


def _metadata(
    name: str,
    info: RunInfo,
    shown: Mapping[str, float],
    license_name: str | None,
    dataset: str | None,
    data: str,
) -> str:
    """Return the card's front matter, by the Hub's model card specification."""
    # Imported here, as it takes long.
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=METRICS[key].task,
            # The Hub requires a type and a name; folders of images by class are an imagefolder.
            dataset_type=data if "/" in data else "imagefolder",
            dataset_name=escape_name(data) or "not told",
            metric_type=METRICS[key].metric,
            metric_name=metric_of(key).title,
            metric_value=value,
        )
        for key, value in shown.items()
    ]
    content = ModelCardData(
        license=license_name,
        library_name="wsol",
        pipeline_tag="object-detection",
        tags=[
            "weakly-supervised-object-localization",
            "class-activation-map",
            "image-classification",
            info.backbone,
            info.method["name"],
        ],
        datasets=[dataset] if dataset else None,
        metrics=list(dict.fromkeys(METRICS[key].metric for key in shown)) or None,
        model_name=escape_name(name) if results else None,
        eval_results=results or None,
    )
    return content.to_yaml() + "\n"


def _text(name: str, info: RunInfo, shown: Mapping[str, float], data: str) -> str:
    trained_on = f" on {escaped(data)}" if data else ""
    facts = {
        "network": f"{info.backbone}, input {info.image_size} x {info.image_size}",
        "training method": json.dumps(info.method),
        "score maps": ", ".join(filter(None, [info.localizer, *info.layers, info.affinity])),
        "threshold of the boxes": f"{info.threshold:g} (from {info.threshold_from})",
    }
    if info.epoch is not None:
        by = "" if info.epoch_from == "last" else f", the best by {info.epoch_from} of val"
        facts["weights"] = f"of epoch {info.epoch}{by}"
    lines = [
        f"# {escaped(name)}",
        "",
        "A classifier that also localizes objects with boxes, trained on image-level "
        f"labels only{trained_on}: a run of wsol for weakly supervised object localization.",
        "",
        "    pip install wsol",
        f"    wsol predict photos/ --run hf:{name} --out boxes/",
        "",
        "    from wsol import Localizer",
        f'    for found in Localizer("hf:{name}")(["a.jpg"]):',
        "        print(found.label, found.score, found.boxes)",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {escaped(value)} |" for key, value in facts.items()),
    ]
    if shown:
        lines += ["", "## Figures", "", "In percent, as `wsol evaluate` measured them.", ""]
        lines += ["| figure | value |", "|---|---|"]
        lines += [f"| {metric_of(key).title} | {value:.1f} |" for key, value in shown.items()]
    listed = info.classes[:MOST_CLASSES]
    more = len(info.classes) - len(listed)
    rest = f" and {more:,} more in `model.json`" if more else ""
    lines += ["", f"## Classes ({len(info.classes):,})", ""]
    lines += [", ".join(map(escaped, listed)) + rest]
    return "\n".join(lines) + "\n"
