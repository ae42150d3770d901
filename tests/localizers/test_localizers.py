"""Every localizer gives one raw map per picture, of the class asked for, and leaves no trace."""

import pytest
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.localizers import create_localizer, list_localizers
from wsol.models import Network, create_network

LOCALIZERS = list_localizers()


@pytest.fixture
def network() -> Network:
    """Return a tiny network, in training mode as a training has it."""
    torch.manual_seed(0)
    return create_network("test_resnet", num_classes=4, pretrained=False).train()


@pytest.fixture
def images() -> Tensor:
    """Return a batch of three, wider than high."""
    return torch.randn(3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", LOCALIZERS)
def test_maps_have_the_size_of_the_input(network: Network, images: Tensor, name: str) -> None:
    """Maps are float32 at the input's size, finite, and those of the call without more."""
    labels = torch.tensor([2, 0, 3])
    localizer = create_localizer(name, network)
    found = localizer.locate(images, labels)
    assert found.maps.shape == (3, 64, 96)
    assert found.maps.dtype == found.logits.dtype == torch.float32
    assert found.maps.isfinite().all()
    assert torch.equal(found.labels, labels)
    assert torch.equal(localizer(images, labels), found.maps)


@pytest.mark.parametrize("name", LOCALIZERS)
def test_first_choice_is_the_default_label(network: Network, images: Tensor, name: str) -> None:
    """Without labels the maps are those of the highest logit, and labels make a difference."""
    localizer = create_localizer(name, network)
    chosen = localizer.locate(images)
    with torch.inference_mode():
        logits = network.eval()(images).logits
    assert torch.equal(chosen.logits, logits)
    assert torch.equal(chosen.labels, logits.argmax(1))
    assert torch.equal(chosen.maps, localizer(images, logits.argmax(1)))
    assert not torch.equal(chosen.maps, localizer(images, logits.argmin(1)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LOCALIZERS)
def test_the_network_is_left_as_it_was(
    network: Network, images: Tensor, name: str, training: bool
) -> None:
    """Mode, weights, batch statistics and gradients are those from before."""
    network.train(training)
    network(images).logits.sum().backward()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    gradients = [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]
    create_localizer(name, network)(images)
    assert network.training is network.body.training is training
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    after = [weight.grad for weight in network.parameters()]
    assert all(map(torch.equal, after, gradients))
    assert len(after) == len(gradients)


@pytest.mark.parametrize("name", LOCALIZERS)
def test_a_picture_is_located_by_itself(network: Network, images: Tensor, name: str) -> None:
    """A picture's map does not depend on its batch."""
    localizer, labels = create_localizer(name, network), torch.tensor([2, 0, 3])
    together = localizer(images, labels)
    alone = torch.cat([localizer(images[i : i + 1], labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_unknown_localizer_names_the_nearest(network: Network) -> None:
    """A localizer that does not exist is an error with the nearest name."""
    with pytest.raises(ConfigError, match="no localizer 'camm': did you mean 'cam'"):
        create_localizer("camm", network)
    assert "cam" in LOCALIZERS
    assert sorted(LOCALIZERS) == LOCALIZERS
