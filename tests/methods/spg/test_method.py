"""Masks that guide: object, background, and what does not count, against a plain loop."""

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from wsol.methods.spg.method import distance, enlarged, guide


def test_masks_are_those_of_a_plain_loop() -> None:
    """Each image by itself: thresholds, the relaxed rule for few pixels, background wins."""
    torch.manual_seed(0)
    attention = torch.rand(3, 1, 8, 8) * torch.tensor([1.0, 0.5, 0.05]).reshape(3, 1, 1, 1)
    found, counts = guide(attention, high=0.4, low=0.2)
    for image in range(3):
        pixels = attention[image, 0]
        top = pixels.max()
        above = sum(bool(value > 0.4) for value in pixels.flatten())
        limit = 0.4 if above >= 30 else 0.7 * top
        for row in range(8):
            for column in range(8):
                value = pixels[row, column]
                background = bool(value < 0.2)
                object_ = bool(value > limit) and not background
                assert bool(found[image, 0, row, column]) == object_
                assert bool(counts[image, 0, row, column]) == (object_ or background)


def test_distance_is_the_mean_over_pixels_that_count() -> None:
    """The same as choosing the pixels and asking torch; the guide has no gradient."""
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 7, 7, requires_grad=True)
    attention = torch.rand(2, 1, 224, 224, requires_grad=True)
    found, counts = guide(attention, 0.7, 0.1)
    by_hand = binary_cross_entropy_with_logits(enlarged(logits)[counts], found[counts].float())
    value = distance(logits, attention, 0.7, 0.1)
    torch.testing.assert_close(value, by_hand)
    value.backward()
    assert attention.grad is None
    assert logits.grad is not None


def test_no_pixel_that_counts_is_no_loss() -> None:
    """Where nothing is object or background the loss is zero, not NaN."""
    flat = torch.zeros(1, 1, 224, 224)
    assert distance(torch.randn(1, 1, 7, 7), flat, 0.7, 0.0) == 0
