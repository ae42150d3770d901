"""A localizer is shown images that it can be shown."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from wsol.data.transforms import EvalTransform
from wsol.inference.device import Compute
from wsol.inference.fitting import MAX_FIT_IMAGES, Preprocessing, fit_localizer
from wsol.localizers import ScoreMaps, create_localizer
from wsol.models import Network, create_network


@pytest.fixture
def network() -> Network:
    """Return a small network."""
    torch.manual_seed(0)
    return create_network("test_resnet", num_classes=3, pretrained=False).eval()


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Return forty images of 30 x 20 pixels, all different."""
    paths = [tmp_path / f"{number:02d}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.effect_noise((30, 20), 10 + 5 * number).save(path)
    return paths


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return numbers of images in the batches that DDT is shown from now on."""
    counts: list[int] = []
    fit: Callable[[ScoreMaps, list[torch.Tensor]], None]
    from wsol.localizers.features import DDT

    fit = DDT.fit

    def counting(self: DDT, batches: list[torch.Tensor]) -> None:
        kept = list(batches)
        counts.extend(map(len, kept))
        fit(self, kept)

    monkeypatch.setattr(DDT, "fit", counting)
    return counts


def preprocessing(network: Network, **options: int) -> Preprocessing:
    """Return how images are read."""
    return Preprocessing(
        EvalTransform(64),
        network.mean,
        network.std,
        Compute(torch.device("cpu")),
        batch_size=6,
        **options,
    )


def test_no_more_than_the_most_are_shown(
    network: Network, images: list[Path], shown: list[int]
) -> None:
    """Or all, if there are fewer; localizers without fitting get none."""
    ddt = create_localizer("ddt", network)
    assert fit_localizer(ddt, images, preprocessing(network))
    assert sum(shown) == MAX_FIT_IMAGES
    assert fit_localizer(ddt, images[:3], preprocessing(network))
    assert shown[-1] == 3
    before = list(shown)
    assert fit_localizer(create_localizer("cam", network), images, preprocessing(network))
    assert shown == before


def test_others_are_looked_for_where_none_can_be_read(
    network: Network, images: list[Path], shown: list[int]
) -> None:
    """The first batch of them is enough; where there is none the localizer stays as it was."""
    ddt = create_localizer("ddt", network)
    chosen = {index * len(images) // MAX_FIT_IMAGES for index in range(MAX_FIT_IMAGES)}
    for index in chosen:
        images[index].write_text("no image")
    assert fit_localizer(ddt, images, preprocessing(network))
    assert len(shown) == 1
    assert 1 <= shown[0] <= 6
    state = ddt.state()
    for path in images:
        path.write_text("no image")
    assert not fit_localizer(ddt, images, preprocessing(network))
    assert len(shown) == 1
    assert all(torch.equal(value, state[name]) for name, value in ddt.state().items())


def test_the_limit_of_pixels_is_that_of_the_images(
    network: Network, images: list[Path], shown: list[int]
) -> None:
    """An image that is too large to be predicted is not shown either."""
    ddt = create_localizer("ddt", network)
    Image.new("RGB", (60, 20)).save(images[0])
    assert fit_localizer(ddt, images, preprocessing(network, max_pixels=600))
    assert sum(shown) == MAX_FIT_IMAGES - 1
    assert not fit_localizer(ddt, images, preprocessing(network, max_pixels=599))
