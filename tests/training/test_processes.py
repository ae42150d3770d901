"""Training by several processes: the same images in each step, however many there are."""

import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from wsol.data.synthetic.scenes import write_scenes
from wsol.inference.loading import prepare_to_localize
from wsol.runs.config import save_config
from wsol.runs.run import load_run
from wsol.training.checkpoint import checkpoints
from wsol.training.config import TrainConfig

from ..forked import run_distributed

SCRIPT = '''
"""Train, with a note of what each process sees in each step, and stop or spoil one on request."""

import json, math, os, sys
from pathlib import Path
from wsol.cli.main import main
from wsol.training import validation
from wsol.training.step import TrainStep
from wsol.methods.base import Method

notes, stop, poison, *arguments = sys.argv[1:]
rank = int(os.environ.get("RANK", 0))
plain, loss, now = TrainStep.step, Method.loss, []

def step(stepper, number, batches):
    if number == int(stop):
        os._exit(9)
    now[:] = [number]
    seen = [index for batch in batches for index in batch.indices]
    with Path(notes, f"{number}-{rank}.json").open("w") as file:
        json.dump(seen, file)
    return plain(stepper, number, batches)

def spoiled(method, output, labels):
    value = loss(method, output, labels)
    return value * math.nan if (now[0], rank) == (int(poison), 1) else value

evaluate = validation.evaluate_split

def judged(references, localizer, *rest):
    sums = [float(value.double().sum()) for value in localizer.model.state_dict().values()]
    Path(notes + "-validated", f"{rank}.json").write_text(json.dumps(sums))
    return evaluate(references, localizer, *rest)

TrainStep.step, Method.loss, validation.evaluate_split = step, spoiled, judged
sys.exit(main(arguments))
'''


@dataclass
class Launcher:
    """Starts trainings in separate processes."""

    folder: Path
    config: TrainConfig

    def train(
        self, out: Path, processes: int, *, stop: int = -1, poison: int = -1, **options: Any
    ) -> dict[int, set[int]]:
        """Train, and return the images of each step over all processes."""
        notes = self.folder / f"notes-{out.name}-{processes}-{stop}"
        notes.mkdir()
        Path(f"{notes}-validated").mkdir()
        script, file = self.folder / "script.py", self.folder / f"{notes.name}.yaml"
        script.write_text(SCRIPT)
        save_config(file, replace(self.config, out=out, **options))
        command = [sys.executable, str(script), str(notes), str(stop), str(poison)]
        done = run_distributed([*command, "train", "--config", str(file)], processes)
        assert (done.returncode == 0) == (stop < 0), done.stderr
        ranks = {note.stem.split("-")[1] for note in notes.iterdir()}
        assert ranks == set(map(str, range(processes)))
        seen: dict[int, set[int]] = {}
        for note in notes.iterdir():
            images = json.loads(note.read_text())
            of_step = seen.setdefault(int(note.name.split("-")[0]), set())
            assert not of_step & set(images)
            of_step |= set(images)
        return seen


@pytest.fixture
def launcher(tiny: TrainConfig, tmp_path: Path) -> Launcher:
    """Return what starts small trainings of two epochs, three steps each."""
    config = replace(tiny, image_size=32, resize=36, save_every=1, val_every=2)
    return Launcher(tmp_path, config)


def state(run: Path) -> dict[str, Any]:
    """Return the last checkpoint, the weights of the run beside it."""
    found: dict[str, Any] = torch.load(checkpoints(run / "checkpoints")[-1], weights_only=True)
    for row in found["rows"]:
        row.pop("images_per_second")
    return found | {"run": (run / "model.safetensors").read_bytes()}


def assert_equal(one: Any, other: Any) -> None:
    """Compare nested states bit for bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert_equal(value, other[key])
    else:
        assert one == other


def test_a_training_goes_on_with_another_number_of_processes(launcher: Launcher) -> None:
    """Stopped in the middle of an epoch: bit for bit with as many, the same images with others."""
    whole, one = launcher.folder / "whole", launcher.folder / "single"
    expected = launcher.train(whole, 2)
    assert sorted(expected) == list(range(6))
    assert {len(images) for images in expected.values()} == {8}
    assert launcher.train(one, 1, stop=4) == {step: expected[step] for step in range(4)}
    two, copy = launcher.folder / "two", launcher.folder / "copy"
    assert launcher.train(two, 2, stop=4) == {step: expected[step] for step in range(4)}
    rest = {step: expected[step] for step in (4, 5)}
    shutil.copytree(two, copy)
    assert launcher.train(two, 2, resume=True, num_workers=2) == rest
    assert_equal(state(two), state(whole))
    shutil.rmtree(two)
    copy.rename(two)
    assert launcher.train(two, 1, resume=True, num_workers=2) == rest
    assert launcher.train(one, 2, resume=True) == rest
    for run in (one, two):
        assert state(run)["step"] == 6
        loss = state(run)["rows"][-1]["loss"]
        assert loss == pytest.approx(state(whole)["rows"][-1]["loss"], rel=0.1)


def test_processes_skip_a_step_together(launcher: Launcher) -> None:
    """A loss that is not finite in one of them is no step for any, and all stay alike."""
    out = launcher.folder / "run"
    seen = launcher.train(out, 2, poison=2, gradient_accumulation_steps=2)
    assert sorted(seen) == list(range(6))
    assert {len(images) for images in seen.values()} == {8}
    last = state(out)
    assert [row["skipped_steps"] for row in last["rows"]] == [1, 0]
    assert all(value.isfinite().all() for value in last["network"].values())


def test_processes_validate_the_network_that_is_saved(launcher: Launcher) -> None:
    """Statistics of batches are each process's own while it trains; one network is judged."""
    out = launcher.folder / "run"
    launcher.train(out, 2, epochs=1)
    one, other = sorted(launcher.folder.glob("notes-run-*-validated/*.json"))
    assert one.read_text() == other.read_text() != "[]"
    saved, info = load_run(out)
    prepare_to_localize(saved, info.image_size)
    values = saved.state_dict().values()
    assert json.loads(one.read_text()) == [float(value.double().sum()) for value in values]


def test_processes_train_on_multi_label_images(launcher: Launcher, tmp_path: Path) -> None:
    """Each step's images are those of one process, and the loss is theirs too."""
    write_scenes(tmp_path / "scenes", train=24, test=8, max_objects=3)
    options = {
        "data": tmp_path / "scenes",
        "epochs": 1,
        "backbone": "test_vit",
        "val_fraction": 0.3,
    }
    seen = [launcher.train(tmp_path / f"run{number}", number, **options) for number in (1, 2)]
    assert seen[0] == seen[1] != {}
    rows = [state(tmp_path / f"run{number}")["rows"][0] for number in (1, 2)]
    # No statistics of a batch and no draws: the same but for the order of sums.
    assert rows[0]["loss"] == pytest.approx(rows[1]["loss"], rel=1e-4)
    assert rows[0]["train_top1"] == rows[1]["train_top1"]
