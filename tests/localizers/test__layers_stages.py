"""Stages are what users of an architecture call so."""

import pytest
import timm
from torch import nn
from transformers import ViTConfig, ViTModel

from wsol.localizers import create_localizer
from wsol.localizers._layers import choose_layers, find_stages, last_stage, stage_before
from wsol.localizers.ensemble import Ensemble

LAST_TWO = {
    "resnet18": ("layer3", "layer4"),
    "tf_efficientnet_lite0": ("blocks.4", "blocks"),
    "densenet121": ("features.denseblock3", "features"),
    "vgg11": ("features.18", "features"),
    "convnext_atto": ("stages.2", "stages"),
    "inception_v3": ("Mixed_6e", "Mixed_7c"),
    "swin_tiny_patch4_window7_224": ("layers.2", "layers"),
}


@pytest.mark.parametrize("name", LAST_TWO)
def test_the_last_two_stages(name: str) -> None:
    """Each ends where timm's own list of features, or the paper, has it."""
    # VGG's classifier has 120 million weights to draw.
    less = {"mlp_ratio": 0.05} if name == "vgg11" else {}
    model = timm.create_model(name, **less).train()
    assert (stage_before(model), last_stage(model)) == LAST_TWO[name]
    assert model.training
    sizes = [stage.rows for stage in find_stages(model)]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", ["resnet18", "tf_efficientnet_lite0", "convnext_atto"])
def test_stages_have_the_strides_that_timm_tells(name: str) -> None:
    """There is one for each reduction in timm's list, but for a stem of a single layer."""
    model = timm.create_model(name)
    strides = [model.pretrained_cfg["input_size"][1] // each.rows for each in find_stages(model)]
    expected = [info["reduction"] for info in model.feature_info]
    assert len(strides) >= 4
    assert strides == expected[-len(strides) :]


def test_a_transformer_has_one_stage() -> None:
    """Its features then follow themselves."""
    model = timm.create_model("test_vit")
    assert stage_before(model) == last_stage(model) == "blocks"


def test_the_last_stage_ends_with_the_last_block_however_deep_it_lies() -> None:
    """Not with the embedding of the patches, which holds several layers too and is less nested."""
    config = ViTConfig(
        hidden_size=8, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16
    )
    assert last_stage(ViTModel(config)).endswith(".2")


def test_without_stages_the_layer_of_the_classifier_is_taken() -> None:
    """A network of one layer has none."""
    model = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 7))
    assert find_stages(model) == []
    assert last_stage(model) == choose_layers(model) == "0"


def test_auto_is_the_stage_before() -> None:
    """The map then has the size of that stage before it is enlarged, and follows its features."""
    model = timm.create_model("test_resnet")
    both = create_localizer("feature_norm*ddt", model, affinity="auto")
    assert isinstance(both, Ensemble)
    assert (both.layers, both.affinity) == (("layer4",), "layer3")
