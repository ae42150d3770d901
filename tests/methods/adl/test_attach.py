"""ADL attaches to any network and leaves no trace in it."""

import copy
import io
import pickle

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.methods.adl import ADL, attach_adl
from wsol.models import create_network

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


def test_it_follows_the_network(model: nn.Sequential, images: Tensor) -> None:
    """The network's mode counts; a tapped module held in evaluation does not stop the layer."""
    plain, expected = model(images), dropped(model, images)
    attach_adl(model, ["1", "2"], **ALWAYS_DROP)
    assert torch.equal(model.eval()(images), plain)
    assert torch.equal(model.train()(images), expected)
    model[1].eval()
    assert torch.equal(model(images), expected)


@pytest.mark.parametrize("way", ["deepcopy", "pickle", "torch"])
def test_copies_keep_it(model: nn.Sequential, images: Tensor, way: str) -> None:
    """A copy of a network has the layer at the same taps, by itself, and follows its own mode."""
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
    assert not torch.equal(model(images), expected)
    assert torch.equal(model.eval()(images), twin.eval()(images))
    assert torch.equal(twin.train()(images), expected)
    model.train()
    assert torch.equal(twin.eval()(images), model(images))


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


def test_a_name_is_no_list_of_names(model: nn.Sequential) -> None:
    """One tap without its list is not read letter by letter."""
    with pytest.raises(ConfigError, match=r"a list of at least one tap, but is given '2\.1'"):
        attach_adl(model, "2.1")


@pytest.mark.parametrize(
    ("backbone", "tap", "prefix"),
    [
        ("test_mambaout", "stages.2", None),
        ("test_vit", "blocks.3", 1),
        ("levit_128s", "stages.1", 0),
    ],
)
def test_attention_is_the_mean_over_channels_in_every_layout(
    backbone: str, tap: str, prefix: int | None
) -> None:
    """Channels last and tokens: pixels are dropped by their mean, and the class token stays."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=2, pretrained=False).train()
    seen: list[Tensor] = []

    def look(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output.detach())

    module = network.body.get_submodule(tap)
    module.register_forward_hook(look)
    attach_adl(network.body, [tap], **ALWAYS_DROP)
    module.register_forward_hook(look)
    seen.clear()
    side = network.body.pretrained_cfg["input_size"][-1]
    network(torch.randn(2, 3, side, side))
    before, after = seen
    pixels = before[:, prefix:] if prefix is not None else before.flatten(1, 2)
    attention = pixels.mean(-1, keepdim=True)
    expected = pixels * (attention < 0.5 * attention.amax(1, keepdim=True))
    if prefix is not None:
        expected = torch.cat((before[:, :prefix], expected), 1)
    torch.testing.assert_close(after, expected.view_as(before))
    assert not torch.equal(after, before)


@pytest.mark.parametrize(
    ("backbone", "tap", "warned"),
    [
        ("test_resnet", "layer4", False),
        ("efficientnet_b0", "blocks.4.2.bn2", False),
        ("convnext_atto", "stages.3", True),
        ("resnetv2_50", "stages.3", True),
        ("densenet121", "features.denseblock3", True),
    ],
)
def test_features_that_are_not_rectified_are_named(
    backbone: str, tap: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """ReLU and SiLU are fine; ends of residual sums get a warning."""
    torch.manual_seed(0)
    attach_adl(timm.create_model(backbone), [tap])
    assert [tap in message and "not rectified" in message for message in caplog.messages] == (
        [True] if warned else []
    )
