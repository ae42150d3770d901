"""A scaled map lies in [0, 1] in the order of its scores, or says that it shows nothing."""

from typing import get_args

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from wsol.maps.adl2019 import gray_heat_map
from wsol.maps.normalize import Normalization, is_flat, normalize, otsu_threshold

MAPS = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


@given(MAPS)
def test_a_map_spans_0_to_1_in_the_order_of_its_scores(score_map: NDArray[np.float32]) -> None:
    """The weakest pixel gets 0, the strongest 1, and no two change places."""
    scaled, has_object = normalize(score_map)
    assert scaled.dtype == np.float32
    assert scaled.shape == score_map.shape
    if is_flat(score_map.min(), score_map.max()):
        assert not has_object
        assert not scaled.any()
        return
    assert has_object
    assert (
        scaled[score_map == score_map.min()].tolist()
        == [0.0] * (score_map == score_map.min()).sum()
    )
    assert (scaled[score_map == score_map.max()] == 1).all()
    ranked = scaled.ravel()[np.argsort(score_map, axis=None)]
    assert (np.diff(ranked) >= 0).all()


@given(st.floats(0.5, 8), st.integers(-4, 4))
def test_units_do_not_matter(scale: float, offset: int) -> None:
    """Scores on another scale, or with a constant added, give the same map."""
    score_map = np.random.default_rng(0).random((5, 7))
    np.testing.assert_allclose(
        normalize(score_map * scale + offset)[0], normalize(score_map)[0], atol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_shows_nothing(bad: float) -> None:
    """One pixel that is not finite makes the map zeros without an object."""
    score_map = np.eye(4)
    score_map[1, 2] = bad
    scaled, has_object = normalize(score_map)
    assert not has_object
    assert scaled.tolist() == np.zeros((4, 4)).tolist()


def test_the_input_stays_as_it_was() -> None:
    """The caller's array is not written to."""
    score_map = np.array([[1.0, 3.0]])
    normalize(score_map)
    assert score_map.tolist() == [[1.0, 3.0]]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_range_beyond_the_type_is_scaled_too(dtype: type[np.floating]) -> None:
    """Scores whose difference is too large for their type span [0, 1] all the same."""
    most = np.finfo(dtype).max
    scaled, has_object = normalize(np.array([[-most, 0, most]], dtype))
    assert has_object
    assert scaled.tolist() == [[0, 0.5, 1]]


@given(MAPS)
def test_ordinary_maps_are_scaled_in_their_own_type(score_map: NDArray[np.float32]) -> None:
    """Bit by bit what the published evaluator computes."""
    low, high = score_map.min(), score_map.max()
    if not is_flat(low, high):
        assert np.array_equal(normalize(score_map)[0], (score_map - low) / (high - low))


def published(
    score_map: NDArray[np.floating], how: str, share: float
) -> NDArray[np.float64] | None:
    """Return what Kim et al. compute, step by step, None where that divides by nothing."""
    cam = score_map.astype(np.float64)
    ranked = np.sort(cam.ravel())
    standard = ranked[int(ranked.size * share)]
    if not np.isfinite(ranked).all() or is_flat(ranked[0], ranked[-1]):
        return None
    ends = {"pas": (ranked[0], standard), "ivr": (standard, ranked[-1])}
    if how in ends and is_flat(*ends[how]):
        return None
    if how == "minmax":
        cam = cam - ranked[0]
        divisor = ranked[-1] - ranked[0]
    elif how == "max":
        cam = np.maximum(0, cam)
        divisor = ranked[-1]
    elif how == "pas":
        cam = cam - ranked[0]
        divisor = standard - ranked[0]
    else:
        cam = np.maximum(0, cam - standard)
        divisor = ranked[-1] - standard
    return np.minimum(1, cam / divisor) if divisor > 0 else None


@pytest.mark.parametrize("how", ["minmax", "max", "pas", "ivr"])
@given(
    score_map=hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=6),
        # Few different values, so that many are equal, at the percentile too.
        elements=st.one_of(st.integers(-3, 3).map(float), st.floats(-1e3, 1e3)),
    ),
    share=st.floats(0, 1, exclude_max=True),
)
def test_every_way_is_the_published_one(
    how: Normalization, score_map: NDArray[np.float64], share: float
) -> None:
    """With the element of the sorted scores at int(size * share) for a percentile."""
    scaled, has_object = normalize(score_map, how, share)
    expected = published(score_map, how, share)
    assert has_object == (expected is not None)
    if expected is None:
        assert not scaled.any()
    else:
        assert np.array_equal(scaled, expected.astype(np.float32))
        assert 0 <= scaled.min() <= scaled.max() <= 1


def test_percentiles_are_those_of_the_paper_unless_told() -> None:
    """Nine tenths of the pixels for pas, 45 % for ivr; the others have none."""
    score_map = np.random.default_rng(0).permutation(200.0 + np.arange(400)).reshape(20, 20)
    top, bottom = normalize(score_map, "pas")[0], normalize(score_map, "ivr")[0]
    assert ((top == 1).sum(), (top == 0).sum()) == (400 - 360, 1)
    assert ((bottom == 1).sum(), (bottom == 0).sum()) == (1, 180 + 1)
    for how in ("minmax", "max"):
        assert np.array_equal(normalize(score_map, how, 0.3)[0], normalize(score_map, how)[0])


def test_equal_scores_at_the_percentile_stay_together() -> None:
    """However many pixels share the value at the percentile, all are 1, or all are 0."""
    score_map = np.array([[0.0, 5.0, 5.0, 5.0, 10.0]])
    assert normalize(score_map, "pas", 0.4)[0].tolist() == [[0, 1, 1, 1, 1]]
    assert normalize(score_map, "ivr", 0.6)[0].tolist() == [[0, 0, 0, 0, 1]]


ALL = pytest.mark.parametrize("how", get_args(Normalization))


@ALL
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_way_makes_anything_of_what_is_not_finite(how: Normalization, bad: float) -> None:
    """Even where the percentile is an ordinary score."""
    score_map = np.arange(12.0).reshape(3, 4)
    score_map[2, 3] = bad
    scaled, has_object = normalize(score_map, how)
    assert not has_object
    assert scaled.tolist() == np.zeros((3, 4)).tolist()


@pytest.mark.parametrize(
    ("how", "score_map"),
    [
        ("max", [[-3.0, -1.0]]),
        ("max", [[-3.0, 0.0]]),
        ("max", [[2.0, 2.0]]),
        ("pas", [[1.0, 1.0, 1.0, 9.0]]),
        ("ivr", [[1.0, 9.0, 9.0, 9.0]]),
    ],
)
def test_a_scale_without_length_shows_nothing(
    how: Normalization, score_map: list[list[float]]
) -> None:
    """Where the least value is not below the most, no pixel is ranked above another."""
    scaled, has_object = normalize(np.array(score_map), how, 0.5)
    assert not has_object
    assert not scaled.any()


@ALL
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_far_beyond_the_scale_do_not_overflow(
    how: Normalization, dtype: type[np.floating]
) -> None:
    """A score that is a large multiple of a short scale is 1, or 0, without a warning."""
    info = np.finfo(dtype)
    small, most = info.smallest_normal, info.max
    score_map = np.array([[0, small, small, small, most / 4]], dtype)
    assert normalize(score_map, "pas", 0.5)[0].tolist() == [[0, 1, 1, 1, 1]]
    assert normalize(-score_map[:, ::-1], "ivr", 0.5)[0].tolist() == [[0, 0, 0, 0, 1]]
    below = np.array([[-most, 0, small]], dtype)
    assert normalize(below, "max")[0].tolist() == [[0, 0, 1]]
    scaled, has_object = normalize(np.array([[-most, 0, most / 2, most]], dtype), how)
    assert has_object
    assert 0 == scaled.min() < scaled.max() == 1


@pytest.mark.parametrize("share", [-0.1, 1.0, 90.0, np.nan])
@pytest.mark.parametrize("how", ["minmax", "pas"])
def test_a_percentile_is_a_share(how: Normalization, share: float) -> None:
    """A percentage would ask for a pixel beyond the last, a share below 0 count from the end."""
    with pytest.raises(ValueError, match="percentile"):
        normalize(np.eye(3), how, share)


@ALL
def test_a_view_that_is_read_only_will_do(how: Normalization) -> None:
    """The order of the array in memory decides nothing, and nothing is written."""
    score_map = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    view = np.asfortranarray(score_map)
    view.setflags(write=False)
    assert np.array_equal(normalize(view, how)[0], normalize(score_map, how)[0])


@ALL
@pytest.mark.parametrize("value", [0.37, -5.0, 1e-20, 3e8])
def test_rounding_errors_of_a_constant_map_show_nothing(how: Normalization, value: float) -> None:
    """As many steps of float32 as interpolation is off by, at any scale and percentile."""
    steps = np.random.default_rng(0).integers(0, 60, (20, 30))
    score_map = np.float32(value) * (1 + steps * np.finfo(np.float32).eps)
    assert np.unique(score_map).size > 20
    scaled, has_object = normalize(score_map.astype(np.float32), how)
    assert not has_object
    assert not scaled.any()
    assert not gray_heat_map(score_map.astype(np.float32)).any()


@pytest.mark.parametrize(("how", "other"), [("pas", 9.0), ("ivr", 1.0)])
def test_a_percentile_does_not_enlarge_rounding_errors(how: Normalization, other: float) -> None:
    """Where all but a few pixels are constant, a scale between two of those has no length."""
    steps = np.random.default_rng(0).integers(0, 60, (20, 20))
    score_map = (5 * (1 + steps * np.finfo(np.float32).eps)).astype(np.float32)
    score_map[0, :4] = other
    scaled, has_object = normalize(score_map, how, 0.5)
    assert not has_object
    assert not scaled.any()


def test_small_differences_that_are_none_of_rounding_stay() -> None:
    """A share of 1e-4 of the scores, at any scale, and one of 1e-9 in float64."""
    for dtype, share in ((np.float16, 2e-3), (np.float32, 1e-4), (np.float64, 1e-9)):
        for scale in (1e-3, 1.0, 1e3):
            score_map = (scale * (1 + share * np.eye(3))).astype(dtype)
            scaled, has_object = normalize(score_map)
            assert has_object
            assert np.array_equal(scaled, np.eye(3))


def best_split(values: NDArray[np.floating]) -> float:
    """Return the middle of the class means of the split with the largest variance between them.

    All splits of all pixels are tried, one after another.
    """
    ranked = np.sort(values.astype(np.float64).ravel())
    found = []
    for count in range(1, len(ranked)):
        if ranked[count - 1] < ranked[count]:
            low, high = ranked[:count].mean(), ranked[count:].mean()
            share = count / len(ranked)
            found.append((share * (1 - share) * (high - low) ** 2, (low + high) / 2))
    return max(found)[1]


def blob(seed: int) -> NDArray[np.float32]:
    """Return a map of a bright object, a dim one and noise."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[:40, :50]
    centers, widths = chance.uniform(5, 35, (2, 2)), chance.uniform(3, 12, 2)
    distances = [np.hypot(y - cy, x - cx) for cy, cx in centers]
    bright, dim = (np.exp(-((d / w) ** 2)) for d, w in zip(distances, widths, strict=True))
    noise = chance.normal(scale=0.05, size=y.shape)
    return (bright + chance.uniform(0, 0.8) * dim + noise).astype(np.float32)


@pytest.mark.parametrize("seed", range(8))
def test_otsu_is_the_best_of_all_splits(seed: int) -> None:
    """Up to the width of a bin; OpenCV finds the same grey level."""
    scaled = normalize(blob(seed))[0]
    threshold = otsu_threshold(scaled)
    assert threshold == pytest.approx(best_split(scaled), abs=2 / 256)
    level, _ = cv2.threshold(np.rint(scaled * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    assert threshold == pytest.approx(level / 255, abs=3 / 256)


@given(MAPS)
def test_otsu_moves_the_threshold_to_a_half(score_map: NDArray[np.float32]) -> None:
    """In a straight line on either side, so that 0 and 1 stay and no two pixels change places."""
    scaled, has_object = normalize(score_map)
    found, same = normalize(score_map, "otsu")
    assert found.dtype == np.float32
    assert same == has_object
    if has_object:
        threshold = otsu_threshold(scaled)
        assert 0 < threshold < 1
        expected = np.interp(scaled, [0, threshold, 1], [0, 0.5, 1])
        np.testing.assert_allclose(found, expected, atol=1e-6)
        ranked = found.ravel()[np.argsort(score_map, axis=None)]
        assert (np.diff(ranked) >= 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_otsu_keeps_all_differences(seed: int) -> None:
    """Scores that differ by more than rounding errors stay apart."""
    score_map = blob(seed)
    steps = np.diff(np.sort(normalize(score_map, "otsu")[0], axis=None))
    given_steps = np.diff(np.sort(normalize(score_map)[0], axis=None))
    assert (steps[given_steps > 1e-6] > 0).all()


def test_a_gap_does_not_move_otsus_threshold() -> None:
    """Every split in it is as good: the middle is taken, and a little noise changes nothing."""
    score_map = np.zeros((20, 20), np.float32)
    score_map[5:12, 4:18] = 1
    assert otsu_threshold(score_map) == 0.5
    noise = np.random.default_rng(0).uniform(0, 1e-3, score_map.shape)
    noisy, _ = normalize(score_map + noise)
    assert otsu_threshold(noisy) == pytest.approx(0.5, abs=2e-3)
