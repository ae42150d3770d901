"""Published weights become a run that predicts; what is no such file is one clear line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.models import resnet50

from wsol.cli.main import main
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import evaluate
from wsol.models import create_network
from wsol.runs.run import load_run


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint as wsolevaluation writes it, of three classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("published") / "last_checkpoint.pth.tar"
    state = resnet50(num_classes=3).state_dict()
    torch.save({"architecture": "resnet50", "epoch": 1, "state_dict": state}, path)
    return path


def test_a_checkpoint_becomes_a_run(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The network is found by its names; the run gives the weights' own logits."""
    names = tmp_path / "classes.txt"
    names.write_text("crow\nwren\ntit\n")
    run = tmp_path / "run"
    options = ["wsolevaluation", str(checkpoint), "--out", str(run), "--classes", str(names)]
    assert main(["import", *options]) == 0
    network, info = load_run(run)
    assert (info.backbone, info.classes) == ("wsolevaluation/resnet50", ("crow", "wren", "tit"))
    expected = create_network("wsolevaluation/resnet50", num_classes=3).eval()
    expected.load_published(torch.load(checkpoint, weights_only=True)["state_dict"])
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(images).logits, expected(images).logits)
    assert main(["import", *options]) == 2
    assert "contains a run" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="set --data"):
        evaluate(EvaluateConfig(run=run, device="cpu"))


def published_vgg(classes: int) -> dict[str, Any]:
    """Return weights under the names of the authors' VGG-GAP."""
    torch.manual_seed(0)
    state = create_network("tensorpack/vgg_gap", num_classes=classes).state_dict()
    weights = {"global_step:0": np.zeros(()), "fc8/b": np.zeros(3)}
    for name, value in state.items():
        own = name.replace("head.linear", "linear").replace("body.", "").replace("conv6", "new")
        own = own.replace(".weight", "/W:0").replace(".bias", "/b:0")
        axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        weights[own] = value.permute(axes).numpy()
    return weights


def test_tensorpacks_colours_are_turned_round(tmp_path: Path) -> None:
    """The run takes red, green, blue where the weights took blue, green, red."""
    weights = published_vgg(3)
    np.savez(tmp_path / "vgg.npz", **weights)
    out = tmp_path / "run"
    assert main(["import", "tensorpack", str(tmp_path / "vgg.npz"), "--out", str(out)]) == 0
    network, info = load_run(out)
    assert info.classes == ("0", "1", "2")
    expected = create_network("tensorpack/vgg_gap", num_classes=3).eval()
    expected.load_published(weights)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        found, wanted = network(images).logits, expected(images.flip(1)).logits
    torch.testing.assert_close(found, wanted)


def test_a_run_of_two_branches_comes_back(tmp_path: Path) -> None:
    """The method is told from the names, and the run has its head."""
    torch.manual_seed(0)
    state = create_network("wsolevaluation/vgg16", num_classes=2, method="acol").state_dict()
    numbers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    layers = list(dict.fromkeys(name.split(".")[1] for name in state if name.startswith("body.")))
    published = {}
    for name, value in state.items():
        _, layer, rest = name.split(".", 2)
        branch = {"first": "classifier_A", "second": "classifier_B"}.get(layer)
        published[f"{branch or f'features.{numbers[layers.index(layer)]}'}.{rest}"] = value
    torch.save(published, tmp_path / "acol.pth")
    out = tmp_path / "run"
    options = ["wsolevaluation", str(tmp_path / "acol.pth"), "--out", str(out)]
    assert main(["import", *options]) == 0
    network, info = load_run(out)
    assert info.method["name"] == "acol"
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("family", ["tensorpack", "wsolevaluation"])
def test_what_is_no_weights_is_refused(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text, an object that would run code, and no file: status 2 and one line with the name."""
    text, objects = tmp_path / "text.npz", tmp_path / "objects.npz"
    text.write_text("no weights")
    if family == "tensorpack":
        np.savez(objects, **{"conv0/W": np.array([object], dtype=object)})
    else:
        torch.save({"state_dict": {"conv1.weight": Path}}, objects)
    for path in (text, objects, tmp_path / "missing.npz"):
        assert main(["import", family, str(path), "--out", str(tmp_path / "run")]) == 2
        error = capsys.readouterr().err
        assert str(path) in error
        assert error.count("\n") == 1
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights are not even looked for."""
    out = tmp_path / "file"
    out.write_text("mine")
    assert main(["import", "tensorpack", str(tmp_path / "lost.npz"), "--out", str(out)]) == 2
    assert f"{out}: cannot be written: File exists" in capsys.readouterr().err
    assert out.read_text() == "mine"


def test_a_start_for_training_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights without a classifier, or of no known network, are refused with what to do."""
    np.savez(tmp_path / "a.npz", **{"conv0/W": np.zeros((7, 7, 3, 64), np.float32)})
    np.savez(tmp_path / "b.npz", **{"other/W": np.zeros(3)})
    for name, reason in (("a", "has no classifier"), ("b", "--network")):
        path = str(tmp_path / f"{name}.npz")
        assert main(["import", "tensorpack", path, "--out", str(tmp_path / "run")]) == 2
        assert reason in capsys.readouterr().err
