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
    """Attached at two layers, the layer acts at both, on their outputs."""
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
    """A copy of a network has the layer at the same layers, by itself, and follows its own mode."""
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
    ("layers", "reason"),
    [
        ([], "at least one layer"),
        (["1", "2.11"], r"no layer '2\.11' in Sequential: did you mean '2\.1'\?"),
        ([""], "''"),
    ],
)
def test_wrong_layers_are_refused_before_anything_is_attached(
    model: nn.Sequential, images: Tensor, layers: list[str], reason: str
) -> None:
    """An unknown layer names the nearest one, and no other layer is left with the layer."""
    plain = model(images)
    with pytest.raises(ConfigError, match=reason):
        attach_adl(model, layers, **ALWAYS_DROP)
    assert torch.equal(model(images), plain)


class Pair(nn.Module):
    """Returns maps and something else."""

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """Return both."""
        return images, None


class TakesOneSize(nn.Module):
    """A network that takes its own size alone, and runs any module on it."""

    def __init__(self, module: nn.Module, side: int, last: bool = False) -> None:
        """Keep the module."""
        super().__init__()
        self.module, self.side, self.last = module, side, last

    def forward(self, images: Tensor) -> object:
        """Return what the module returns for the images, perhaps with channels last."""
        if images.shape[2] != self.side:
            raise ValueError("another size")
        return self.module(images.permute(0, 2, 3, 1) if self.last else images)


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (nn.Flatten(2), r"\(1, 3, 50176\)"),
        (Pair(), "tuple"),
        (nn.AdaptiveAvgPool2d(1), "one pixel"),
    ],
)
def test_outputs_that_are_no_feature_maps_are_refused(module: nn.Module, given: str) -> None:
    """Tokens, tuples and maps of one pixel are an error when the layer is attached."""
    model = nn.Sequential(nn.Identity(), module)
    with pytest.raises(ConfigError, match=f"'1'.*{given}"):
        attach_adl(model, ["1"])
    assert not module._forward_hooks


@pytest.mark.parametrize(
    ("module", "given"),
    [
        (nn.Flatten(2), r"\(2, 3, 16\)"),
        (Pair(), "tuple"),
        (nn.AdaptiveAvgPool2d(1), r"\(2, 3, 1, 1\)"),
    ],
)
def test_they_are_refused_in_training_if_not_before(module: nn.Module, given: str) -> None:
    """A network that does not take the image that would tell is an error in its first step."""
    model, images = TakesOneSize(module, side=4), torch.rand(2, 3, 4, 4)
    attach_adl(model, ["module"])
    with pytest.raises(ConfigError, match=f"{given}.*'module'|'module'.*{given}"):
        model(images)
    model.eval()(images)


def by_hand(maps: Tensor) -> Tensor:
    """Return maps ``(N, C, h, w)`` without their strongest half."""
    attention = maps.mean(1, keepdim=True)
    return maps * (attention < 0.5 * attention.amax((2, 3), keepdim=True))


@pytest.mark.parametrize("side", [224, 8])
@pytest.mark.parametrize("last", [False, True])
def test_any_network_may_have_channels_last(side: int, last: bool) -> None:
    """Attention is the mean over channels, whether the network takes the first image or not."""
    torch.manual_seed(0)
    model = TakesOneSize(nn.ReLU(), side, last)
    attach_adl(model, ["module"], **ALWAYS_DROP)
    images = torch.randn(2, 3, side, side)
    expected = by_hand(images.relu())
    found = model(images)
    torch.testing.assert_close(found.permute(0, 3, 1, 2) if last else found, expected)


def test_a_module_that_runs_several_times_is_refused() -> None:
    """The layer acts once in a pass, or not at all."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, images: Tensor) -> Tensor:
            return self.relu(self.relu(images) - 1)

    model = Twice()
    with pytest.raises(ConfigError, match=r"'relu' runs 2 times"):
        attach_adl(model, ["relu"])
    assert not model.relu._forward_hooks


@pytest.mark.parametrize("layers", [["1", "1"], ["2", "2.1"]])
def test_one_output_is_named_once(model: nn.Sequential, layers: list[str]) -> None:
    """A sequence and its last module have the same output."""
    with pytest.raises(ConfigError, match=f"'{layers[0]}' and '{layers[1]}'"):
        attach_adl(model, layers)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_has_the_layer_once(model: nn.Sequential, images: Tensor) -> None:
    """A second attachment is rejected, also on a copy; after removal or at other layers not."""
    first = attach_adl(model, ["2"], **ALWAYS_DROP)
    expected = model(images)
    for network in (model, copy.deepcopy(model)):
        for layers in (["2"], ["1", "2.1"]):
            with pytest.raises(ConfigError, match=f"'{layers[-1]}' already has ADL"):
                attach_adl(network, layers)
        assert torch.equal(network(images), expected)
    first.remove()
    attach_adl(model, ["2.1"], **ALWAYS_DROP)
    assert torch.equal(model(images), expected)
    attach_adl(model, ["1"], **ALWAYS_DROP)


@pytest.mark.parametrize("layer", ["layer4", "layer4.0"])
def test_gradient_checkpointing_afterwards_changes_nothing(layer: str) -> None:
    """It passes by the hooks of sequences; output and gradients stay, for both branches."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=3).train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    images, results = torch.randn(2, 3, 64, 64), []
    attach_adl(network, [layer], drop_rate=0.5, threshold=0.5)
    for checkpointing in (False, True):
        network.set_grad_checkpointing(checkpointing)
        for seed in range(4):
            torch.manual_seed(seed)
            network.zero_grad()
            output = network(images)
            output.square().sum().backward()
            gradients = [weight.grad.clone() for weight in network.parameters()]
            results.append((output.detach(), *gradients))
    for plain, other in zip(results[:4], results[4:], strict=True):
        for a, b in zip(plain, other, strict=True):
            torch.testing.assert_close(a, b)
    assert not torch.equal(results[0][0], results[1][0]) or not torch.equal(
        results[0][0], results[2][0]
    )


def test_looking_at_any_network_leaves_it_as_it_was() -> None:
    """Statistics, modes and torch's generator are the same after the layer is attached."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Conv2d(4, 4, 3)
    )
    model[1].eval()
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(model.state_dict())
    chance = torch.get_rng_state()
    attach_adl(model, ["2"]).remove()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(module._forward_hooks for module in model.modules())


def test_lazy_layers_stay_lazy() -> None:
    """No weights are made for the image that tells the layout."""
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    attach_adl(model, ["1"], **ALWAYS_DROP)
    assert model[0].has_uninitialized_params()
    images = torch.rand(2, 5, 8, 8)
    torch.testing.assert_close(model(images), by_hand(model.eval()(images)))


@pytest.mark.parametrize("in_place", [False, True])
def test_a_compiled_network_is_refused(model: nn.Sequential, in_place: bool) -> None:
    """It may have been compiled without the hooks already."""
    if in_place:
        model.compile(backend="eager")
        network: nn.Module = model
    else:
        network = torch.compile(model, backend="eager")
    with pytest.raises(ConfigError, match=r"before torch\.compile"):
        attach_adl(network, ["1"])
    # So may a part of a network.
    with pytest.raises(ConfigError, match=r"before torch\.compile"):
        attach_adl(nn.Sequential(network), ["0.1"])


@pytest.mark.parametrize("option", ["drop_rate", "threshold"])
@pytest.mark.parametrize("value", [-1, 1.5, 75.0, float("nan"), float("inf")])
def test_options_out_of_range_are_refused(model: nn.Sequential, option: str, value: float) -> None:
    """By name, as those of the method are, before anything is attached."""
    with pytest.raises(ConfigError, match=option):
        attach_adl(model, ["1"], **{option: value})
    with pytest.raises(ConfigError, match=option):
        ADL(**{option: value})
    assert not any(module._forward_hooks for module in model.modules())


def test_a_name_is_no_list_of_names(model: nn.Sequential) -> None:
    """One layer without its list is not read letter by letter."""
    with pytest.raises(ConfigError, match=r"layers is '2\.1'"):
        attach_adl(model, "2.1")


@pytest.mark.parametrize(
    ("backbone", "layer", "prefix"),
    [
        ("test_mambaout", "stages.2", None),
        ("test_vit", "blocks.3", 1),
        ("levit_128s", "stages.1", 0),
    ],
)
def test_attention_is_the_mean_over_channels_in_every_layout(
    backbone: str, layer: str, prefix: int | None
) -> None:
    """Channels last and tokens: pixels are dropped by their mean, and the class token stays."""
    torch.manual_seed(0)
    network = create_network(backbone, num_classes=2, pretrained=False).train()
    seen: list[Tensor] = []

    def preprocessing(module: nn.Module, inputs: object, output: Tensor) -> None:
        seen.append(output.detach())

    module = network.body.get_submodule(layer)
    module.register_forward_hook(preprocessing)
    attach_adl(network.body, [layer], **ALWAYS_DROP)
    module.register_forward_hook(preprocessing)
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
    ("backbone", "layer", "warned"),
    [
        ("test_resnet", "layer4", False),
        ("efficientnet_b0", "blocks.4.2.bn2", False),
        ("convnext_atto", "stages.3", True),
        ("resnetv2_50", "stages.3", True),
        ("densenet121", "features.denseblock3", True),
    ],
)
def test_features_that_are_not_rectified_are_named(
    backbone: str, layer: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """ReLU and SiLU are fine; ends of residual sums get a warning."""
    torch.manual_seed(0)
    attach_adl(timm.create_model(backbone), [layer])
    assert [layer in message and "not rectified" in message for message in caplog.messages] == (
        [True] if warned else []
    )
