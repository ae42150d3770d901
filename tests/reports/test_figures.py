"""One name means one figure, and every figure has one."""

from wsol.metrics import LocalizationAccuracy
from wsol.reports.metrics import FIGURES, figure_of
from wsol.runs.model_card import FIGURES as ON_CARDS


def test_names_are_told_apart() -> None:
    """No two keys share a title."""
    titles = [figure.title.casefold() for figure in FIGURES.values()]
    assert len(set(titles)) == len(titles)


def test_what_is_measured_has_a_name_and_a_kind() -> None:
    """As do the figures of model cards, of detection, and those of one threshold of many."""
    measured = LocalizationAccuracy().at(0.2)
    assert {*measured, *ON_CARDS} <= FIGURES.keys()
    assert figure_of("num_error").kind == "fault"
    assert figure_of("num_images").kind == "count"
    assert figure_of("threshold").kind == "threshold"
    assert figure_of("gt_known_at_0.05").kind == "percent"
    assert "_" not in figure_of("box_ap50").title + figure_of("of_another_version").title
