"""Feature maps keep their places whatever order a network holds them in."""

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from wsol.errors import ConfigError
from wsol.models.layout import Layout, find_layouts, to_feature_maps


class Body(nn.Module):
    """Says of itself what timm's networks do."""

    def __init__(self, num_features: int, num_prefix_tokens: int = 0) -> None:
        """Keep both numbers."""
        super().__init__()
        self.num_features, self.num_prefix_tokens = num_features, num_prefix_tokens


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 5), st.integers(1, 16))
def test_tokens_go_back_on_their_grid(rows: int, columns: int, prefix: int, patch: int) -> None:
    """Row by row, without class and register tokens, for images of any shape."""
    grid = torch.arange(2 * 3 * rows * columns).float().view(2, 3, rows, columns)
    tokens = grid.flatten(2).transpose(1, 2)
    tokens = torch.cat([torch.full((2, prefix, 3), -1.0), tokens], dim=1)
    images = torch.empty(2, 3, rows * patch, columns * patch)
    assert torch.equal(to_feature_maps(tokens, Body(3, prefix), images), grid)


def test_channels_last_is_turned_round() -> None:
    """Maps whose last dimension is the channels are turned, all others stay as they are."""
    maps, images = torch.randn(2, 7, 5, 6), torch.empty(2, 3, 40, 48)
    assert to_feature_maps(maps, Body(7), images) is maps
    assert torch.equal(to_feature_maps(maps.permute(0, 2, 3, 1), Body(7), images), maps)


def test_a_body_that_says_nothing_has_maps() -> None:
    """Without num_features the second dimension is taken for the channels."""
    maps = torch.randn(1, 4, 4, 6)
    assert to_feature_maps(maps, nn.Identity(), torch.empty(1, 3, 8, 8)) is maps


def test_layouts_are_found_in_the_networks_that_say_their_input() -> None:
    """Maps, channels last, tokens with and without a class token, for stages and inside of them."""
    expected = {
        ("test_resnet", "layer3"): (4, False, 0),
        ("test_mambaout", "stages.2"): (4, True, 0),
        ("test_mambaout", "stages.2.blocks.0.conv"): (4, False, 0),
        ("test_convnext", "stages.2.blocks.0.norm"): (4, True, 0),
        ("test_vit", "blocks.3"): (3, False, 1),
        ("xcit_nano_12_p16_224", "blocks.3"): (3, False, 0),
        ("levit_128s", "stages.1"): (3, False, 0),
    }
    for (name, layer), layout in expected.items():
        assert find_layouts(timm.create_model(name), [layer])[0][:3] == layout, name


def test_looking_leaves_a_network_as_it_was() -> None:
    """Modes of all modules, statistics and the state of chance are the same afterwards."""
    model = timm.create_model("test_resnet").train()
    model.layer3.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chance = torch.get_rng_state()
    find_layouts(model, ["layer3", "layer4"])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("backbone", "layer", "given"),
    [
        ("test_resnet", "fc", "(1, 1000)"),
        ("hrnet_w18_small", "stage3", "list"),
        ("test_vit", "blocks.0.attn.q_norm", "(1, 2, 101, 32)"),
    ],
)
def test_outputs_that_are_no_maps_are_refused(backbone: str, layer: str, given: str) -> None:
    """Logits, lists of maps and attention heads are named by what they are."""
    model = timm.create_model(backbone)
    with pytest.raises(ConfigError) as caught:
        find_layouts(model, [layer])
    assert str(caught.value).startswith(f"layer {layer!r}: the output is {given}")


def test_a_network_that_takes_no_such_image_is_taken_at_its_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where looking fails, the layout is the one that the network declares."""

    def fail(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("expected another input")

    for name, last in (("test_resnet", False), ("test_mambaout", True)):
        model = timm.create_model(name, in_chans=5)
        layer = model.feature_info[-1]["module"]
        assert find_layouts(model, [layer])[0][:3] == (4, last, 0)
        monkeypatch.setattr(model, "forward", fail)
        assert find_layouts(model, [layer]) == [Layout(channels_last=last)]


@given(st.booleans(), st.integers(0, 3))
def test_a_function_of_maps_changes_features_in_their_own_layout(last: bool, prefix: int) -> None:
    """Maps turned round, and tokens, give what the maps give; leading tokens stay."""
    maps = torch.randn(2, 5, 3, 4)

    def function(maps: torch.Tensor) -> torch.Tensor:
        return maps / maps.mean(1, keepdim=True).amax((2, 3), keepdim=True)

    expected = function(maps)
    given_maps = maps.permute(0, 2, 3, 1) if last else maps
    found = Layout(channels_last=last).change(given_maps, function)
    assert torch.equal(found.permute(0, 3, 1, 2) if last else found, expected)
    first, grid = torch.randn(2, prefix, 5), maps.flatten(2).transpose(1, 2)
    found = Layout(ndim=3, prefix=prefix).change(torch.cat((first, grid), 1), function)
    assert torch.equal(found[:, :prefix], first)
    torch.testing.assert_close(found[:, prefix:], expected.flatten(2).transpose(1, 2))


def test_tokens_of_a_body_that_says_nothing_are_put_on_their_grid() -> None:
    """By the size of its patches; where that is open it is asked."""
    body, tokens = nn.Conv2d(3, 8, 16, 16), torch.rand(2, 4 + 25, 8)
    maps = to_feature_maps(tokens, body, torch.rand(2, 3, 80, 80))
    assert torch.equal(maps.flatten(2).transpose(1, 2), tokens[:, 4:])
    with pytest.raises(ConfigError, match="num_prefix_tokens"):
        to_feature_maps(torch.rand(2, 35, 8), body, torch.rand(2, 3, 80, 80))


def test_memory_that_runs_out_says_nothing_of_a_layout() -> None:
    """It is raised as it is, and no hook is left."""

    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    model = Large()
    with pytest.raises(torch.OutOfMemoryError):
        find_layouts(model, ["conv"])
    assert not model.conv._forward_hooks
