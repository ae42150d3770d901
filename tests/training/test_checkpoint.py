"""Checkpoints are whole, few and harmless."""

import os
import pickle
from pathlib import Path

import pytest
import torch

from wsol.errors import RunError
from wsol.training.checkpoint import checkpoints, load_last, save_checkpoint


class Canary:
    """A pickle that makes a file when it is loaded by a reader that trusts it."""

    def __init__(self, file: Path) -> None:
        """Keep the file's path."""
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        """Return the call that loading would make."""
        return os.mkdir, (str(self.file), 0o700)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """Tensors, numbers, strings, None and nests of them come back equal, bit for bit."""
    weights = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD([weights.clone().requires_grad_()], lr=0.1, momentum=0.9)
    state = {
        "step": 7,
        "network": {"w": weights},
        "optimizer": optimizer.state_dict(),
        "scaler": None,
        "rows": [{"epoch": 1, "loss": 0.25, "val": None}],
    }
    save_checkpoint(tmp_path / "checkpoints", 7, state)
    found = load_last(tmp_path / "checkpoints")
    assert found is not None
    assert torch.equal(found.pop("network")["w"], weights)
    assert found == {key: value for key, value in state.items() if key != "network"}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    """After each save there are the two last checkpoints, in the order of their steps."""
    for count, step in enumerate((8, 9, 10, 99, 100), start=1):
        save_checkpoint(tmp_path, step, {"step": step})
        assert len(checkpoints(tmp_path)) == min(count, 2)
        assert load_last(tmp_path) == {"step": step}
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000099.pt", "step_00000100.pt"]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    """A folder without checkpoints, or no folder, is where a training starts."""
    assert load_last(tmp_path) is None
    assert load_last(tmp_path / "missing") is None


def test_a_failed_save_leaves_the_last_two(tmp_path: Path) -> None:
    """What cannot be saved takes no good checkpoint with it."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step})
    with pytest.raises((AttributeError, TypeError, pickle.PicklingError)):
        save_checkpoint(tmp_path, 3, {"step": lambda: 3})
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".pt"] == []
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000001.pt", "step_00000002.pt"]
    assert load_last(tmp_path) == {"step": 2}


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, share: float, caplog: pytest.LogCaptureFixture
) -> None:
    """It is named, and does not count as one of the two that are kept."""
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {"step": step, "network": {"w": torch.zeros(100, 100)}})
    last = checkpoints(tmp_path)[-1]
    last.write_bytes(last.read_bytes()[: int(share * last.stat().st_size)])
    last = last.rename(tmp_path / "step_00000004.pt")
    state = load_last(tmp_path)
    assert state is not None
    assert state["step"] == 1
    assert f"{last.name}: not a readable checkpoint; using the previous checkpoint" in caplog.text
    save_checkpoint(tmp_path, 3, {"step": 3})
    assert [path.name for path in checkpoints(tmp_path)] == ["step_00000001.pt", "step_00000003.pt"]


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    """Wherever it is: torch alone would take other weights for the saved ones."""
    state = {"step": 1, "network": {"w": torch.arange(400.0)}}
    save_checkpoint(tmp_path, 1, state)
    (file,) = checkpoints(tmp_path)
    content = file.read_bytes()
    place = content.index(torch.arange(400.0).numpy().tobytes()) + 100
    file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert not torch.equal(torch.load(file, weights_only=True)["network"]["w"], torch.arange(400.0))
    with pytest.raises(RunError, match="no checkpoint is readable"):
        load_last(tmp_path)


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_malicious_checkpoint_runs_nothing(tmp_path: Path, form: str) -> None:
    """Code in a checkpoint is refused and never run; a reader that trusts it would run it."""
    file, canary = tmp_path / "step_00000001.pt", tmp_path / "canary"
    if form == "torch":
        torch.save({"step": Canary(canary)}, file)
    else:
        file.write_bytes(pickle.dumps({"step": Canary(canary)}, protocol=2))
    with pytest.raises(RunError, match="no checkpoint is readable"):
        load_last(tmp_path)
    assert not canary.exists()
    if form == "torch":
        torch.load(file, weights_only=False)
    else:
        pickle.loads(file.read_bytes())
    assert canary.exists()
