"""The score of a box says how doubtful it is."""

import numpy as np
import pytest

from wsol.inference.postprocess import Postprocessing, localize_image, rethreshold
from wsol.maps import box_confidence
from wsol.results.localization import Localization
from wsol.types import Instances

# A bright object, a dim one and a slope between them.
SCORE_MAP = np.zeros((20, 40), np.float32)
SCORE_MAP[2:12, 2:12], SCORE_MAP[4:14, 24:36] = 0.7, 1
SCORE_MAP += np.linspace(0, 0.2, 40, dtype=np.float32)
HEAT_MAP = (SCORE_MAP - SCORE_MAP.min()) / (SCORE_MAP.max() - SCORE_MAP.min())
SHARE = box_confidence(HEAT_MAP, 0.5)


def found(objects: Instances, is_multi_label: bool, probability: float = 0.3) -> Localization:
    """Return what is found of one class."""
    cut = Postprocessing(("cat", "dog"), 0.5, "minmax", objects, is_multi_label)
    return localize_image(
        cut, "a.jpg", (80, 40), np.array([1]), np.array([probability]), SCORE_MAP[None]
    )


@pytest.mark.parametrize("probability", [0.01, 0.9])
def test_of_one_label_the_map_alone_decides(probability: float) -> None:
    """The probability of the class is a separate field."""
    result = found("single", is_multi_label=False, probability=probability)
    assert result.box_scores == pytest.approx([SHARE])
    assert result.score == probability


def test_several_boxes_are_ordered_by_their_peaks() -> None:
    """The dim object is more doubtful than the bright one."""
    result = found("multiple", is_multi_label=False)
    assert result.boxes[:, 0].tolist() == [48, 4]
    peaks = [HEAT_MAP[4:14, 24:36].max(), HEAT_MAP[2:12, 2:12].max()]
    assert result.box_scores == pytest.approx([SHARE * peak for peak in peaks])


def test_multi_label_probabilities_are_box_scores() -> None:
    """Times the peaks, as before the one with the highest peak."""
    one, several = (found(number, is_multi_label=True) for number in ("single", "multiple"))
    assert one.box_scores.tolist() == [0.3]
    peaks = found("multiple", is_multi_label=False).box_scores / SHARE
    assert several.box_scores == pytest.approx(0.3 * peaks)


@pytest.mark.parametrize("instances", ["single", "multiple"])
@pytest.mark.parametrize("is_multi_label", [False, True])
def test_the_app_scores_boxes_alike(instances: Instances, is_multi_label: bool) -> None:
    """At the same threshold of the same map."""
    result = found(instances, is_multi_label)
    again = rethreshold(result, 0.5, instances, is_multi_label)
    assert again.boxes.tolist() == result.boxes.tolist()
    assert again.box_scores == pytest.approx(result.box_scores)
