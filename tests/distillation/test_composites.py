"""Composed images: what is cut out, where it is pasted, and what a head is to say of it."""

import numpy as np
import pytest
import torch

from wsol.distillation.composites import (
    Composite,
    Cutout,
    Material,
    blurred_away,
    compose,
    find_cutout,
    instance_targets,
)

SIDE = 64


def disc(x: int, y: int, radius: int) -> torch.Tensor:
    """Return a mask, bool ``(64, 64)``."""
    ys, xs = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return (xs - x) ** 2 + (ys - y) ** 2 <= radius**2


@pytest.fixture
def material() -> Material:
    """Return a red disc of class 0, a blue one of class 1, and a black ground."""
    mask = disc(32, 32, 20)[12:53, 12:53]
    colours = ([255, 0, 0], [0, 0, 255])
    cutouts = [
        Cutout(torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1) * mask, mask, label)
        for label, colour in enumerate(colours)
    ]
    return Material(tuple(cutouts), (torch.zeros(3, SIDE, SIDE, dtype=torch.uint8),))


def test_one_object_is_cut_out() -> None:
    """Its box, its mask and its pixels."""
    image = torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8)
    mask = disc(30, 34, 15)
    found = find_cutout(image, mask.float().numpy(), 0.5, 3)
    assert found is not None
    assert (found.mask.shape, found.label) == ((31, 31), 3)
    assert torch.equal(found.mask, mask[19:50, 15:46])
    assert torch.equal(found.pixels, image[:, 19:50, 15:46])


@pytest.mark.parametrize(
    "mask",
    [
        disc(16, 32, 12) | disc(48, 32, 12),
        disc(32, 32, 3),
        disc(32, 32, 60),
        disc(0, 0, 30),
        disc(32, 32, 25) ^ disc(32, 32, 23),
        torch.zeros(SIDE, SIDE, dtype=torch.bool),
    ],
    ids=["two", "tiny", "all", "corner", "ring", "none"],
)
def test_what_is_not_one_whole_object_is_not_cut_out(mask: torch.Tensor) -> None:
    """Two objects, spots, what goes on beyond the image, outlines."""
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    assert find_cutout(image, mask.float().numpy(), 0.5, 0) is None


def test_two_peaks_are_not_cut_out() -> None:
    """Although they are one component."""
    xs = np.abs(np.abs(np.arange(SIDE) - 31.5) - 12) / 12
    heat_map = (1 - np.maximum.outer(xs * 0 + np.abs(np.arange(SIDE) - 31.5) / 32, xs)).clip(0, 1)
    image = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    assert find_cutout(image, (0.4 + 0.6 * heat_map).astype(np.float32), 0.5, 0) is None


def test_an_object_is_blurred_away() -> None:
    """Into the colour around it; what is not masked stays."""
    image = torch.full((3, SIDE, SIDE), 90, dtype=torch.uint8)
    mask = disc(32, 32, 10)
    image[:, mask] = 255
    assert (blurred_away(image, mask).int() - 90).abs().max() <= 1
    image[:, ~mask] = torch.arange(int((~mask).sum())).to(torch.uint8)
    assert torch.equal(blurred_away(image, mask)[:, ~mask], image[:, ~mask])


def test_composed_images_are_known(material: Material) -> None:
    """Each object is where its number is, in its colour; many touch; a seed decides all."""
    touching = 0
    for seed in range(40):
        composite = compose(material, np.random.default_rng(seed))
        again = compose(material, np.random.default_rng(seed))
        assert torch.equal(composite.image, again.image)
        assert 1 <= len(composite.labels) <= 6
        instances, image = composite.instances, composite.image.float()
        for number, label in enumerate(composite.labels, 1):
            seen = image[:, instances == number]
            if seen.shape[1] > 200:
                # Blended with its neighbours at the edge alone.
                assert (seen[2 * label] > seen[2 - 2 * label]).float().mean() > 0.7
        assert image[:, instances == 0].mean() < 25
        left, right = instances[:, :-1], instances[:, 1:]
        touching += bool(((left != right) & (left > 0) & (right > 0)).any())
    assert touching >= 15


def test_depths_are_halves_at_edges_and_one_in_the_middle() -> None:
    """Also where two objects touch; classes are those of the objects."""
    instances = torch.zeros(112, 112, dtype=torch.int16)
    instances[20:90, 10:50], instances[20:90, 50:90] = 1, 2
    composite = Composite(torch.zeros(3, 112, 112, dtype=torch.uint8), instances, [4, 7])
    depths, classes = instance_targets(composite, (112, 112)).astype(np.float32)
    row, column = depths[55], depths[:, 30]
    assert row[:10].max() == 0
    assert row[[10, 49, 50, 89]] == pytest.approx(0.525, abs=1e-3)
    assert row[[29, 70]] == pytest.approx(1)
    assert (np.diff(row[10:30]) >= 0).all()
    assert (column[19], column[20]) == (0, pytest.approx(0.525, abs=1e-3))
    assert (classes[55, [5, 30, 70, 100]] == [-1, 4, 7, -1]).all()
    assert instance_targets(composite, (28, 28)).shape == (2, 28, 28)
