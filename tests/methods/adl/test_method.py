"""ADL as a method of training: options to hooks on the network's body."""

import logging

import pytest
import torch
from torch import nn

from wsol.methods.adl import Config, attach_adl
from wsol.models import LinearHead, Network, create_network


def test_options_reach_the_layer() -> None:
    """Layers, drop rate and threshold of the options are those of the attached layer."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1))
    network = Network(body, LinearHead(4, 2)).train()
    images = torch.randn(2, 3, 8, 8)
    with attach_adl(body, ["1"], drop_rate=1.0, threshold=0.4):
        expected = network(images).logits
    assert not torch.equal(network(images).logits, expected)
    Config(layers=("1",), drop_rate=1.0, threshold=0.4).create().attach(network)
    assert torch.equal(network(images).logits, expected)


def test_chosen_layers_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Without layers in the options, the log says where the layer went."""
    network = create_network("test_resnet", num_classes=2, pretrained=False)
    with caplog.at_level(logging.INFO, "wsol"):
        Config().create().attach(network)
    assert caplog.messages == ["ADL at layers layer4"]
