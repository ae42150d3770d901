"""Every registered method keeps the same promises."""

from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import get_type_hints

import pytest
import torch
from torch import Tensor

from wsol.errors import ConfigError
from wsol.methods import MethodConfig, list_methods, method_config
from wsol.models import Network, create_network

METHODS = list_methods()


@pytest.fixture
def network() -> Network:
    """Return a tiny network."""
    torch.manual_seed(0)
    return create_network("test_resnet", num_classes=4, pretrained=False)


@pytest.fixture
def images() -> Tensor:
    """Return a batch of six."""
    return torch.randn(6, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_methods_of_the_papers_are_there() -> None:
    """Plain training and the methods of the papers are listed, in order."""
    assert {"acol", "adl", "cutmix", "has", "none", "spg"} <= set(METHODS)
    assert sorted(METHODS) == METHODS


@pytest.mark.parametrize("name", METHODS)
def test_options_are_a_frozen_dataclass_with_documented_defaults(name: str) -> None:
    """Options have a default each, are explained, cannot change, and carry the method's name."""
    options = method_config(name)
    assert is_dataclass(options)
    assert issubclass(options, MethodConfig)
    assert options().name == name
    assert options() == options()
    with pytest.raises(FrozenInstanceError):
        options().name = "another"
    get_type_hints(options)
    explained = options.__doc__ or ""
    assert all(f"{field.name}: " in explained for field in fields(options))
    assert "Source: " in explained
    with pytest.raises(TypeError):
        replace(options(), no_such_option=1)


@pytest.mark.parametrize("name", METHODS)
def test_evaluation_and_weights_are_unchanged_by_attaching(
    network: Network, images: Tensor, name: str
) -> None:
    """Attached, a network gives the very same outputs in evaluation, and has the same keys."""
    method = method_config(name)().create()
    network.head = method.head(network)
    keys = list(network.state_dict())
    before = network.eval()(images)
    method.attach(network)
    after = network(images)
    assert torch.equal(after.logits, before.logits)
    assert torch.equal(after.features, before.features)
    assert list(network.state_dict()) == keys


@pytest.mark.parametrize("name", METHODS)
def test_training_steps_learn(network: Network, images: Tensor, name: str) -> None:
    """Losses are finite scalars, every weight has a finite gradient, and a few steps help."""
    method = method_config(name)().create()
    network.head = method.head(network)
    method.attach(network)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for step in range(6):
        torch.manual_seed(step)
        inputs, targets = method.prepare(images, labels)
        assert inputs.shape == images.shape
        loss = method.loss(network.train()(inputs, targets), targets)
        assert loss.shape == ()
        optimizer.zero_grad()
        loss.backward()
        losses.append(float(loss.detach()))
        for weight in network.parameters():
            assert weight.grad is not None
            assert weight.grad.isfinite().all()
        optimizer.step()
    assert all(torch.tensor(losses).isfinite())
    assert min(losses[3:]) < losses[0]


@pytest.mark.parametrize("name", METHODS)
def test_a_step_is_a_function_of_its_seed(network: Network, images: Tensor, name: str) -> None:
    """With torch's seed alone set, batch and loss are the same whatever was drawn before.

    The batch that is given is not changed.
    """
    method = method_config(name)().create()
    network.head = method.head(network)
    method.attach(network)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    given, results = images.clone(), []
    for before in (0, 3):
        for _ in range(before):
            method.prepare(images, labels)
        torch.manual_seed(11)
        inputs, targets = method.prepare(images, labels)
        output = network.train()(inputs, labels)
        results.append((inputs, targets, method.loss(output, targets).detach()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert torch.equal(images, given)
    assert labels.tolist() == [0, 1, 2, 3, 0, 1]


def test_unknown_method_names_the_nearest() -> None:
    """A method that does not exist is an error with the nearest name."""
    with pytest.raises(ConfigError, match="no method 'adll': did you mean 'adl'"):
        method_config("adll")


def test_plain_training_is_cross_entropy(network: Network, images: Tensor) -> None:
    """The method none changes neither images nor labels, and its loss is the log-likelihood."""
    method = method_config("none")().create()
    labels = torch.tensor([3, 1, 2, 0, 0, 1])
    inputs, targets = method.prepare(images, labels)
    assert inputs is images
    assert targets is labels
    output = network.eval()(images)
    by_hand = -output.logits.log_softmax(1)[range(6), labels].mean()
    torch.testing.assert_close(method.loss(output, labels), by_hand)


def test_loss_is_computed_in_float32(network: Network, images: Tensor) -> None:
    """Logits of a low precision do not lower that of the loss."""
    output = network.eval()(images)
    low = output._replace(logits=output.logits.bfloat16())
    assert method_config("none")().create().loss(low, torch.zeros(6).long()).dtype == torch.float32


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext"])
def test_score_maps_come_from_every_backbone(name: str, backbone: str) -> None:
    """Any network of timm takes the method, and has a map for each image, in one pass or two."""
    torch.manual_seed(0)
    layers = {"layers": ("blocks.1", "blocks.2")} if (name, backbone) == ("spg", "test_vit") else {}
    made = create_network(
        backbone, num_classes=4, pretrained=False, method=method_config(name)(**layers)
    ).eval()
    images, labels = torch.randn(2, 3, 160, 160), torch.tensor([3, 1])
    with torch.inference_mode():
        output, maps = made(images), made.score_maps(images, labels)
        again = made.head.output_maps(output, labels)
    assert maps.shape == (2, *output.features.shape[-2:])
    assert maps.std() > 0
    torch.testing.assert_close(again, maps)
