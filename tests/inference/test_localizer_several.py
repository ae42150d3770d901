"""Several classes and several objects in one image."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from wsol import Localizer
from wsol.errors import ConfigError
from wsol.maps import box_confidence
from wsol.models import LinearHead, Network


class Colours(nn.Module):
    """A body whose features are how red and how green the image is, in 4 x 4 cells."""

    def __init__(self) -> None:
        """Make the cells."""
        super().__init__()
        self.cells = nn.AvgPool2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return ``(N, 2, H / 4, W / 4)``."""
        features: torch.Tensor = self.cells(images[:, :2])
        return features


@pytest.fixture
def colours() -> Network:
    """Return a network of the classes red and green."""
    network = Network(Colours(), LinearHead(2, 2), mean=(0.0,) * 3, std=(1.0,) * 3)
    with torch.no_grad():
        network.head.linear.weight[:] = torch.eye(2)
        network.head.linear.bias[:] = 0
    return network


BOXES = {"red": [[8, 8, 40, 40]], "green": [[80, 16, 120, 56], [24, 80, 56, 128]]}
"""One red object and two green ones, the second less bright."""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Write an image of 160 x 160 with the objects."""
    pixels: NDArray[np.uint8] = np.zeros((160, 160, 3), np.uint8)
    for channel, name in enumerate(("red", "green")):
        for number, (x0, y0, x1, y1) in enumerate(BOXES[name]):
            pixels[y0:y1, x0:x1, channel] = 250 - 60 * number
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("localizer", ["cam", "feature_norm"])
def test_each_object_of_each_class_has_its_box(
    colours: Network, image: Path, localizer: str
) -> None:
    """From maps of the classes, and from a map of no class whose places are shared among them."""
    locate = Localizer(
        colours,
        classes=("red", "green"),
        localizer=localizer,
        layers="cells" if localizer == "feature_norm" else (),
        labels=("green", "red"),
        instances="multiple",
        threshold=0.5,
        image_size=160,
        device="cpu",
    )
    (result,) = locate([image])
    found: dict[str, list[list[float]]] = {"red": [], "green": []}
    for box, label in zip(result.boxes.tolist(), result.box_labels, strict=True):
        found[locate.classes[label]].append(box)
    for name, expected in BOXES.items():
        np.testing.assert_allclose(sorted(found[name]), sorted(expected), atol=3)
    assert list(result.box_scores) == sorted(result.box_scores, reverse=True)
    # The less bright one scores less than the other of its class.
    green = result.box_scores[result.box_labels == 1]
    assert green[1] == pytest.approx(green[0] * 190 / 250, rel=0.03)


def test_one_box_a_class_is_the_largest(colours: Network, image: Path) -> None:
    """If requested, and only the top-1 class without labels."""
    options = {"classes": ("red", "green"), "localizer": "cam", "threshold": 0.5, "device": "cpu"}
    (both,) = Localizer(colours, labels=("red", "green"), image_size=160, **options)([image])
    assert sorted(both.box_labels) == [0, 1]
    (first,) = Localizer(colours, image_size=160, **options)([image])
    assert first.box_labels.tolist() == [1]
    np.testing.assert_allclose(first.boxes, [BOXES["green"][0]], atol=3)
    assert first.box_scores.tolist() == [box_confidence(first.heat_map, 0.5)]


def test_several_objects_of_the_first_choice(colours: Network, image: Path) -> None:
    """The number of boxes is another choice than the number of classes."""
    locate = Localizer(
        colours, localizer="cam", instances="multiple", threshold=0.5, image_size=160, device="cpu"
    )
    (result,) = locate([image])
    assert result.box_labels.tolist() == [1, 1]
    np.testing.assert_allclose(result.boxes, BOXES["green"], atol=3)


def test_an_unknown_class_is_refused(colours: Network) -> None:
    """With the nearest one."""
    with pytest.raises(ConfigError, match=r"gren'; did you mean 'green'"):
        Localizer(colours, classes=("red", "green"), labels=("gren",), localizer="cam")
