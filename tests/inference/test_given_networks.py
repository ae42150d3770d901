"""Networks of other libraries stay as they were, to the last bit of their next training step."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import timm
import torch
import torchvision
import transformers
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from wsol import Localizer
from wsol.errors import ConfigError
from wsol.localizers import choose_layers, create_localizer
from wsol.localizers._forward import find_logits
from wsol.methods.adl import attach_adl

SIZE = 64
CLASSES = 3


class Plain(nn.Module):
    """Two convolutions and a classifier; what it returns is for others to change."""

    def __init__(self, classes: int = CLASSES) -> None:
        """Make the layers."""
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 16, 3, 2, 1)
        self.norm, self.drop = nn.BatchNorm2d(16), nn.Dropout(0.3)
        self.fc = nn.Linear(16, classes)

    def features(self, images: Tensor) -> Tensor:
        """Return the last feature maps."""
        return self.norm(self.conv2(self.conv1(images).relu())).relu()

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        return self.fc(self.drop(self.features(images).mean((2, 3))))


class FixedSize(Plain):
    """Takes one size only, and calls ``view``."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.fc = nn.Linear(16 * 64, CLASSES)

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        return self.fc(self.features(images).view(len(images), -1))


class Tuples(Plain):
    """Returns maps beside the logits."""

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        features = self.features(images)
        return self.fc(features.mean((2, 3))), features


class Dicts(Plain):
    """Returns a dictionary."""

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        return {"logits": super().forward(images)}


class NoGrad(Plain):
    """Keeps its backbone from learning."""

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        with torch.no_grad():
            features = self.features(images)
        return self.fc(features.mean((2, 3)))


class Caching(Plain):
    """Keeps what it computes in evaluation mode, as LeViT does with its attention biases."""

    def __init__(self) -> None:
        """Make the layers."""
        super().__init__()
        self.cache: dict[str, Tensor] = {}
        self.last: Tensor | None = None

    def forward(self, images: Tensor) -> Any:
        """Return the logits, or what holds them."""
        if not self.training:
            self.last = self.cache.setdefault("weight", self.fc.weight * 2)
        return super().forward(images)


class Merging(nn.Linear):
    """Merges an adapter into its weight in evaluation mode, as loralib does."""

    def __init__(self, inputs: int, outputs: int) -> None:
        """Make the layers."""
        super().__init__(inputs, outputs)
        self.down, self.up = (
            nn.Parameter(torch.randn(2, inputs)),
            nn.Parameter(torch.ones(outputs, 2)),
        )
        self.weight.requires_grad_(False)
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        """Merge or take out the adapter."""
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (self.up @ self.down) * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, or what holds them."""
        output = super().forward(inputs)
        return output if self.merged else output + inputs @ self.down.T @ self.up.T


def merging() -> nn.Module:
    """Return a network with an adapter that merges."""
    net = Plain()
    net.fc = Merging(16, CLASSES)
    return net


def normed() -> nn.Module:
    """Return a network with parametrised weights."""
    net = Plain()
    weight_norm(net.conv1)
    spectral_norm(net.conv2)
    return net


def partly_frozen() -> nn.Module:
    """Return a network of which one part neither learns nor counts, with hooks of its owner's."""
    net = Plain()
    net.norm.eval().requires_grad_(False)
    net.conv2.register_forward_hook(lambda module, inputs, output: output * 2)
    net.conv1.register_full_backward_hook(lambda module, inputs, outputs: None)
    return net


def tied() -> nn.Module:
    """Return a network that passes one layer twice."""
    layer = nn.Conv2d(8, 8, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4),
        layer,
        nn.ReLU(),
        layer,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )


def hugging_face(kind: str, **config: Any) -> nn.Module:
    """Return an untrained classifier of transformers from a small configuration."""
    info = getattr(transformers, f"{kind}Config")(num_labels=CLASSES, **config)
    net: nn.Module = getattr(transformers, f"{kind}ForImageClassification")(info)
    return net


def transformer(kind: str, **config: Any) -> nn.Module:
    """Return a transformer of transformers."""
    return hugging_face(
        kind,
        image_size=SIZE,
        patch_size=16,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        **config,
    )


def lora() -> nn.Module:
    """Return a transformer with adapters of peft."""
    config = peft.LoraConfig(r=2, target_modules="all-linear", lora_dropout=0.1)
    return peft.get_peft_model(transformer("ViT"), config)


def timm_net(name: str, **options: Any) -> nn.Module:
    """Return an untrained network of timm."""
    net: nn.Module = timm.create_model(name, num_classes=CLASSES, **options)
    return net


def vision(name: str) -> nn.Module:
    """Return an untrained network of torchvision."""
    return torchvision.models.get_model(name, weights=None, num_classes=CLASSES)


def vision_swin() -> nn.Module:
    """Return a small Swin of torchvision."""
    return torchvision.models.SwinTransformer(
        [4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=CLASSES
    )


def vision_vit() -> nn.Module:
    """Return a small transformer of torchvision, whose head is not zero any more."""
    net = torchvision.models.VisionTransformer(SIZE, 16, 2, 2, 16, 32, num_classes=CLASSES)
    nn.init.normal_(net.heads.head.weight)
    return net


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "channels last": lambda: Plain().to(memory_format=torch.channels_last),
    "view, one size": FixedSize,
    "tuple": Tuples,
    "dict": Dicts,
    "one logit": lambda: Plain(1),
    "no_grad": NoGrad,
    "cache": Caching,
    "float64": lambda: Plain().double(),
    "bfloat16": lambda: Plain().bfloat16(),
    "float16": lambda: Plain().half(),
    "compiled": lambda: torch.compile(Plain(), backend="eager"),
    "data parallel": lambda: nn.DataParallel(Plain()),
    "merging adapter": merging,
    "parametrised": normed,
    "partly frozen": partly_frozen,
    "tied": tied,
    "LoRA of peft": lora,
    "timm resnet": lambda: timm_net("test_resnet"),
    "timm vit": lambda: timm_net("test_vit", img_size=SIZE),
    "timm convnext": lambda: timm_net("test_convnext"),
    "timm efficientnet": lambda: timm_net("test_efficientnet"),
    "timm levit": lambda: timm_net("levit_128s", img_size=SIZE),
    "timm checkpointing": lambda: _checkpointing(timm_net("test_resnet")),
    "torchvision resnet18": lambda: vision("resnet18"),
    "torchvision mobilenet": lambda: vision("mobilenet_v3_small"),
    "torchvision shufflenet": lambda: vision("shufflenet_v2_x0_5"),
    "torchvision swin": vision_swin,
    "torchvision vit": vision_vit,
    "transformers vit": lambda: transformer("ViT"),
    "transformers deit": lambda: transformer("DeiT"),
    "transformers dinov2": lambda: transformer("Dinov2"),
    "transformers beit": lambda: transformer("Beit"),
    "transformers swin": lambda: hugging_face(
        "Swin", image_size=SIZE, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4
    ),
    "transformers resnet": lambda: hugging_face(
        "ResNet", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"
    ),
    "transformers convnext": lambda: hugging_face(
        "ConvNext", hidden_sizes=[8, 16], depths=[1, 1], num_stages=2
    ),
}


def _checkpointing(net: Any) -> nn.Module:
    net.set_grad_checkpointing(True)
    return net


def state(net: nn.Module) -> Iterator[tuple[Any, ...]]:
    """Yield all that a network is made of, as values that can be compared."""
    for name, module in net.named_modules():
        hooks = {
            key: list(value)
            for key, value in vars(module).items()
            if key.endswith(("_hooks", "_hooks_with_kwargs"))
        }
        # What torch.compile wraps a network in is not the same in a copy.
        names = [] if "_orig_mod" in module._modules else sorted(vars(module))
        yield name, type(module), module.training, names, hooks
        if isinstance(module, Caching):
            yield module.cache, module.last
        if hasattr(module, "attention_bias_cache"):
            yield dict(module.attention_bias_cache)
    for name, weight in [*net.named_parameters(), *net.named_buffers()]:
        yield (
            name,
            weight.dtype,
            weight.device,
            weight.stride(),
            weight.requires_grad,
            weight.grad is None,
            weight.detach().contiguous().view(torch.uint8).numpy().tobytes()
            if weight.ndim
            else weight.item(),
        )


def step(net: nn.Module) -> list[tuple[Any, ...]]:
    """Return a network's state after one step of training."""
    torch.manual_seed(7)
    weights = [weight for weight in net.parameters() if weight.requires_grad]
    kind = next(weight.dtype for weight in net.parameters() if weight.is_floating_point())
    optimizer = torch.optim.SGD(weights, 0.1, momentum=0.9)
    find_logits(net(torch.randn(2, 3, SIZE, SIZE).to(kind)), net).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return list(state(net))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an image file."""
    path = tmp_path_factory.mktemp("given") / "a.png"
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_given_network_stays_as_it_was(name: str, photo: Path) -> None:
    """It is read, and every tensor, flag and hook is what it was; the next step is the same."""
    torch.manual_seed(0)
    net = NETWORKS[name]()
    if name != "partly frozen":
        net.train()
    untouched, before = deepcopy(net), list(state(net))
    assert list(state(untouched)) == before

    chance = torch.get_rng_state()
    (found,) = Localizer(net, image_size=SIZE)([photo])
    assert torch.equal(torch.get_rng_state(), chance)
    assert found.error is None
    assert 0 < found.score < 1
    assert list(state(net)) == before

    layer = choose_layers(net, SIZE)
    images = torch.randn(2, 3, SIZE, SIZE)
    for localizer in ("gradcam", "feature_norm"):
        maps = create_localizer(localizer, net, image_size=SIZE)(images)
        assert maps.shape == (2, SIZE, SIZE)
        assert maps.dtype == torch.float32
    # Some networks have no layer that ADL acts on.
    with suppress(ConfigError):
        attach_adl(net, [layer]).remove()
    assert list(state(net)) == before

    assert step(net) == step(untouched)
