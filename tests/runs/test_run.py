"""A run folder is read back as it was written, or refused with one clear line."""

import json
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from wsol.errors import RunError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.models import Network, create_network
from wsol.runs.run import RunInfo, load_run, load_start, save_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

INFO = RunInfo(
    backbone="test_resnet",
    output_stride=16,
    classes=("crow", "wren", "日本"),
    image_size=64,
    localizer="cam",
    threshold=0.125,
    threshold_from="val",
    data="birds",
    boxes=None,
    val_fraction=0.1,
    seed=3,
)


@pytest.fixture
def network() -> Network:
    """Return a tiny network in the memory order of a training."""
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=3, pretrained=False)
    return network.to(memory_format=torch.channels_last)


@pytest.fixture
def run(tmp_path: Path, network: Network) -> Path:
    """Return the folder of a finished run."""
    save_run(tmp_path, network, INFO)
    return tmp_path


def test_a_run_comes_back(run: Path, network: Network) -> None:
    """The network gives the very logits, in evaluation mode, and the rest is equal."""
    found, info = load_run(run)
    assert info == INFO
    assert not found.training
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network.eval()(images).logits
        assert torch.equal(found.to(memory_format=torch.channels_last)(images).logits, expected)


def test_equal_runs_give_identical_files(run: Path, network: Network, tmp_path: Path) -> None:
    """Saved twice, whatever the weights' order in memory, the files are the same bytes."""
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert sorted(before) == ["model.json", "model.safetensors"]
    save_run(tmp_path, network.to(memory_format=torch.contiguous_format), INFO)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    with torch.no_grad():
        network.head.linear.bias[0] += 1
    save_run(tmp_path, network, INFO)
    assert (run / "model.safetensors").read_bytes() != before["model.safetensors"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["config.yaml"], "its training has not finished; resume it with wsol train --resume"),
        ([], "use a folder written by wsol train"),
    ],
)
def test_a_folder_that_is_no_finished_run_says_why(
    tmp_path: Path, files: list[str], reason: str
) -> None:
    """An unfinished run and another folder, or none, are told apart."""
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(RunError) as caught:
        load_run(tmp_path)
    assert str(caught.value) == f"{tmp_path}: no finished run here: {reason}"
    with pytest.raises(RunError, match="no finished run here"):
        load_run(tmp_path / "missing")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        "{}",
        json.dumps({"classes": 3}),
        json.dumps(asdict(INFO) | {"colour": "red"}),
        json.dumps({key: value for key, value in asdict(INFO).items() if key != "image_size"}),
    ],
)
def test_a_description_that_is_none_is_named(run: Path, content: str) -> None:
    """A model.json that is cut, empty, or of another shape is refused by its name."""
    (run / "model.json").write_text(content)
    with pytest.raises(RunError, match=r"model\.json: not the info of a run"):
        load_run(run)


def test_a_run_may_have_any_name(network: Network, tmp_path: Path) -> None:
    """Of bytes that are no UTF-8, too."""
    folder = tmp_path / os.fsdecode(b"run \xff")
    folder.mkdir()
    save_run(folder, network, INFO)
    again = load_run(folder)[0].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())


def test_a_missing_description_is_named(run: Path) -> None:
    """Weights alone are no run."""
    (run / "model.json").unlink()
    with pytest.raises(RunError, match=r"model\.json: not the info of a run"):
        load_run(run)


@pytest.mark.parametrize(
    "change", [{"classes": ("crow",)}, {"backbone": "test_vit"}], ids=["classes", "backbone"]
)
def test_weights_of_another_network_are_refused(run: Path, change: dict[str, object]) -> None:
    """Weights that do not fit the description are refused in one line with the file's name."""
    (run / "model.json").write_text(json.dumps(asdict(replace(INFO, **change))))
    with pytest.raises(RunError, match=r"model\.safetensors: the weights do not fit") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.999])
def test_truncated_weights_are_refused(run: Path, share: float) -> None:
    """A part of the weights is refused with the file's name."""
    file = run / "model.safetensors"
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(RunError, match=r"model\.safetensors: the weights do not fit"):
        load_run(run)


def test_weights_that_do_not_fit_say_which(run: Path) -> None:
    """The error tells what does not fit: an entry's name."""
    (run / "model.json").write_text(json.dumps(asdict(replace(INFO, classes=("crow",)))))
    with pytest.raises(RunError, match=r"head\.linear"):
        load_run(run)


@pytest.mark.parametrize(
    "change", [{"backbone": "resnet81"}, {"backbone": 3}, {"classes": []}, {"output_stride": "x"}]
)
def test_a_description_of_no_network_is_named(run: Path, change: dict[str, object]) -> None:
    """A network that cannot be made is the fault of model.json, which the error names."""
    (run / "model.json").write_text(json.dumps(asdict(INFO) | change))
    with pytest.raises(RunError, match=r"model\.json"):
        load_run(run)


def test_a_run_remembers_its_splits(tiny: TrainConfig, toy: Path, tmp_path: Path) -> None:
    """Evaluation measures the listed images without being told again."""
    names = sorted(path.relative_to(toy).as_posix() for path in (toy / "train").rglob("*.jpg"))
    classes = sorted({name.split("/")[1] for name in names})
    lists = tmp_path / "lists"
    lists.mkdir()
    rows = [f"{name} {classes.index(name.split('/')[1])}" for name in names]
    (lists / "train.txt").write_text("\n".join(rows[:20]))
    (lists / "test.txt").write_text("\n".join(f"{row} 1 2 100 120" for row in rows[20:]))
    config = replace(tiny, out=tmp_path / "run", epochs=1, splits=lists, val_fraction=0.0)
    folder = train(config)
    assert load_run(folder)[1].splits == str(lists.resolve())
    options = EvaluateConfig(folder, num_workers=0, device="cpu")
    assert evaluate(options).metrics["num_images"] == 4
    # The run's own data, named once more.
    assert evaluate(replace(options, data=toy)).metrics["num_images"] == 4
    copy = tmp_path / "copy"
    shutil.copytree(toy, copy)
    moved = replace(options, data=copy)
    assert evaluate(moved).metrics["num_images"] == 12
    assert evaluate(replace(moved, splits=lists)).metrics["num_images"] == 4


@pytest.mark.parametrize("num_classes", [3, 5])
def test_a_training_starts_from_a_run(run: Path, network: Network, num_classes: int) -> None:
    """The body is the run's, the head too where it has as many classes, else it is new."""
    torch.manual_seed(1)
    other = create_network("test_resnet", num_classes=num_classes, pretrained=False)
    head = {name: value.clone() for name, value in other.head.state_dict().items()}
    load_start(other, run)
    for name, value in network.body.state_dict().items():
        assert torch.equal(other.body.state_dict()[name], value)
    expected = network.head.state_dict() if num_classes == 3 else head
    for name, value in expected.items():
        assert torch.equal(other.head.state_dict()[name], value)


def test_a_start_of_another_backbone_is_refused(run: Path, tmp_path: Path) -> None:
    """The first entry that does not fit is named, and a missing run as well."""
    other = create_network("resnet18", num_classes=3, pretrained=False)
    with pytest.raises(RunError, match=r"body\.conv1\.weight .*same --backbone"):
        load_start(other, run)
    with pytest.raises(RunError, match="no finished run here"):
        load_start(other, tmp_path / "nothing")
    (run / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(RunError, match="cannot be read"):
        load_start(other, run)
