"""Every localizer looks at every kind of architecture, with no layer and no reshape by hand."""

from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.localizers import ScoreMaps, choose_layers, create_localizer, list_localizers

ARCHITECTURES = {
    "resnet": ("resnet18", {}, "layer4"),
    "resnext": ("resnext26ts", {}, "final_conv"),
    "vgg": ("vgg11", {"mlp_ratio": 0.05}, "features"),
    "densenet": ("densenet121", {"growth_rate": 8, "block_config": (2, 2, 2, 2)}, "features"),
    "inception": ("inception_v3", {}, "Mixed_7c"),
    "efficientnet": ("efficientnet_lite0", {}, "bn2"),
    "mobilenet": ("mobilenetv3_small_050", {}, "blocks"),
    "regnet": ("regnetx_002", {}, "final_conv"),
    "convnext": ("convnext_atto", {}, "norm_pre"),
    "nfnet": ("test_nfnet", {}, "final_act"),
    "vit": ("vit_tiny_patch16_224", {"depth": 2}, "blocks.1.norm1"),
    "deit": ("deit_tiny_distilled_patch16_224", {"depth": 2}, "blocks.1.norm1"),
    "swin": ("swin_tiny_patch4_window7_224", {"embed_dim": 24, "depths": (2, 2, 2, 2)}, "norm"),
    "beit": (
        "beit_base_patch16_224",
        {"embed_dim": 48, "depth": 2, "num_heads": 3},
        "norm",
    ),
}
"""Kind to name, what makes it smaller, and the layer that is found."""

ATTENTION = ("attention_rollout", "gradient_rollout", "tscam")
GLOBAL_ATTENTION = ("vit", "deit", "beit")


@pytest.fixture(scope="module")
def models() -> dict[str, nn.Module]:
    """Return the models, each made when first asked for."""
    made: dict[str, nn.Module] = {}
    return made


def model_of(models: dict[str, nn.Module], kind: str) -> tuple[nn.Module, Tensor]:
    """Return a model with random weights, and an image for it."""
    name, options, _ = ARCHITECTURES[kind]
    if kind not in models:
        torch.manual_seed(0)
        models[kind] = timm.create_model(name, num_classes=5, **options).eval()
    side = 224 if kind in ("vit", "deit", "swin", "beit", "vgg") else 128
    generator = torch.Generator().manual_seed(0)
    return models[kind], torch.randn(1, 3, side, side, generator=generator)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_layer_is_the_last_that_decides(models: dict[str, nn.Module], kind: str) -> None:
    """The layer found is the one that users of the architecture name by hand."""
    assert choose_layers(model_of(models, kind)[0]) == ARCHITECTURES[kind][2]


@pytest.mark.parametrize("localizer", sorted({*list_localizers()} - {"foreground"}))
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_localizer_runs(
    models: dict[str, nn.Module],
    kind: str,
    localizer: str,
    prepare: Callable[[ScoreMaps, Tensor], None],
) -> None:
    """Each gives a map that is not constant; localizers of attention say where there is none."""
    model, images = model_of(models, kind)
    forward = localizer in ("scorecam", "ablationcam")
    locate = create_localizer(localizer, model, **({"channels": 4} if forward else {}))
    prepare(locate, images)
    if localizer in ATTENTION and kind not in GLOBAL_ATTENTION:
        with pytest.raises(ConfigError, match="use another localizer"):
            locate(images)
        return
    labels = model(images).argmax(1)
    maps = locate(images, labels)
    assert maps.shape == (1, *images.shape[-2:])
    assert maps.isfinite().all()
    # A map may be empty where random weights make all evidence negative.
    assert maps.amax() > maps.amin() or localizer in (
        "ablationcam",
        "gradcam",
        "scorecam",
        "xgradcam",
    )
