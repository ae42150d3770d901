"""The options of a run as YAML: read back equal, and compared when a run goes on."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from wsol.cli.options import read_options
from wsol.errors import ConfigError
from wsol.methods.adl import Config as ADLConfig
from wsol.runs.config import check_same, plain, resolved, save_config
from wsol.training.config import TrainConfig

CONFIG = TrainConfig(
    data=Path("Vögel/日本 1"),
    out=Path("runs/a: b"),
    method=ADLConfig(layers=("layer3.0", "layer4"), drop_rate=0.25),
    output_stride=None,
    lr=1e-5,
    weight_decay=0.0,
    tensorboard=True,
)


@pytest.mark.parametrize("config", [CONFIG, TrainConfig(data=Path("1"), out=Path("null"))])
def test_saved_options_are_read_back_by_the_command_line(
    tmp_path: Path, config: TrainConfig
) -> None:
    """--config with the saved file gives the very options, the method's own included."""
    save_config(tmp_path / "config.yaml", config)
    argv = ["--config", str(tmp_path / "config.yaml")]
    assert read_options("train", TrainConfig, argv, positional="data") == config


def test_the_file_is_plain_yaml(tmp_path: Path) -> None:
    """Any YAML reader can read it: paths are strings, tuples lists, and required ones are first."""
    save_config(tmp_path / "config.yaml", CONFIG)
    content = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))
    assert content == plain(CONFIG)
    assert content["data"] == "Vögel/日本 1"
    assert content["method"]["layers"] == ["layer3.0", "layer4"]
    assert list(content)[:2] == ["data", "out"]


def test_a_difference_is_named_with_both_values(tmp_path: Path) -> None:
    """An option that differs is refused, one that is free is not."""
    file = tmp_path / "config.yaml"
    save_config(file, CONFIG)
    check_same(file, CONFIG, set())
    check_same(file, replace(CONFIG, num_workers=0), {"num_workers"})
    with pytest.raises(ConfigError, match="workers was 2 and is 0 now"):
        check_same(file, replace(CONFIG, num_workers=0), {"device"})
    other = replace(CONFIG, method=ADLConfig(layers=("layer4",), drop_rate=0.25))
    with pytest.raises(ConfigError, match=r"method was .*'layer3\.0'.* and is .*\['layer4'\]"):
        check_same(file, other, set())


def test_an_option_that_a_file_lacks_means_its_default(tmp_path: Path) -> None:
    """A run of before there was the option goes on, its method's own included."""
    file = tmp_path / "config.yaml"
    content = plain(CONFIG)
    del (
        content["gradient_accumulation_steps"],
        content["milestones"],
        content["method"]["threshold"],
    )
    file.write_text(yaml.safe_dump(content))
    check_same(file, CONFIG, set())
    with pytest.raises(ConfigError, match="gradient_accumulation_steps was 1 and is 2 now"):
        check_same(file, replace(CONFIG, gradient_accumulation_steps=2), set())
    method = replace(CONFIG.method, threshold=0.5)
    with pytest.raises(ConfigError, match=r"method was .*'threshold': 0\.9.* 'threshold': 0\.5"):
        check_same(file, replace(CONFIG, method=method), set())
    del content["data"]
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match="data was None and is "):
        check_same(file, CONFIG, set())


def test_a_path_is_the_same_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options are saved with whole paths, and compared by what they lead to."""
    file = tmp_path / "config.yaml"
    (tmp_path / "birds").mkdir()
    (tmp_path / "other").mkdir()
    config = replace(CONFIG, data=Path("birds"), init_from=Path("hf:owner/birds"))
    monkeypatch.chdir(tmp_path)
    save_config(file, config)
    check_same(file, config, set())
    check_same(file, replace(config, data=Path("other/../birds")), set())
    save_config(file, resolved(config))
    assert yaml.safe_load(file.read_text())["init_from"] == "hf:owner/birds"
    monkeypatch.chdir(tmp_path / "other")
    check_same(file, replace(config, data=Path("../birds")), set())
    with pytest.raises(ConfigError, match=r"birds' and is '.*other' now"):
        check_same(file, replace(config, data=Path()), set())


@pytest.mark.parametrize("text", [b"a: [", b"\xff\xfe\xfa", b"!!python/name:os.system x"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, text: bytes) -> None:
    """Broken YAML, other bytes and tags that would run code are refused by the file's name."""
    file = tmp_path / "config.yaml"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        check_same(file, CONFIG, set())


@pytest.mark.parametrize("text", ["", "- a\n", "text\n"])
def test_a_file_without_keys_is_named(tmp_path: Path, text: str) -> None:
    """A file that was emptied or holds something else is refused by its name."""
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        check_same(file, CONFIG, set())
