"""One name means one figure, and every figure has one."""

from wsol.metrics import LocalizationAccuracy
from wsol.reports.metrics import METRICS, metric_of
from wsol.runs.model_card import METRICS as ON_CARDS


def test_names_are_told_apart() -> None:
    """No two keys share a title."""
    titles = [figure.title.casefold() for figure in METRICS.values()]
    assert len(set(titles)) == len(titles)


def test_what_is_measured_has_a_name_and_a_kind() -> None:
    """As do the figures of model cards, of detection, and those of one threshold of many."""
    measured = LocalizationAccuracy().at(0.2)
    assert {*measured, *ON_CARDS} <= METRICS.keys()
    assert metric_of("num_error").kind == "fault"
    assert metric_of("num_images").kind == "count"
    assert metric_of("threshold").kind == "threshold"
    assert metric_of("gt_known_at_0.05").kind == "percent"
    assert "_" not in metric_of("box_ap50").title + metric_of("of_another_version").title
