"""Each recipe builds its network, and some train for a step; names, files and page agree."""

import importlib.util
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from wsol.cli.main import main
from wsol.cli.options import read_options
from wsol.data.synthetic.toy import write_toy
from wsol.errors import ConfigError
from wsol.methods.network import build_network
from wsol.recipes import find_recipe, list_recipes
from wsol.runs.run import load_run
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

NAMES = [recipe.name for recipe in list_recipes()]

TOOL = Path(__file__).parents[2] / "tools/write_recipes.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Return the script that writes the recipes."""
    spec = importlib.util.spec_from_file_location("write_recipes", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four training images."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, train=4, val=0, test=0)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Path]:
    """Return a run folder; large networks would fill the disk."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path / "run", ignore_errors=True)


def read(name: str) -> TrainConfig:
    """Return a recipe's options as the command line reads them."""
    return read_options("train", TrainConfig, ["--config", name], positional="data")


def test_every_row_of_both_tables_has_a_recipe(tool: ModuleType) -> None:
    """Two data sets by four networks, and three by three by six methods."""
    assert len(NAMES) == 8 + 54
    assert {row.name for row in tool.ROWS} == set(NAMES)
    parts = [name.split("-") for name in NAMES if name.startswith("wsoleval-")]
    assert [len({part[i] for part in parts}) for i in (1, 2, 3)] == [3, 3, 6]


def test_files_and_page_are_those_of_the_tables(tool: ModuleType) -> None:
    """No file was edited by hand: run ``python tools/write_recipes.py`` if this fails."""
    for path, text in tool.files().items():
        assert path.read_text(encoding="utf-8") == text, path.name


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_its_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The method is attached to it, at the layers that the recipe names."""
    # To draw the weights takes longest.
    for draw in ("normal_", "uniform_"):
        monkeypatch.setattr(torch.Tensor, draw, lambda weights, *_, **__: weights.fill_(0.01))
    config = read(name)
    assert config.out == Path("runs") / name
    network = build_network(
        config.backbone,
        num_classes=4,
        method=config.method,
        output_stride=config.output_stride,
        pretrained=False,
        shifted_head=config.shifted_head,
        size=config.image_size,
    )
    config.method.create().attach(network)


TRAINED = [
    *(
        f"wsoleval-{data}-resnet50-{method}"
        for data, method in (
            ("cub", "has"),
            ("ilsvrc", "acol"),
            ("openimages", "spg"),
            ("cub", "cutmix"),
        )
    ),
    "wsoleval-ilsvrc-vgg16-cam",
    "wsoleval-openimages-inception_v3-adl",
    *(f"adl2019-cub-{network}" for network in ("mobilenet_v1", "resnet50_se", "vgg_gap")),
    "adl2019-ilsvrc-inception_v3",
]
"""Each method, and each network."""


@pytest.mark.parametrize("name", TRAINED)
def test_a_recipe_trains_for_a_step(name: str, toy: Path, out: Path) -> None:
    """With the recipe's options, but on small toy images and without downloaded weights."""
    config = read(name)
    small = {"data": toy, "out": out, "image_size": 64, "resize": 72, "batch_size": 4, "epochs": 1}
    where = {
        "pretrained": False,
        "init_from": None,
        "num_workers": 0,
        "precision": "fp32",
        "device": "cpu",
    }
    train(replace(config, **small, **where))
    _, info = load_run(out)
    assert info.backbone == config.backbone
    assert len(info.classes) == 4


def test_each_method_and_network_is_trained() -> None:
    """By one recipe or more."""
    every, trained = ([read(name) for name in names] for names in (NAMES, TRAINED))
    for kind in (lambda config: config.method.name, lambda config: config.backbone):
        assert set(map(kind, trained)) == set(map(kind, every))


def test_published_settings_arrive() -> None:
    """Two rows, number by number; the re-evaluation's rate is that of the pretrained layers."""
    config = read("adl2019-ilsvrc-resnet50_se")
    assert (config.method.drop_rate, config.method.threshold) == (0.75, 0.9)
    assert (config.epochs, config.batch_size, config.lr) == (21, 128, 0.1)
    assert (config.weight_decay, config.momentum, config.backbone_lr) == (1e-4, 0.9, 0.1)
    steps = 21 * 10_009
    for epoch, milestone in zip((30, 60, 90, 100), config.milestones, strict=True):
        assert 0 <= steps * epoch / 105 - steps * milestone < 1
    config = read("wsoleval-cub-resnet50-adl")
    assert (config.method.drop_rate, config.method.threshold) == (0.24, 0.76)
    assert config.lr * config.backbone_lr == pytest.approx(1.253e-2)
    assert [round(50 * share, 6) for share in config.milestones] == [14, 29, 44]
    assert (config.epochs, config.batch_size, config.weight_decay) == (50, 32, 1e-4)


def test_arguments_win_over_a_recipe() -> None:
    """The name of a recipe is as good as a file."""
    argv = ["--config", "adl2019-cub-mobilenet_v1", "--epochs", "3", "--data", "birds"]
    config = read_options("train", TrainConfig, argv, positional="data")
    assert (config.epochs, config.data, config.batch_size) == (3, Path("birds"), 128)


def test_a_file_comes_before_a_recipe_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in the working directory is meant."""
    monkeypatch.chdir(tmp_path)
    Path("adl2019-cub-vgg_gap").write_text("data: here\nout: run\n")
    config = read_options("train", TrainConfig, ["--config", "adl2019-cub-vgg_gap"])
    assert config.data == Path("here")


def test_unknown_names_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The nearest recipe is named, or where to look; a path is not taken for a recipe."""
    with pytest.raises(ConfigError, match="did you mean 'adl2019-cub-vgg_gap'"):
        find_recipe("adl2019-cub-vgg-gap")
    assert main(["train", "--config", "zzz"]) == 2
    assert "no file and no recipe 'zzz'" in capsys.readouterr().err
    assert main(["train", "--config", "zzz.yaml"]) == 2
    assert "zzz.yaml: cannot be read" in capsys.readouterr().err


def test_list_shows_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    """Name, row, reported figure, and that it has not been run."""
    assert main(["list", "recipes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    row = next(line for line in lines if line.startswith("wsoleval-openimages-vgg16-spg "))
    assert "OpenImages, VGG16, SPG  " in row
    assert "PxAP 58.31" in row
    assert row.endswith("run here: no")
