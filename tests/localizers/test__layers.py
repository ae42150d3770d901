"""The layer that is found has features, whatever the number of classes."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from wsol.localizers._layers import choose_layers


@pytest.mark.parametrize(
    ("name", "classes", "layer"),
    [
        ("test_resnet", 96, "layer4"),
        ("test_resnet", 64, "layer4"),
        ("test_vit", 64, "blocks.5.norm1"),
        ("test_vit", 256, "blocks.5.norm1"),
    ],
)
def test_there_may_be_as_many_classes_as_channels(name: str, classes: int, layer: str) -> None:
    """Of the last features, of earlier ones, or of what is inside a block."""
    torch.manual_seed(0)
    assert choose_layers(timm.create_model(name, num_classes=classes)) == layer


@pytest.mark.parametrize("classes", [1, 3, 512])
def test_scores_of_a_convolution_are_no_features(classes: int) -> None:
    """Neither before nor after they are rectified."""
    torch.manual_seed(0)
    model = torchvision.models.squeezenet1_1(num_classes=classes)
    nn.init.uniform_(model.classifier[1].weight)
    assert choose_layers(model) == "features"
