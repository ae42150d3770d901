"""Networks that users give are read, or refused for what is the matter with them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from wsol import Localizer
from wsol.errors import ConfigError
from wsol.localizers import create_localizer
from wsol.models import create_network


class Classifier(nn.Module):
    """Reads one convolution's features."""

    def __init__(self, classes: int = 3, bias: float = 0.0) -> None:
        """Make the layers."""
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, classes)
        nn.init.constant_(self.fc.bias, bias)

    def features(self, images: Tensor) -> Tensor:
        """Return maps."""
        return self.conv(images).relu()

    def forward(self, images: Tensor) -> Any:
        """Return logits."""
        return self.fc(self.features(images).mean((2, 3)))


class FeaturesFirst(Classifier):
    """Returns features before the logits."""

    def forward(self, images: Tensor) -> Any:
        """Return both."""
        features = self.features(images).mean((2, 3))
        return features, self.fc(features)


class MapsFirst(Classifier):
    """Returns feature maps before the logits."""

    def forward(self, images: Tensor) -> Any:
        """Return both."""
        return self.features(images), super().forward(images)


class Labels(Classifier):
    """Returns the numbers of classes alone."""

    def forward(self, images: Tensor) -> Any:
        """Return integers."""
        return super().forward(images).topk(2).indices


class Inference(Classifier):
    """Cannot be read with gradients."""

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Any:
        """Return logits."""
        return super().forward(images)


class FrozenFeatures(Classifier):
    """Turns gradients off for its features alone."""

    def forward(self, images: Tensor) -> Any:
        """Return logits."""
        with torch.no_grad():
            features = self.features(images)
        return self.fc(features.mean((2, 3)))


class NoGrad(Classifier):
    """Turns gradients off for all."""

    @torch.no_grad()
    def forward(self, images: Tensor) -> Any:
        """Return logits."""
        return super().forward(images)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return an image file."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    return tmp_path / "a.png"


@pytest.mark.parametrize("bias", [-6.0, 0.0, 6.0])
def test_one_logit_is_a_question_with_two_answers(bias: float, photo: Path) -> None:
    """The score is the sigmoid of the logit or of its negative, and the map follows."""
    model = Classifier(1, bias)

    def read(**options: Any) -> Any:
        (found,) = Localizer(model, image_size=64, localizer="cam", precision="fp32", **options)(
            [photo]
        )
        return found

    one, two = read(classes=("dog",)), read(classes=("cat", "dog"))
    share = torch.sigmoid(torch.tensor(bias)).item()
    assert one.label == "dog"
    assert abs(one.score - share) < 0.1
    assert two.label == ("dog" if one.score > 0.5 else "cat")
    assert abs(two.score - max(one.score, 1 - one.score)) < 1e-6
    no = read(classes=("dog",), labels=("not dog",))
    assert abs(no.score - (1 - one.score)) < 1e-6
    np.testing.assert_allclose(no.heat_map, 1 - one.heat_map, atol=1e-4)
    assert read().label == ("1" if one.score > 0.5 else "0")
    with pytest.raises(ConfigError, match="3"):
        read(classes=("a", "b", "c"))


@pytest.mark.parametrize("localizer", ["cam", "scorecam", "ablationcam", "gradcam++", None])
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_type_are_read_as_they_are(
    localizer: str | None, kind: torch.dtype, photo: Path
) -> None:
    """With the same result, nearly; another precision is refused."""
    expected = Localizer(Classifier(), localizer=localizer, image_size=64, precision="fp32")
    locate = Localizer(Classifier().to(kind), localizer=localizer, image_size=64)
    (expect,), (found,) = expected([photo]), locate([photo])
    assert abs(found.score - expect.score) < 0.01
    assert np.abs(found.heat_map - expect.heat_map).mean() < 0.05
    other = "fp32" if kind != torch.float64 else "bf16"
    with pytest.raises(ConfigError, match=other):
        Localizer(Classifier().to(kind), localizer=localizer, image_size=64, precision=other)


@pytest.mark.parametrize("localizer", ["cam", "gradcam", "scorecam", "feature_norm", "ddt", None])
def test_a_network_of_one_size_is_read_at_it(localizer: str | None, photo: Path) -> None:
    """At another it is refused."""
    model = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 225, 4))
    (found,) = Localizer(model, localizer=localizer, image_size=64)([photo])
    assert found.error is None
    with pytest.raises(ConfigError, match="96"):
        Localizer(model, localizer=localizer, image_size=96)
    with pytest.raises(ConfigError, match="224"):
        create_localizer(localizer or "cam", model)


@pytest.mark.parametrize(
    "make",
    [
        FeaturesFirst,
        MapsFirst,
        Labels,
    ],
)
@pytest.mark.parametrize("localizer", ["cam", "feature_norm"])
def test_what_is_no_logits_is_not_read_as_logits(
    make: Callable[[], nn.Module], localizer: str
) -> None:
    """Neither by a localizer that sees no classes."""
    with pytest.raises(ConfigError, match=r"logits|classes"):
        Localizer(make(), localizer=localizer, image_size=64)
    with pytest.raises(ConfigError, match=r"logits|classes"):
        create_localizer(localizer, make(), image_size=64)(torch.rand(1, 3, 64, 64))


@pytest.mark.parametrize("image_size", [[96, 64], (64, 128)])
def test_a_size_that_is_no_square_is_refused(image_size: Any) -> None:
    """Unless another is requested."""
    model: Any = Classifier()
    model.config = SimpleNamespace(image_size=image_size)
    with pytest.raises(ConfigError, match=f"{image_size[1]} x {image_size[0]}.*square"):
        Localizer(model, localizer="cam")
    assert Localizer(model, localizer="cam", image_size=64).image_size == 64


@pytest.mark.parametrize("make", [FrozenFeatures, NoGrad])
def test_gradients_are_taken_where_a_network_turns_them_off(make: type[Classifier]) -> None:
    """The maps are those of the same network with gradients."""
    images = torch.rand(2, 3, 64, 64)
    for layers in ((), ("conv",)):
        found = create_localizer("gradcam", make(), layers=layers, image_size=64)(images)
        expected = create_localizer("gradcam", Classifier(), layers=layers, image_size=64)(images)
        torch.testing.assert_close(found, expected)


def _zeros() -> nn.Module:
    model = Classifier()
    nn.init.zeros_(model.fc.weight)
    return model


@pytest.mark.parametrize("make", [Inference, _zeros])
def test_without_gradients_the_message_says_so(make: Callable[[], nn.Module], photo: Path) -> None:
    """A localizer that needs none reads the network."""
    for localizer in ("gradcam", "scorecam"):
        with pytest.raises(ConfigError, match="gradients"):
            Localizer(make(), localizer=localizer, image_size=64)
    (found,) = Localizer(make(), localizer="feature_norm", layers="conv", image_size=64)([photo])
    assert found.error is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_layers_that_cannot_be_read_are_refused() -> None:
    """Those of a traced and of a lazy network, and of one without any."""
    traced = torch.jit.trace(Classifier().eval(), torch.rand(1, 3, 64, 64))
    lazy = nn.Sequential(nn.Conv2d(3, 8, 8, 8), nn.Flatten(), nn.LazyLinear(3))
    pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for model, what in ((traced, "traced"), (lazy, "LazyLinear"), (pooling, "Sequential")):
        for localizer in ("gradcam", "feature_norm", None):
            with pytest.raises(ConfigError, match=what):
                Localizer(model, localizer=localizer, image_size=64)
    # Its owner may still decide what it takes.
    assert lazy(torch.rand(1, 3, 32, 32)).requires_grad


def test_a_compiled_network_is_read_as_it_is(photo: Path) -> None:
    """With the names that its layers had, and the same box."""
    compiled = torch.compile(Classifier(), backend="eager")
    for model in (compiled, nn.DataParallel(Classifier())):
        for options in ({}, {"localizer": "gradcam", "layers": "conv"}):
            (found,) = Localizer(model, image_size=64, **options)([photo])
            (expect,) = Localizer(Classifier(), image_size=64, **options)([photo])
            np.testing.assert_array_equal(found.boxes, expect.boxes)
    Localizer(compiled, image_size=64, localizer="gradcam", layers="_orig_mod.conv")


def test_a_given_network_starts_no_process_group(
    monkeypatch: pytest.MonkeyPatch, photo: Path
) -> None:
    """In a distributed training of another library, each process uses its network."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("wsol.inference.device.PartialState", None)
    for net in (Classifier(), Classifier().double()):
        assert list(Localizer(net, localizer="cam", image_size=64)([photo]))


def test_one_logit_of_our_own_network_is_a_question_too(photo: Path) -> None:
    """Its images are normalised as it says, and its score is no constant."""
    network = create_network("test_resnet", num_classes=1, pretrained=False)
    network.mean, network.std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    for localizer in ("cam", None):
        locate = Localizer(network, localizer=localizer, image_size=64, precision="fp32")
        (found,) = locate([photo])
        assert 0.5 <= found.score < 1
        assert locate.classes == ("0", "1")
        assert (locate.mean, locate.std) == (network.mean, network.std)
