"""A layer is a submodule by its name."""

import pytest
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.models import create_network, find_layer
from wsol.models.utils import find_output


def test_every_named_module_is_a_layer() -> None:
    """Each name of named_modules() gives that very module, the network itself excepted."""
    body = create_network("test_resnet", num_classes=2, pretrained=False).body
    names = [name for name, _ in body.named_modules() if name]
    assert "layer4.0.conv1" in names
    assert all(find_layer(body, name) is body.get_submodule(name) for name in names)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("layer33", "did you mean 'layer3'"), ("", "choose from: layer3, layer3.0, x")],
)
def test_an_unknown_layer_names_the_nearest(name: str, hint: str) -> None:
    """A name that is no module is an error with the nearest one, or with all."""
    model = nn.ModuleDict({"layer3": nn.Sequential(nn.ReLU()), "x": nn.ReLU()})
    with pytest.raises(ConfigError, match=f"no layer {name!r} in ModuleDict: {hint}"):
        find_layer(model, name)


def test_the_output_of_a_sequence_is_that_of_its_last_module() -> None:
    """However deep, but not of a subclass that computes in its own way."""

    class Residual(nn.Sequential):
        def forward(self, images: Tensor) -> Tensor:
            return images + super().forward(images)

    residual = Residual(nn.ReLU())
    model = nn.ModuleDict({"a": nn.Sequential(nn.ReLU(), nn.Sequential(residual))})
    assert find_output(model, "a") is residual
    assert find_output(model, "a.0") is model["a"][0]
    assert find_output(nn.ModuleDict({"empty": nn.Sequential()}), "empty")(1) == 1


def test_a_module_in_several_places_is_not_the_output_of_one() -> None:
    """It is also used in another place."""
    shared = nn.ReLU()
    model = nn.ModuleDict({"a": nn.Sequential(nn.Identity(), shared), "b": shared})
    assert find_output(model, "a") is model["a"]


def test_the_output_of_a_sequence_with_hooks_is_its_own() -> None:
    """A hook may change what the last module gives."""
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()))
    network[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    assert find_output(network, "0") is network[0]
