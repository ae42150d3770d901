"""Fusing batch norm preserves the output."""

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.localizers._forward import observe
from wsol.models.batch_norm import fuse_batch_norms


def with_statistics(model: nn.Module) -> nn.Module:
    """Give each batch normalisation different statistics and weights."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            for weight in (part.weight, part.running_var):
                assert weight is not None
                nn.init.uniform_(weight, 0.5, 1.5)
            for weight in (part.bias, part.running_mean):
                assert weight is not None
                nn.init.uniform_(weight, -0.5, 0.5)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "left"),
    [("resnet18", 0), ("tf_efficientnet_lite0", 0), ("regnetx_002", 0), ("test_vit", 0)],
)
def test_the_same_is_computed(name: str, left: int) -> None:
    """Outputs, and what is seen at layers; all batch normalisations of these networks are gone."""
    model = with_statistics(timm.create_model(name, num_classes=5))
    count = sum(isinstance(part, nn.BatchNorm2d) for part in model.modules())
    side = model.pretrained_cfg["input_size"][1] if name == "test_vit" else 96
    images = torch.randn(2, 3, side, side)
    layer = {"test_vit": "blocks", "resnet18": "layer3.0.bn1"}.get(name, "stem.bn")
    layer = "bn1" if "lite0" in name else layer
    before = observe(model, images, [layer])
    assert fuse_batch_norms(model, images[:1]) == count - left
    after = observe(model, images, [layer])
    assert sum(isinstance(part, nn.BatchNorm2d) for part in model.modules()) == left
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(after.features[layer], before.features[layer], rtol=1e-3, atol=1e-3)


class Twice(nn.Module):
    """What the convolution gives is used beside the batch normalisation too."""

    def __init__(self) -> None:
        """Make both."""
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, images: Tensor) -> Tensor:
        """Add both."""
        features = self.conv(images)
        return torch.as_tensor(self.bn(features) + features)


def test_what_would_change_is_taken_back() -> None:
    """To the last bit."""
    model, images = with_statistics(Twice()), torch.randn(2, 3, 4, 4)
    expected, weights = model(images), {k: v.clone() for k, v in model.state_dict().items()}
    assert fuse_batch_norms(model, images) == 0
    assert torch.equal(model(images), expected)
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_a_shared_convolution_is_left_alone() -> None:
    """It works for two batch normalisations."""
    conv = nn.Conv2d(3, 3, 1)
    model = nn.Sequential(conv, nn.BatchNorm2d(3), conv, nn.BatchNorm2d(3))
    assert fuse_batch_norms(with_statistics(model), torch.randn(2, 3, 4, 4)) == 0
