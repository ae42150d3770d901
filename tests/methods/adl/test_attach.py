"""ADL attaches to any network and leaves no trace in it."""

import copy
import io
import pickle

import pytest
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.adl import ADL, attach_adl

ALWAYS_DROP = {"drop_rate": 1.0, "threshold": 0.5}


@pytest.fixture
def model() -> nn.Sequential:
    """Return two convolutions with a rectifier each."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(6, 4, 3), nn.ReLU())
    )


@pytest.fixture
def images() -> Tensor:
    """Return a batch of two."""
    return torch.randn(2, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def dropped(model: nn.Sequential, images: Tensor) -> Tensor:
    """Return the model's output as modules between its own layers would give it."""
    layer = ADL(**ALWAYS_DROP)
    return layer(model[2](layer(model[1](model[0](images)))))


def test_hooks_do_what_modules_between_the_layers_would(
    model: nn.Sequential, images: Tensor
) -> None:
    """Attached at two taps, the layer acts at both, on their outputs."""
    expected, plain = dropped(model, images), model(images)
    attach_adl(model, ["1", "2"], **ALWAYS_DROP)
    assert torch.equal(model(images), expected)
    assert not torch.equal(plain, expected)


def test_state_dict_does_not_know_of_it(model: nn.Sequential) -> None:
    """Keys and values stay, and weights go from either network to the other."""
    bare = copy.deepcopy(model)
    attach_adl(model, ["1"])
    assert list(model.state_dict()) == list(bare.state_dict())
    for source, target in ((model, bare), (bare, model)):
        with torch.no_grad():
            source[0].weight += 1
        target.load_state_dict(source.state_dict())
        assert torch.equal(target[0].weight, source[0].weight)
    assert not list(model.buffers())


def test_removal_takes_it_off(model: nn.Sequential, images: Tensor) -> None:
    """After remove(), twice even, the network is as it was; the same at the end of a block."""
    plain = model(images)
    attachment = attach_adl(model, ["1"], **ALWAYS_DROP)
    assert not torch.equal(model(images), plain)
    attachment.remove()
    attachment.remove()
    assert torch.equal(model(images), plain)
    with attach_adl(model, ["1"], **ALWAYS_DROP) as inside:
        assert not torch.equal(model(images), plain)
        assert type(inside) is type(attachment)
    assert torch.equal(model(images), plain)


def test_a_block_that_fails_takes_it_off_too(model: nn.Sequential, images: Tensor) -> None:
    """An error inside the block passes through, and the network is as it was."""
    plain = model(images)
    with pytest.raises(ZeroDivisionError), attach_adl(model, ["1"], **ALWAYS_DROP):
        _ = 1 / 0
    assert torch.equal(model(images), plain)


def test_it_follows_the_tapped_module(model: nn.Sequential, images: Tensor) -> None:
    """In evaluation it is the identity; in training it rests where the tapped module is frozen."""
    plain = model(images)
    attach_adl(model, ["1"], **ALWAYS_DROP)
    assert torch.equal(model.eval()(images), plain)
    assert not torch.equal(model.train()(images), plain)
    model[1].eval()
    assert torch.equal(model(images), plain)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch"])
def test_copies_keep_it(model: nn.Sequential, images: Tensor, way: str) -> None:
    """A copy of a network has the layer at the same taps, by itself."""
    attachment = attach_adl(model, ["1", "2"], **ALWAYS_DROP)
    expected = model(images)
    if way == "deepcopy":
        twin = copy.deepcopy(model)
    elif way == "pickle":
        twin = pickle.loads(pickle.dumps(model))
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    attachment.remove()
    assert torch.equal(twin(images), expected)
    assert not torch.equal(model(images), expected)


@pytest.mark.parametrize(
    ("taps", "reason"),
    [
        ([], "at least one tap"),
        (["1", "2.11"], r"no tap '2\.11' in Sequential: did you mean '2\.1'\?"),
        ([""], r"no tap '' in Sequential: choose from: 0, 1, 2, 2\.0, 2\.1"),
    ],
)
def test_wrong_taps_are_refused_before_anything_is_attached(
    model: nn.Sequential, images: Tensor, taps: list[str], reason: str
) -> None:
    """An unknown tap names the nearest one, and no other tap is left with the layer."""
    plain = model(images)
    with pytest.raises(ConfigError, match=reason):
        attach_adl(model, taps, **ALWAYS_DROP)
    assert torch.equal(model(images), plain)


def test_outputs_that_are_no_feature_maps_are_refused() -> None:
    """Tokens or logits are an error that shows their shape, in training; never a wrong result."""
    model = nn.Sequential(nn.Flatten(2), nn.Identity())
    attach_adl(model, ["1"])
    images = torch.rand(2, 3, 4, 4)
    with pytest.raises(ConfigError, match=r"Identity gives \(2, 3, 16\): choose another tap"):
        model(images)
    assert model.eval()(images).shape == (2, 3, 16)
