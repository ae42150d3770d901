"""A network to which all places look alike has no object, however its maps are made."""

import pytest
import torch
from torch import nn

from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.localizers.base import resized
from wsol.localizers.ensemble import follow_features
from wsol.maps import normalize
from wsol.models import LinearHead, Network


@pytest.fixture
def network() -> Network:
    """Return a network whose features are constant, on two stages."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 16, 1))
    for layer in body:
        nn.init.zeros_(layer.weight)
        nn.init.uniform_(layer.bias, 0.3, 0.6)
    return Network(body, LinearHead(16, 2))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("cam", {}),
        ("cam", {"layers": ["0", "1"]}),
        ("layercam", {"layers": ["1"]}),
        ("feature_norm", {"layers": ["1"]}),
        ("ncut", {"layers": ["1"]}),
        ("maskcut", {"layers": ["1"]}),
        ("cam", {"flip": True, "scales": (1.0, 1.5)}),
        ("feature_norm", {"layers": ["1"], "affinity": "0"}),
        ("cam*feature_norm", {"layers": ["1"], "affinity": "0", "flip": True}),
    ],
)
@pytest.mark.parametrize("how", ["minmax", "max", "pas", "ivr"])
def test_it_has_no_object(network: Network, name: str, options: dict, how: str) -> None:
    """Of one layer and several, of several augmentations, joined, and with affinity."""
    localizer = create_localizer(name, network, **options)
    images = torch.randn(3, 3, 96, 96)
    for label in (0, 1):
        maps = localizer(images, torch.full((3,), label))
        assert [normalize(each, how)[1] for each in maps.numpy()] == [False] * 3


@pytest.mark.parametrize("how", ["bicubic", "bilinear"])
def test_enlarging_a_constant_map_shows_nothing(how: str) -> None:
    """From any size to any size, for scores of any magnitude."""
    torch.manual_seed(0)
    values = torch.randn(20) * 10.0 ** torch.arange(-10, 10)
    for side in (1, 2, 3, 7, 14, 28):
        for size in (32, 100, 224, 513):
            small = values[:, None, None].expand(-1, side, side)
            for large in resized(small, (size, size + 1), how).numpy():
                assert not normalize(large)[1]


def test_features_that_are_constant_are_not_followed() -> None:
    """Their mean has a rounding error, which is no likeness: the maps stay as they are."""
    torch.manual_seed(0)
    maps = torch.rand(2, 5, 7)
    features = torch.rand(2, 6, 1, 1).expand(-1, -1, 5, 7) * 0.37
    assert torch.equal(follow_features(maps, features), maps)


@pytest.mark.parametrize(("layers", "named"), [([], "8 x 15"), (["1"], r"'1'.*\(1, 16, 1, 1\)")])
def test_maps_of_one_pixel_are_refused(network: Network, layers: list[str], named: str) -> None:
    """They rank no place above another; a larger input has more."""
    localizer = create_localizer("cam", network, layers=layers)
    with pytest.raises(ConfigError, match=named):
        localizer(torch.randn(1, 3, 15, 8))
    assert localizer(torch.randn(1, 3, 16, 8)).shape == (1, 16, 8)
