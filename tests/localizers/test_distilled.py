"""A head learns places; those that are unsure do not count; a localizer without one says so."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.localizers._forward import observe
from wsol.localizers._layers import outline_stage
from wsol.localizers.distilled import DistilledPixels, sure_places
from wsol.localizers.distilled_heads import PixelHead, pixel_loss
from wsol.localizers.ensemble import follow_details
from wsol.models import Network

Tiny = Callable[[str], Network]

LAYERS, CHANNELS = ("layer2", "layer4"), 144


def test_a_head_learns_what_coarse_masks_have_in_common() -> None:
    """It says of each place what it is, though every mask it has seen was off by a place."""
    chance = torch.Generator().manual_seed(0)
    signature = torch.randn(6, generator=chance)

    def images(count: int) -> tuple[Tensor, Tensor]:
        masks = torch.zeros(count, 14, 14, dtype=torch.int8)
        corners = torch.randint(2, 7, (count, 2), generator=chance).tolist()
        for mask, (row, column) in zip(masks, corners, strict=True):
            mask[row : row + 5, column : column + 5] = 1
        noise = torch.randn(count, 6, 14, 14, generator=chance) / 2
        return noise + masks[:, None] * signature[:, None, None], masks

    torch.manual_seed(0)
    head = PixelHead(channels=6, width=16)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.01)
    for step in range(150):
        features, masks = images(10)
        coarse = masks.roll((step % 3 - 1, step // 3 % 3 - 1), (1, 2))
        loss = head.loss(features, coarse)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    features, masks = images(32)
    assert ((head(features) > 0) == (masks > 0)).float().mean() > 0.95


def test_places_that_are_unsure_do_not_count() -> None:
    """The loss is the mean over all others, summed by hand."""
    chance = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, generator=chance)
    targets = torch.randint(-1, 2, (2, 3, 4), generator=chance).to(torch.int8)
    each = []
    for logit, target in zip(logits.flatten().tolist(), targets.flatten().tolist(), strict=True):
        share = 1 / (1 + math.exp(-logit))
        if target != -1:
            each.append(-math.log(share if target == 1 else 1 - share))
    assert 0 < len(each) < logits.numel()
    assert float(pixel_loss(logits, targets)) == pytest.approx(sum(each) / len(each))
    changed = logits + 9 * (targets == -1)
    assert float(pixel_loss(changed, targets)) == float(pixel_loss(logits, targets))


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.9])
def test_a_map_says_what_is_sure(threshold: float) -> None:
    """By its means over the places, as shares of the brightest one."""
    heat_map = np.random.default_rng(0).random((12, 18)).astype(np.float32) ** 2
    labels = sure_places(heat_map, threshold, (4, 6))
    assert labels.dtype == np.int8
    means = heat_map.reshape(4, 3, 6, 3).mean((1, 3))
    for label, share in zip(labels.flat, (means / means.max()).flat, strict=True):
        if share == 1 or share > 1.2 * threshold:
            assert label == 1
        else:
            assert label == (0 if share < 0.7 * threshold else -1)


def test_the_grid_is_the_finest(tiny: Tiny, images: Tensor) -> None:
    """Coarser features are enlarged to it; labels of the mirror image are mirrored."""
    localizer = DistilledPixels(tiny("cam"), LAYERS)
    forward_pass = observe(localizer.model, images, LAYERS)
    fine, coarse = (forward_pass.features[layer] for layer in LAYERS)
    size = fine.shape[2:]
    assert size != coarse.shape[2:]
    found = localizer.features(forward_pass)
    assert found.shape == (3, CHANNELS, *size)
    assert torch.equal(found[:, : fine.shape[1]], fine)
    large = interpolate(coarse, size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(found[:, fine.shape[1] :], large)
    assert localizer.mirrored(np.array([[1, 0, -1]], np.int8)).tolist() == [[-1, 0, 1]]


def test_maps_are_probabilities(tiny: Tiny, images: Tensor) -> None:
    """The sigmoid of what the head says, with outlines of a finer stage, enlarged as any map."""
    localizer = DistilledPixels(tiny("cam"), LAYERS, interpolation="bilinear")
    localizer.head = PixelHead(CHANNELS)
    outline = outline_stage(localizer.model)
    assert outline is not None
    assert localizer.extra_layers == (outline,)
    forward_pass = observe(localizer.model, images, [*LAYERS, outline])
    small = localizer.head(localizer.features(forward_pass)).detach().sigmoid()
    expected = interpolate(
        follow_details(small, forward_pass.features[outline])[:, None],
        images.shape[2:],
        mode="bilinear",
        align_corners=False,
    )
    torch.testing.assert_close(localizer(images), expected[:, 0])


def test_the_state_is_complete(tiny: Tiny, images: Tensor) -> None:
    """A localizer with the state of another one says the same; a broken one is refused."""
    network = tiny("cam")
    one, two = DistilledPixels(network, LAYERS), DistilledPixels(network, LAYERS)
    one.head = PixelHead(CHANNELS, width=8)
    one.head.mean += 0.5
    state = one.state()
    two.load_state(state)
    assert torch.equal(one(images), two(images))
    with pytest.raises(ConfigError, match="not the weights of a pixels head: 'mix"):
        two.load_state({})
    with pytest.raises(ConfigError, match="not the weights of a pixels head"):
        two.load_state(state | {"pixels.mean": torch.zeros(3)})


def test_without_a_state_it_says_what_to_do(tiny: Tiny, images: Tensor) -> None:
    """Whether it is asked, shown images or to be kept."""
    localizer = create_localizer("pixels", tiny("cam"))
    for use in (lambda: localizer(images), lambda: localizer.fit([images]), localizer.state):
        with pytest.raises(ConfigError, match="wsol distill RUN --out NEW --student pixels"):
            use()


def test_multiple_labels_partition_the_map(tiny: Tiny, images: Tensor) -> None:
    """Each place of it belongs to one label alone."""
    localizer = create_localizer("pixels", tiny("cam"), layers=LAYERS, several=True)
    plain = DistilledPixels(localizer.model, LAYERS)
    plain.head = PixelHead(CHANNELS)
    localizer.load_state(plain.state())
    maps = localizer(images, torch.tensor([[0, 2], [1, 3], [3, -1]]))
    assert maps.shape == (3, 2, 64, 96)
    assert not (maps > 0).all(1).any()
    assert not maps[2, 1].any()
