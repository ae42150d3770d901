"""A model that is looked at stays as it was."""

from threading import Event, Thread

import pytest
import torch
from torch import Tensor, nn

from wsol.errors import ConfigError
from wsol.models.utils import device_of, evaluating, forward, unwrapped


def test_parts_keep_their_own_modes() -> None:
    """After an error as well."""
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)).train()
    model[1].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    with pytest.raises(ValueError, match="invalid"), evaluating(model):
        int("none")
    assert [module.training for module in model.modules()] == [True, True, False]


def test_a_second_thread_does_not_end_evaluation_of_the_first() -> None:
    """Neither is one in training mode before it is done, nor both in evaluation mode after."""
    model, modes = nn.Dropout().train(), []
    first_is_in, second_is_in = Event(), Event()

    def second() -> None:
        first_is_in.wait(10)
        with evaluating(model):
            second_is_in.set()
            modes.append(model.training)

    thread = Thread(target=second)
    thread.start()
    with evaluating(model):
        first_is_in.set()
        # Without a lock the second begins now, and ends later.
        second_is_in.wait(0.2)
        assert not second_is_in.is_set()
        modes.append(model.training)
        with evaluating(model):
            modes.append(model.training)
    thread.join()
    assert modes == [False, False, False]
    assert model.training


def test_threads_share_a_model_that_does_not_train() -> None:
    """None waits for another."""
    model, passed = nn.Dropout().eval(), Event()

    def second() -> None:
        with evaluating(model):
            passed.set()

    with evaluating(model):
        thread = Thread(target=second)
        thread.start()
        assert passed.wait(10)
    thread.join()


class Noticing(nn.Module):
    """Does something where its mode is changed, and keeps something of each pass."""

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()
        self.changes, self.seen, self.last = 0, [1], None
        self.register_buffer("level", torch.zeros(2))

    def train(self, mode: bool = True) -> "Noticing":
        """Count."""
        self.changes += 1
        return super().train(mode)

    def forward(self, images: Tensor) -> Tensor:
        """Keep the images in every way."""
        self.last = images
        self.more = images
        self.seen.append(2)
        self.level = self.level + 1
        return images


def test_neither_mode_nor_attributes_are_left_changed() -> None:
    """Not even for a moment by the methods that change a mode."""
    model = Noticing()
    level, seen = model.level, model.seen
    with evaluating(model):
        model(torch.ones(1))
    assert model.changes == 0
    assert model.seen is seen
    assert model.seen == [1]
    assert model.last is None
    assert not hasattr(model, "more")
    assert model.level is level


def test_a_model_without_weights_yet_is_refused() -> None:
    """The first batch would decide their shapes; other modules are named by none."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.LazyLinear(2))
    with pytest.raises(ConfigError, match="'2'"), evaluating(model):
        pass
    with pytest.raises(ConfigError, match="meta"), evaluating(nn.Linear(2, 3, device="meta")):
        pass


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("autocast", [False, True])
def test_a_model_computes_in_the_type_of_its_weights(kind: torch.dtype, autocast: bool) -> None:
    """Whatever the images are, and whatever is in force."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).to(kind).eval()
    images = torch.rand(2, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = forward(model, images)
    assert found.dtype == kind
    assert torch.equal(found, model(images.to(kind)))


def test_a_model_of_float32_follows_autocast() -> None:
    """Images of another type are brought to its own."""
    model = nn.Conv2d(3, 4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert forward(model, torch.rand(1, 3, 2, 2)).dtype == torch.bfloat16
    assert forward(model, torch.rand(1, 3, 2, 2).double()).dtype == torch.float32


def test_images_have_the_memory_format_of_the_weights() -> None:
    """So that a model may call ``view``, and one of channels last is fast."""
    images = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    for kind in (torch.contiguous_format, torch.channels_last):
        model = nn.Conv2d(3, 4, 3).to(memory_format=kind)
        assert forward(model, images).is_contiguous(memory_format=kind)


def test_hooks_act_in_what_is_compiled() -> None:
    """As a whole, a part of it, and in place; also if it has been passed before."""
    for make in (_compiled, _compiled_part, _compiled_in_place):
        model, seen = make(), []
        model(torch.rand(1, 3, 8, 8))
        (conv,) = (module for module in model.modules() if isinstance(module, nn.Conv2d))
        conv.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        forward(model, torch.rand(1, 3, 8, 8))
        assert seen == [1]


def _compiled() -> nn.Module:
    return torch.compile(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), backend="eager")


def _compiled_part() -> nn.Module:
    return nn.Sequential(_compiled(), nn.ReLU())


def _compiled_in_place() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU())
    model.compile(backend="eager")
    return model


def test_wrappers_of_torch_are_seen_through() -> None:
    """Several as well."""
    model = nn.Linear(2, 3)
    assert unwrapped(nn.DataParallel(torch.compile(model, backend="eager"))) is model


def test_a_model_without_weights_is_on_the_cpu() -> None:
    """Buffers count as weights."""
    assert device_of(nn.ReLU()) == torch.device("cpu")
    assert device_of(nn.BatchNorm2d(2, affine=False, device="meta")) == torch.device("meta")
