"""Every option of every command has one range, whichever way its value comes."""

import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wsol
from wsol.annotation.config import AnnotateConfig
from wsol.app.config import AppConfig
from wsol.benchmark.config import BenchmarkConfig
from wsol.cli import help as help_module
from wsol.cli.main import REFUSED, main
from wsol.cli.options import read_options
from wsol.data.config import CubConfig, ImagenetConfig, OpenimagesConfig, PackConfig
from wsol.distillation.config import DistillConfig
from wsol.errors import ConfigError
from wsol.evaluation.config import CompareConfig, EvaluateConfig, EvaluateMapsConfig
from wsol.formats.config import ConvertConfig
from wsol.inference.config import ExportConfig
from wsol.methods import MethodConfig, list_methods, method_config
from wsol.options import DEVICE_NAME, NOT_EMPTY, Options, Range, option_types
from wsol.prediction.config import PredictConfig
from wsol.reports.config import ReportConfig
from wsol.runs.config import ImportConfig, PushConfig
from wsol.training.config import DemoConfig, TrainConfig


class Option(NamedTuple):
    """One option of a command.

    Attributes:
        config: the command's dataclass.
        required: values of the options that it cannot do without.
        name: of the option, with the method's before it.
        kind: its type without None.
        method: the training method that has it, or None.
    """

    config: type[Options]
    required: dict[str, Any]
    name: str
    kind: Any
    method: str | None

    def in_python(self, value: Any) -> Options:
        """Return the options that are made in Python."""
        if self.method is None:
            return self.config(**self.required | {self.name: value})
        inner = {self.name.removeprefix("method."): value}
        return self.config(**self.required, method=method_config(self.method)(**inner))

    def in_yaml(self, file: Path, value: Any) -> Options:
        """Return the options that a file has."""
        content = {name: _plain(given) for name, given in self.required.items()}
        if self.method is None:
            content[self.name] = _plain(value)
        else:
            inner = self.name.removeprefix("method.")
            content["method"] = {"name": self.method, inner: _plain(value)}
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        return read_options("test", self.config, ["--config", str(file)])

    def on_the_command_line(self, value: Any) -> Options:
        """Return the options that arguments give."""
        given = self.required | {self.name: value}
        if self.method is not None:
            given = {"method": self.method} | given
        argv = [f"--{name}={_text(each)}" for name, each in given.items()]
        return read_options("test", self.config, argv)

    def ways(self, file: Path) -> dict[str, Callable[[Any], Options]]:
        """Return the three ways to give a value."""
        return {
            "Python": self.in_python,
            "YAML": lambda value: self.in_yaml(file, value),
            "command line": self.on_the_command_line,
        }


COMMANDS: list[tuple[type[Options], dict[str, Any]]] = [
    (AnnotateConfig, {"images": Path("photos"), "out": Path("new")}),
    (AppConfig, {}),
    (BenchmarkConfig, {}),
    (CompareConfig, {"data": Path("birds"), "out": Path("new")}),
    (ConvertConfig, {"predictions": Path("boxes"), "format": ("coco",)}),
    (CubConfig, {"out": Path("new")}),
    (DemoConfig, {}),
    (DistillConfig, {"run": Path("run"), "out": Path("new")}),
    (EvaluateConfig, {"run": Path("run")}),
    (EvaluateMapsConfig, {"maps": Path("maps"), "annotations": Path("boxes.csv")}),
    (ExportConfig, {"run": Path("run"), "out": Path("new.onnx")}),
    (ImagenetConfig, {"out": Path("new"), "train": Path("train.tar")}),
    (ImportConfig, {"file": Path("a.npz"), "out": Path("new"), "family": "tensorpack"}),
    (OpenimagesConfig, {"out": Path("new"), "archives": [Path("a.zip")]}),
    (PackConfig, {"data": Path("birds"), "out": Path("new")}),
    (PredictConfig, {"images": [Path("birds")], "out": Path("new")}),
    (PushConfig, {"run": Path("run"), "name": "owner/name"}),
    (ReportConfig, {"predictions": Path("boxes")}),
    (TrainConfig, {"data": Path("birds"), "out": Path("new")}),
]


def _options() -> Iterator[Option]:
    for config, required in COMMANDS:
        for name, kind in option_types(config).items():
            if name != "method":
                for member in _members(kind):
                    yield Option(config, required, name, member, None)
    config, required = COMMANDS[-1]
    for method in list_methods():
        for name, kind in option_types(method_config(method)).items():
            if name != "name":
                for member in _members(kind):
                    yield Option(config, required, f"method.{name}", member, method)


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, list):
        return json.dumps(value).replace("NaN", ".nan").replace("Infinity", ".inf")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _members(kind: Any) -> list[Any]:
    """Return the types of a union without None, or the type itself."""
    if get_origin(kind) not in (Union, UnionType):
        return [kind]
    return [each for each in get_args(kind) if each is not NoneType]


def _parts(kind: Any) -> tuple[Any, list[Any]]:
    """Return a type and the rules of its range."""
    if get_origin(kind) is not Annotated:
        return kind, []
    plain, *rules = get_args(kind)
    return plain, rules


OPTIONS = list(_options())

GROUPS = {
    name: [option for option in OPTIONS if (option.method or option.config.__name__) == name]
    for name in dict.fromkeys(option.method or option.config.__name__ for option in OPTIONS)
}
"""Options by command or method."""

of_each = pytest.mark.parametrize("options", GROUPS.values(), ids=GROUPS)


def bad_values(kind: Any) -> list[Any]:
    """Return values that are out of range in all three ways."""
    kind, rules = _parts(kind)
    bad: list[Any] = []
    if kind in (int, float):
        bad += [{"a": 1}, "three", "", math.nan, math.inf, -math.inf, [1]]
        step = 1 if kind is int else 0.001
        for rule in rules:
            assert isinstance(rule, Range)
            bad += [rule.at_least - step, -(10**30)] if rule.at_least is not None else []
            bad += [rule.at_most + step, 10**30] if rule.at_most is not None else []
            bad += [each for each in (rule.above, rule.below) if each is not None]
        bad += [1.5] if kind is int else []
    elif kind is bool:
        bad += ["maybe", "", 2, {"a": 1}]
    elif kind is Path:
        bad += [""]
    elif get_origin(kind) is Literal:
        bad += ["none such", "", "A", {"a": 1}]
    elif get_origin(kind) in (tuple, list):
        (item, *_) = get_args(kind)
        bad += [[each] for each in bad_values(item) if not isinstance(each, list | dict)]
        bad += [[]] if NOT_EMPTY in rules else []
    elif NOT_EMPTY in rules:
        bad += [""]
    return bad


def good_values(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for values in range."""
    kind, rules = _parts(kind)
    if kind in (int, float):
        low: float | None = None
        high: float | None = None
        for rule in rules:
            low = rule.at_least if rule.at_least is not None else rule.above
            high = rule.at_most if rule.at_most is not None else rule.below
        if kind is int:
            assert low is not None
            assert high is not None
            return st.integers(int(low), int(high))
        numbers = st.floats(low, high, allow_nan=False, allow_infinity=False)
        return numbers.filter(lambda value: all(rule.allows(value) for rule in rules))
    if kind is bool:
        return st.booleans()
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) in (tuple, list):
        items = good_values(get_args(kind)[0])
        return st.lists(items, min_size=1, max_size=3).map(get_origin(kind))
    names = st.text("abc", min_size=1, max_size=4)
    return names.map(Path) if kind is Path else names


def result(way: Callable[[Any], Options], value: Any) -> Options | str:
    """Return the options, or the one line of the error."""
    try:
        return way(value)
    except ConfigError as error:
        line = str(error)
    assert "\n" not in line
    assert len(line) < 1000
    return line


def test_all_dataclasses_of_options_are_here() -> None:
    """No command and no method is left out."""
    root = Path(wsol.__file__).parent
    for file in root.rglob("*config.py"):
        import_module(".".join(("wsol", *file.relative_to(root).with_suffix("").parts)))

    def below(kind: type[Options]) -> set[type[Options]]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    found = {
        kind
        for kind in below(Options)
        if kind.__name__.endswith("Config") and kind is not MethodConfig
    }
    assert found == {config for config, _ in COMMANDS} | {
        method_config(name) for name in list_methods()
    }


def test_every_option_declares_its_range() -> None:
    """Every number has bounds, and a text that may be empty is so by default."""
    for option in OPTIONS:
        _check_range(option)


def _check_range(option: Option) -> None:
    kind, rules = _parts(option.kind)
    if get_origin(kind) in (tuple, list):
        kind, rules = _parts(get_args(kind)[0])
    if kind in (int, float):
        assert any(isinstance(rule, Range) for rule in rules)
    if kind is str and not {NOT_EMPTY, DEVICE_NAME} & set(rules):
        (field,) = (each for each in fields(option.config) if each.name == option.name)
        assert field.default == ""


@of_each
def test_values_out_of_range_are_refused_in_every_way(
    options: list[Option], tmp_path: Path
) -> None:
    """With one line that names the option."""
    for option in options:
        for value in bad_values(option.kind):
            for way, make in option.ways(tmp_path / "options.yaml").items():
                seen = result(make, value)
                assert isinstance(seen, str), f"{way} takes {option.name} {value!r}"
                assert seen.startswith(f"{option.name}: "), f"{way}, {value!r}: {seen}"


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_values_in_range_mean_the_same_in_every_way(tmp_path: Path, data: st.DataObject) -> None:
    """All ways give equal options, or the same refusal of values that do not fit each other."""
    option = data.draw(st.sampled_from(OPTIONS))
    value = data.draw(good_values(option.kind))
    seen = [result(make, value) for make in option.ways(tmp_path / "options.yaml").values()]
    assert seen[0] == seen[1] == seen[2]


@of_each
def test_another_type_is_refused_in_python(options: list[Option]) -> None:
    """A text is no number, neither is True, and a number is no text."""
    wrong = {int: ["3", True, b"3"], float: ["0.5", True], bool: ["true", 1, None]}
    for option in options:
        for value in wrong.get(_parts(option.kind)[0], [3, True, b"3"]):
            seen = result(option.in_python, value)
            assert isinstance(seen, str), f"{option.name} takes {value!r}"
            assert seen.startswith(f"{option.name}: ")


def test_required_options_have_no_default() -> None:
    """What the tests give is what each command asks for, or one of what it chooses from."""
    for config, required in COMMANDS:
        for field in fields(config):
            if field.default is MISSING and field.default_factory is MISSING:
                assert field.name in required


@pytest.mark.parametrize(
    "argv",
    [
        ["evaluate", "run", "--batch_size", "-1"],
        ["train", "birds", "--out", "new", "--seed", str(10**20)],
        ["predict", "birds", "--out", "new", "--image_size", "30000"],
        ["predict", "", "--out", "new"],
        ["predict", "birds", "--out", ""],
        ["train", "birds", "--out", "new", "--method", "adl", "--method.drop_rate", "75"],
        ["export", "run", "--out", "new.onnx", "--scales", "1,nan"],
    ],
)
def test_the_command_ends_with_one_line_and_writes_nothing(
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit status 2."""
    monkeypatch.chdir(tmp_path)
    assert main(argv) == REFUSED
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("wsol: error: ")
    assert list(tmp_path.iterdir()) == []


def test_a_process_ends_with_status_2(tmp_path: Path) -> None:
    """As the shell sees it."""
    ran = subprocess.run(
        [sys.executable, "-m", "wsol", "evaluate", "run", "--num_workers", "-1"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ,
        check=False,
    )
    assert ran.returncode == REFUSED
    assert len(ran.stderr.splitlines()) == 1
    assert "num_workers: -1" in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_method_option_has_its_type() -> None:
    """The name of a method is no method in Python."""
    with pytest.raises(ConfigError, match="method: 'adl'"):
        TrainConfig(Path("birds"), Path("run"), method="adl")  # type: ignore[arg-type]
    assert issubclass(method_config("adl"), MethodConfig)


@pytest.mark.parametrize("config", [config for config, _ in COMMANDS])
def test_every_option_is_in_one_group_of_the_help(config: type[Options]) -> None:
    """And is explained there, with its default or as required, without a type of Python."""
    text = help_module.format_help("x", config, None, None)
    names = [name for group in help_module.GROUPS.values() for name in group.split()]
    for field in fields(config):
        assert names.count(field.name) == 1
        assert field.name == "method" or re.search(rf"\n  --{field.name} .*\S", text)
    assert not re.search(r"Optional|Literal|tuple|NoneType|<class", text)
