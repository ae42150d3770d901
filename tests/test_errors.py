"""Memory that runs out is not taken for another fault."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wsol import Localizer
from wsol.errors import ConfigError, is_out_of_memory
from wsol.localizers._layers import choose_layers, find_stages
from wsol.models.create import check_size
from wsol.training.checkpoint import load_last, save_checkpoint
from wsol.training.optim import check_compiler


class Hungry(nn.Module):
    """A classifier for which there is no memory."""

    def __init__(self) -> None:
        """Make one layer."""
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images: Tensor) -> Tensor:
        """Fail as a GPU does."""
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`")


@pytest.mark.parametrize(
    "ask",
    [
        lambda: check_size(Hungry(), 64),
        lambda: choose_layers(Hungry()),
        lambda: find_stages(Hungry()),
        lambda: Localizer(Hungry(), image_size=64, device="cpu"),
    ],
)
def test_looking_for_sizes_and_layers_does_not_hide_it(ask: Callable[[], Any]) -> None:
    """Neither another size nor another backbone is what is needed."""
    with pytest.raises(RuntimeError, match="CUBLAS") as caught:
        ask()
    assert is_out_of_memory(caught.value)


def test_a_good_checkpoint_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one is whole, so that the one before it must not be taken."""

    def hungry(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    save_checkpoint(tmp_path, 1, {"step": 1})
    save_checkpoint(tmp_path, 2, {"step": 2})
    for name, ask in (
        ("load", lambda: load_last(tmp_path)),
        ("save", lambda: save_checkpoint(tmp_path, 3, {})),
        ("compile", lambda: check_compiler(torch.device("cpu"))),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(torch, name, hungry)
            with pytest.raises(RuntimeError, match="allocate"):
                ask()


def test_other_errors_are_not_taken_for_it() -> None:
    """Nor ours, whose texts may name a file."""
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(FileNotFoundError(2, "No such file", "out of memory.jpg"))
    assert not is_out_of_memory(ConfigError("out of memory.jpg: no such file"))
