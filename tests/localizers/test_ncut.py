"""Normalized cuts against an independent solver, and what is known of images made of blocks."""

import numpy as np
import pytest
import torch
from scipy.linalg import eigh
from torch import Tensor

from wsol.localizers.ncut import (
    FAINT,
    connected_component,
    largest_eigenvector,
    likeness,
    normalized_cut,
    repeated_cuts,
    second_eigenvector,
    set_apart,
)
from wsol.maps import objects_at


def blocks(layout: list[str], noise: float = 0.0, channels: int = 32) -> Tensor:
    """Return features ``(C, h, w)`` with a direction for each letter."""
    chance = torch.Generator().manual_seed(1)
    names = sorted(set("".join(layout)))
    directions = torch.linalg.qr(torch.randn(channels, len(names), generator=chance)).Q
    numbers = torch.tensor([[names.index(each) for each in row] for row in layout])
    found = directions[:, numbers]
    return found + noise * torch.randn(found.shape, generator=chance)


def exported(features: Tensor) -> np.ndarray:
    """Return the weights of the graph in float64, place by place."""
    points = features.flatten(1).double().numpy()
    lengths = np.linalg.norm(points, axis=0)
    cosines = points.T @ points / np.outer(lengths, lengths)
    return np.where(cosines > np.median(cosines) - 2.0**-16, 1.0, FAINT)


ONE = [
    "........",
    "...aaa..",
    "..aaaa..",
    "...aa...",
    "........",
    "........",
]
TWO = [
    "..........",
    ".aa.......",
    ".aa..bbbb.",
    ".aa..bbbb.",
    ".....bbbb.",
    "..........",
    "..........",
    "..........",
]


@pytest.mark.parametrize("seed", range(5))
def test_the_map_is_that_of_the_generalized_eigenproblem(seed: int) -> None:
    """Of a dense solver in float64: the same vector but for its sign, and the same two sides."""
    features = torch.randn(12, 7, 9, generator=torch.Generator().manual_seed(seed))
    weights = exported(features)
    degrees = np.diag(weights.sum(1))
    values, vectors = eigh(degrees - weights, degrees)
    expected = vectors[:, 1]
    value, vector = second_eigenvector(likeness(features))
    assert value.item() == pytest.approx(1 - values[1], abs=1e-4)
    assert abs(expected @ vector.numpy()) == pytest.approx(
        np.linalg.norm(expected) * vector.norm().item(), rel=1e-4
    )
    side = expected > expected.mean()
    if not side[np.abs(expected).argmax()]:
        side = ~side
    if side.reshape(7, 9)[[0, 0, -1, -1], [0, -1, 0, -1]].sum() > 2:
        side = ~side
    assert np.array_equal(normalized_cut(features).flatten().numpy() > 0.5, side)


def test_large_graphs_take_no_more_steps() -> None:
    """The eigenvector of a noisy graph of 784 places is exact enough for its cut."""
    features = blocks([row * 4 for row in ONE] * 4, noise=0.25)
    weights = likeness(features)
    roots = weights.sum(1).sqrt()
    matrix = weights / torch.outer(roots, roots) - torch.outer(roots, roots) / roots.square().sum()
    values, vectors = torch.linalg.eigh(matrix)
    value, vector = largest_eigenvector(matrix)
    assert value.item() == pytest.approx(values[-1].item(), abs=1e-5)
    assert (vector @ vectors[:, -1]).abs() > 0.9999


@pytest.mark.parametrize("noise", [0, 0.05])
def test_an_object_with_distinct_features_is_found_exactly(noise: float) -> None:
    """At the threshold 0.5, with 1 and 0 as the extremes."""
    found = normalized_cut(blocks(ONE, noise))
    expected = torch.tensor([[each == "a" for each in row] for row in ONE])
    assert torch.equal(found > 0.5, expected)
    assert (found.min(), found.max()) == (0, pytest.approx(1))


@pytest.mark.parametrize("offset", [0, 0.5])
def test_features_that_all_look_alike_are_told_apart(offset: float) -> None:
    """As after a ReLU: the half of pairs that look most alike counts, of whatever cosine."""
    found = normalized_cut(7 * blocks(ONE, 0.02) + offset)
    assert torch.equal(found > 0.5, normalized_cut(blocks(ONE)) > 0.5)


def test_the_side_of_three_corners_is_no_object() -> None:
    """Even if its places have the largest values."""
    layout = ["aaaa....", "aaa.....", "aa......", "a.......", "aaaa...a"]
    found = normalized_cut(blocks(layout)) > 0.5
    expected = torch.tensor([[each == "." for each in row] for row in layout])
    assert torch.equal(found, expected)


def test_no_block_is_divided() -> None:
    """Places of equal features are on the same side, however many blocks there are."""
    layout = ["aabbcc", "aabbcc", "ddddcc"]
    found = normalized_cut(blocks(layout)) > 0.5
    for name in "abcd":
        places = torch.tensor(
            [[each == name for each in row] for row in ("aabbcc",) * 2 + ("ddddcc",)]
        )
        assert len(found[places].unique()) == 1


@pytest.mark.parametrize("value", [0.0, 0.37])
def test_constant_features_have_no_object(value: float) -> None:
    """Whatever their rounding errors."""
    features = torch.full((5, 4, 6), value)
    assert len(normalized_cut(features).unique()) == 1
    assert repeated_cuts(features).count_nonzero() == 0


def test_features_that_are_no_numbers_give_none() -> None:
    """Instead of an error, as an image in a batch must not harm the others."""
    features = torch.full((5, 4, 6), torch.nan)
    assert not (normalized_cut(features) > 0.5).any()
    assert not (repeated_cuts(features) > 0.5).any()


@pytest.mark.parametrize("noise", [0, 0.02])
def test_repeated_cuts_find_each_object_once(noise: float) -> None:
    """Two of one kind, which the first cut has on one side, are found by a cut and a box each."""
    maps = repeated_cuts(blocks([row.replace("b", "a") for row in TWO], noise))
    inside = maps > 0.5
    found = [set(each.flatten().nonzero().flatten().tolist()) for each in inside]
    expected = [
        {each for each, name in enumerate("".join(TWO)) if name == wanted} for wanted in "ab"
    ]
    assert sorted(found, key=len) == [set(), *expected]
    boxes, _ = objects_at(set_apart(maps).numpy(), 0.5)
    assert sorted(map(tuple, boxes.tolist())) == [(1, 1, 3, 4), (5, 2, 9, 5)]


def test_what_looks_like_the_rest_is_no_further_object() -> None:
    """Background that falls into two kinds, which look a little alike, is none."""
    layout = [".aa.....", ".aa.....", "....,,,,", "..,,,,,,", ",,,,,,,,"]
    features = blocks(layout)
    is_grey = torch.tensor([[name == "," for name in row] for row in layout])
    features[:, is_grey] += 0.6 * features[:, :1, 0]
    chance = torch.Generator().manual_seed(0)
    maps = repeated_cuts(features + 0.02 * torch.randn(features.shape, generator=chance))
    first = torch.tensor([[name == "a" for name in row] for row in layout])
    assert torch.equal(maps[0] > 0.5, first)
    assert maps[1:].count_nonzero() == 0


def test_parts_of_a_mask_are_connected_over_corners() -> None:
    """As SciPy's labels with eight neighbours are."""
    from scipy.ndimage import label

    chance = torch.Generator().manual_seed(0)
    mask = torch.rand(17, 23, generator=chance) > 0.6
    labels, _ = label(mask.numpy(), np.ones((3, 3)))
    for place in (0, 40, 200, 390):
        own = labels.flat[place]
        expected = (labels == own) & (own > 0)
        assert np.array_equal(connected_component(mask, place).numpy(), expected)


def test_objects_beside_each_other_are_set_apart_and_others_left() -> None:
    """Zeros lie where two touch, over corners too; the background parts none."""
    one, other = torch.zeros(2, 9, 9)
    one[:4, :4], other[4:, 4:] = 0.9, 0.6
    found = set_apart(torch.stack((one, other)))
    assert (found[3, 3], found[4, 4]) == (0, 0)
    assert (found > 0).sum() == 16 + 25 - 2
    other.zero_()
    assert torch.equal(set_apart(torch.stack((one, other))), one)
