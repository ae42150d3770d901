"""What a network says of its input is read, whatever form it has."""

from types import SimpleNamespace
from typing import Any

import pytest
import torchvision
from torch import nn

from wsol.models.utils import class_names, input_spec


def configured(**config: Any) -> nn.Module:
    """Return a network with a configuration as Hugging Face's have it."""
    net: Any = nn.Identity()
    net.config = SimpleNamespace(**config)
    return net


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (96, (3, 96, 96)),
        ([96, 64], (3, 96, 64)),
        ((96, 96), (3, 96, 96)),
        ({"height": 96, "width": 64}, (3, 96, 64)),
        ({"shortest_edge": 96}, (3, 224, 224)),
        (None, (3, 224, 224)),
        ([96], (3, 224, 224)),
    ],
)
def test_the_size_may_be_one_number_or_two(said: Any, size: tuple[int, ...]) -> None:
    """Anything else says nothing."""
    assert input_spec(configured(image_size=said)).size == size


def test_the_size_may_be_that_of_a_part_or_an_attribute() -> None:
    """As in networks of images and texts, and in torchvision's transformers."""
    vision = SimpleNamespace(image_size=64, num_channels=1)
    assert input_spec(configured(vision_config=vision)).size == (1, 64, 64)
    net = torchvision.models.VisionTransformer(64, 16, 1, 2, 16, 32)
    assert input_spec(net).size == (3, 64, 64)


def test_class_names_may_have_texts_as_keys() -> None:
    """As JSON has them; a class without a name has its number."""
    assert class_names(configured(id2label={"0": "cat", 1: "dog"}), 3) == ("cat", "dog", "2")
