"""Arguments and files become options, and every mistake is one line with the nearest right name."""

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsol.cli.options import gives, predict_step, read_options
from wsol.data.config import PackConfig
from wsol.distillation.config import DistillConfig
from wsol.errors import ConfigError
from wsol.evaluation.config import CompareConfig, EvaluateConfig, EvaluateMapsConfig
from wsol.methods.adl import Config as ADLConfig
from wsol.methods.has import Config as HaSConfig
from wsol.methods.none import Config as NoMethod
from wsol.prediction.config import PredictConfig
from wsol.training.config import TrainConfig

BIRDS = ("birds", "--out", "run")
PLAIN = TrainConfig(data=Path("birds"), out=Path("run"))


def read_train(*argv: str) -> TrainConfig:
    """Return the options of a training."""
    return read_options("train", TrainConfig, argv, positional="data")


def read_predict(*argv: str) -> PredictConfig:
    """Return the options of a prediction."""
    return read_options("predict", PredictConfig, argv, positional="images")


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    """Return a file of options."""
    file = tmp_path / "c.yaml"
    file.write_text(
        "data: birds\nout: run\nepochs: 3\nlr: 1e-3\n"
        "method: {name: adl, layers: [layer3, layer4], threshold: 0.5}\n"
    )
    return file


def test_defaults_are_those_of_the_dataclass() -> None:
    """With what is required alone, the options are the dataclass's own, nested ones included."""
    assert read_train(*BIRDS) == PLAIN
    assert read_train("--out", "run", "--data", "birds") == PLAIN
    assert read_options("evaluate", EvaluateConfig, ["r"], positional="run") == EvaluateConfig(
        run=Path("r")
    )


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--epochs", "3"], "epochs", 3),
        (["--epochs=3"], "epochs", 3),
        (["--lr", "1e-3"], "lr", 0.001),
        (["--weight_decay", "0"], "weight_decay", 0.0),
        (["--output_stride", "null"], "output_stride", None),
        (["--boxes", "b.csv"], "boxes", Path("b.csv")),
        (["--labels", "l.csv"], "labels", Path("l.csv")),
        (["--schedule", "step"], "schedule", "step"),
        (["--resume"], "resume", True),
        (["--resume", "true"], "resume", True),
        (["--resume", "false"], "resume", False),
        (["--pretrained=false"], "pretrained", False),
        (["--seed", "-0"], "seed", 0),
    ],
)
def test_a_flag_sets_its_option_alone(argv: list[str], name: str, value: object) -> None:
    """The option has the value, in its type, and all others their default."""
    found = read_train(*BIRDS, *argv)
    assert getattr(found, name) == value
    assert type(getattr(found, name)) is type(value)
    others = {key: value for key, value in vars(found).items() if key != name}
    assert others == {key: value for key, value in vars(PLAIN).items() if key != name}


@pytest.mark.parametrize(
    "argv",
    [
        ("--resume", "birds", "--out", "run"),
        ("birds", "--resume", "--out", "run"),
        ("birds", "--out", "run", "--resume"),
    ],
)
def test_a_switch_takes_no_argument_for_its_value(argv: tuple[str, ...]) -> None:
    """A bare switch may stand anywhere, before the folder too."""
    found = read_train(*argv)
    assert (found.data, found.out, found.resume) == (Path("birds"), Path("run"), True)


@pytest.mark.parametrize("layers", ["a,b", "[a,b]", '["a", "b"]'])
def test_method_and_its_options(layers: str) -> None:
    """A method has its own options, and a list is given with commas or brackets."""
    argv = ("--method", "adl", "--method.layers", layers, "--method.drop_rate", "0.5")
    expected = ADLConfig(layers=("a", "b"), drop_rate=0.5)
    assert read_train(*BIRDS, *argv).method == expected
    assert read_train(*argv[2:], *argv[:2], *BIRDS).method == expected
    assert read_train(*BIRDS, "--method", "none").method == NoMethod()


@pytest.mark.parametrize(("text", "sizes"), [("65", (65,)), ("0,16", (0, 16)), ("[7]", (7,))])
def test_a_list_of_numbers_may_have_one(text: str, sizes: tuple[int, ...]) -> None:
    """One number or several, with commas or brackets, are a list where one is wanted."""
    found = read_train(*BIRDS, "--method", "has", "--method.grid_sizes", text)
    assert found.method == HaSConfig(grid_sizes=sizes)


def test_all_arguments_without_a_dash_are_images() -> None:
    """Names may hold commas, brackets and spaces, or look like numbers."""
    names = ["b,c.jpg", "[a].jpg", "1e3", "a b", "null", "日本.png"]
    assert read_predict(*names, "--out", "o").images == [Path(name) for name in names]
    assert read_predict("--out", "o", "--", "-a.jpg", "--b").images == [Path("-a.jpg"), Path("--b")]
    assert read_predict("a", "--format", "coco,yolo", "--out", "o").format == ("coco", "yolo")


@pytest.mark.parametrize("name", ["2024", "1e3", "null", "true", "{x}", "[x]", "a: b", "~", " "])
def test_folders_may_have_any_name(name: str) -> None:
    """A folder whose name means something in YAML is still a folder."""
    found = read_train(name, "--out", name)
    assert (found.data, found.out) == (Path(name), Path(name))


MISTAKES = [
    ((*BIRDS, "--epoch", "3"), "no option --epoch: did you mean 'epochs'?"),
    ((*BIRDS, "--backbone-l", "1"), "no option --backbone-l: did you mean 'backbone'?"),
    ((*BIRDS, "--epochs", "three"), "epochs: 'three'"),
    ((*BIRDS, "--epochs", "3.5"), "epochs: '3.5'"),
    ((*BIRDS, "--epochs", "0"), "epochs: 0 "),
    ((*BIRDS, "--lr", "nan"), "lr: nan"),
    ((*BIRDS, "--lr", "-1"), "lr: -1.0 "),
    ((*BIRDS, "--resize", "100"), "resize: 100 "),
    ((*BIRDS, "--resume=maybe"), "resume: 'maybe'"),
    ((*BIRDS, "--schedule", "steep"), "did you mean 'step'?"),
    ((*BIRDS, "--output_stride", "x"), "output_stride: 'x'"),
    ((*BIRDS, "--epochs"), "--epochs needs a value"),
    ((*BIRDS, "--config"), "--config needs a value"),
    (("birds",), "out is missing; see wsol train --help"),
    (("--out", "run"), "data is missing; see wsol train --help"),
    ((), "data is missing; see wsol train --help"),
    (("a", "b", "--out", "run"), "unexpected argument 'b': give one DATA"),
    ((*BIRDS, "--method", "adll"), "no method 'adll': did you mean 'adl'?"),
    (
        (*BIRDS, "--method", "adl", "--method.drop_rat", "1"),
        "no option --method.drop_rat: did you mean 'method.drop_rate'?",
    ),
    ((*BIRDS, "--method.drop_rate", "1"), "no option --method.drop_rate"),
    ((*BIRDS, "--method", "adl", "--method.drop_rate", "x"), "method.drop_rate: 'x'"),
    ((*BIRDS, "--method", "adl", "--method.drop_rate", "2"), "method.drop_rate: 2.0"),
]


@pytest.mark.parametrize(("argv", "reason"), MISTAKES)
def test_a_wrong_argument_is_one_line(argv: tuple[str, ...], reason: str) -> None:
    """The error names the option and, where there is one, the nearest right name."""
    with pytest.raises(ConfigError) as caught:
        read_train(*argv)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch: 3", "c.yaml: no key 'epoch': did you mean 'epochs'?"),
        ("epochs: three", "epochs: 'three'"),
        ("epochs: [1, 2]", "epochs: [1, 2]"),
        ("method: adl", "c.yaml: method must have a name"),
        ("method: {layers: [a]}", "c.yaml: method must have a name"),
        ("method: {name: adll}", "no method 'adll': did you mean 'adl'?"),
        (
            "method: {name: adl, layer: [a]}",
            "c.yaml: no key 'method.layer': did you mean 'method.layers",
        ),
        ("method: {name: adl, 1: 2}", "c.yaml: no key 'method.1'"),
        ("method: {name: adl, drop_rate: x}", "method.drop_rate: 'x'"),
        ("- a", "c.yaml: must hold keys and values"),
        ("", "c.yaml: must hold keys and values"),
        ("a: [", "c.yaml: cannot be read"),
        ("data: [", "c.yaml: cannot be read"),
        ("data: !!python/object/apply:os.getcwd []", "c.yaml: cannot be read"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, text: str, reason: str) -> None:
    """The error names the file and the key, and, where there is one, the nearest right name."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_train(*BIRDS, "--config", str(file))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file of options that does not exist is refused by its name."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: .*No such file"):
        read_train(*BIRDS, "--config", str(tmp_path / "none.yaml"))


def test_a_flag_after_the_file_wins(yaml_file: Path) -> None:
    """Flags replace what the file says, one by one, inside the method too."""
    file = ("--config", str(yaml_file))
    assert read_train(*file) == TrainConfig(
        data=Path("birds"),
        out=Path("run"),
        epochs=3,
        lr=1e-3,
        method=ADLConfig(layers=("layer3", "layer4"), threshold=0.5),
    )
    found = read_train(*file, "--epochs", "4", "--method.threshold", "0.7", "--out", "other")
    assert (found.epochs, found.lr, found.out) == (4, 1e-3, Path("other"))
    assert found.method == ADLConfig(layers=("layer3", "layer4"), threshold=0.7)
    assert read_train(*file, "--method", "adl").method == read_train(*file).method


def test_the_last_of_two_files_wins(tmp_path: Path, yaml_file: Path) -> None:
    """A second file replaces what it names and leaves the rest."""
    second = tmp_path / "second.yaml"
    second.write_text("epochs: 5\nmethod: {name: adl, threshold: 0.6}\n")
    found = read_train("--config", str(yaml_file), "--config", str(second))
    assert (found.epochs, found.lr) == (5, 1e-3)
    assert isinstance(found.method, ADLConfig)
    assert found.method.threshold == 0.6


@pytest.mark.parametrize(
    "argv",
    [
        (*BIRDS, "--method", "adl", "--method.layers", "a,b", "--lr", "1e-5", "--resume"),
        ("2024", "--out", "null", "--output_stride", "null", "--boxes", "x: y.csv"),
    ],
)
def test_printed_options_read_back_are_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]
) -> None:
    """What --print_config shows is a file that gives the same options."""
    with pytest.raises(SystemExit) as caught:
        read_train(*argv, "--print_config")
    assert caught.value.code == 0
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    assert read_train("--config", str(file)) == read_train(*argv)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command has all its options and those of the chosen method, explained."""
    with pytest.raises(SystemExit) as caught:
        read_train("--method", "adl", "--help")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: wsol train DATA [--OPTION VALUE ...]\n\n")
    for name in vars(PLAIN).keys() - {"method"}:
        assert f"--{name} " in text
    assert "--method.drop_rate X " in text
    assert "probability of the drop mask" in " ".join(text.split())


@given(st.lists(st.text(min_size=1, max_size=8), max_size=6))
def test_no_arguments_make_a_traceback(argv: list[str]) -> None:
    """Whatever is given, there are options or one error for people, unless help is asked for."""
    try:
        found = read_train(*argv)
    except ConfigError:
        return
    except SystemExit:
        assert {"-h", "--help", "--print_config"} & set(argv)
        return
    assert isinstance(found, TrainConfig)


@pytest.mark.parametrize("text", ["1: 2", "null: 3"])
def test_a_key_that_is_no_text_is_one_line(tmp_path: Path, text: str) -> None:
    """A number as key is refused with the file's name."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        read_train(*BIRDS, "--config", str(file))


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (("birds", "--out", "--"), "out"),
        (("birds", "--out", "--device", "cpu"), "out"),
        (("birds", "--lr", "--out", "run"), "lr"),
        ((*BIRDS, "--method"), "method"),
    ],
)
def test_a_missing_value_is_said_so(argv: tuple[str, ...], name: str) -> None:
    """An option before another one has no value, which the error says."""
    with pytest.raises(ConfigError, match=f"--{name} needs a value"):
        read_train(*argv)


@pytest.mark.parametrize("value", ["False", "no"])
def test_a_switch_with_another_word_is_understood_or_named(value: str) -> None:
    """--pretrained False is taken as false, or the error names the option."""
    try:
        found = repr(read_train(*BIRDS, "--pretrained", value).pretrained)
    except ConfigError as error:
        found = str(error)
    assert found == "False" or "pretrained" in found


def test_a_flag_before_the_file_wins_too(yaml_file: Path) -> None:
    """Flags win over files wherever they stand, as the method's name does."""
    file = ("--config", str(yaml_file))
    assert read_train("--epochs", "4", *file).epochs == 4


def test_another_method_than_the_files_can_be_chosen(yaml_file: Path) -> None:
    """--method none with a file for ADL leaves the file's method out."""
    assert read_train("--config", str(yaml_file), "--method", "none").method == NoMethod()


def test_a_folder_called_1e3_survives_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that one YAML reader takes for a number is still a name in printed options."""
    with pytest.raises(SystemExit):
        read_train("1e3", "--out", "run", "--print_config")
    file = tmp_path / "printed.yaml"
    file.write_text(capsys.readouterr().out)
    assert read_train("--config", str(file)).data == Path("1e3")


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("-x",), "wsol train: no option -x: "),
        (("--pretrained", "No"), "pretrained: 'No'"),
    ],
)
def test_an_argument_is_named_as_it_was_given(argv: tuple[str, ...], line: str) -> None:
    """The error has the dashes that were typed, and the option that a word was meant for."""
    with pytest.raises(ConfigError) as caught:
        read_train(*BIRDS, *argv)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize("value", ["FALSE", "False", "false"])
def test_switches_take_words_in_any_case(value: str) -> None:
    """True and false may be written as in Python, with a space or an equals sign."""
    assert not read_train(*BIRDS, "--pretrained", value).pretrained
    assert not read_train(*BIRDS, f"--pretrained={value}").pretrained


def test_a_negative_number_is_a_value() -> None:
    """One dash does not make the next option."""
    with pytest.raises(ConfigError, match=r"lr: -1\.5"):
        read_train(*BIRDS, "--lr", "-1.5")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("method:", "method must have a name"),
        ("data: &a [*a]", "cannot be read: Circular"),
        ("2024-01-01: 3", "cannot be read: keys must be"),
    ],
)
def test_strange_files_are_named(tmp_path: Path, text: str, reason: str) -> None:
    """What YAML can say and options cannot is refused with the file's name."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"c\.yaml: {reason}"):
        read_train(*BIRDS, "--config", str(file))


def test_a_date_is_a_name(tmp_path: Path) -> None:
    """A folder that YAML takes for a date is a folder."""
    file = tmp_path / "c.yaml"
    file.write_text("out: 2024-01-31")
    assert read_train("birds", "--config", str(file)).out == Path("2024-01-31")


def test_the_named_methods_options_in_the_file_stay(yaml_file: Path) -> None:
    """The file's options count where the method of its name is asked for."""
    found = read_train("--method", "adl", "--config", str(yaml_file)).method
    assert found == ADLConfig(layers=("layer3", "layer4"), threshold=0.5)


@pytest.mark.parametrize(
    ("dashes", "underscores"),
    [
        (("--backbone-lr", "0.5"), ("--backbone_lr", "0.5")),
        (("--backbone-lr=0.5",), ("--backbone_lr=0.5",)),
        (("--shifted-head", "false"), ("--shifted_head", "false")),
        (("--method", "adl", "--method.drop-rate", "1"), ("--method=adl", "--method.drop_rate=1")),
    ],
)
def test_dashes_are_underscores(dashes: tuple[str, ...], underscores: tuple[str, ...]) -> None:
    """Both ways to write an option are the same option, also below the method."""
    assert read_train(*BIRDS, *dashes) == read_train(*BIRDS, *underscores) != PLAIN


def test_a_switch_with_dashes_takes_no_argument_for_its_value() -> None:
    """The folder after it is the folder."""
    found = read_train("--shifted-head", "birds", "--out", "run")
    assert (found.data, found.shifted_head) == (Path("birds"), True)
    with pytest.raises(SystemExit):
        read_train("--print-config", *BIRDS)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--maps", "m"), True),
        (("a", "--maps=m"), True),
        (("maps", "--map", "--mapsx", "-maps"), False),
        (("--config", "c.yaml"), True),
        (("--config=c.yaml",), True),
        (("--config", "other.yaml", "--out", "maps"), False),
        (("--out", "--config"), False),
        ((), False),
    ],
)
def test_what_arguments_and_files_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], expected: bool
) -> None:
    """An option is given by its name alone, on the line or as a key of a file."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text("maps: m\n")
    Path("other.yaml").write_text("run: maps\n")
    assert gives(argv, "maps") == expected


def test_the_usage_names_what_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    """Where no argument goes without dashes, options stand in its place."""
    with pytest.raises(SystemExit):
        read_options("evaluate", EvaluateMapsConfig, ["--help"])
    usage = "usage: wsol evaluate --maps MAPS --annotations ANNOTATIONS [--OPTION VALUE ...]"
    assert capsys.readouterr().out.startswith(usage)


def test_names_of_bytes_that_are_no_text_are_taken(tmp_path: Path) -> None:
    """As Python has them, alone and in lists, of files and of the options' own file."""
    odd = os.fsdecode(b"caf\xe9\xff.jpg")
    names = [odd, "line\nbreak \x1b.jpg", "日本\u202e.jpg", "a,b.jpg"]
    config = tmp_path / os.fsdecode(b"\xff.yaml")
    config.write_text("image_size: 64\n")
    argv = [*names, "--out", odd, "--run", f"{odd}/run", "--config", str(config)]
    options = read_options("predict", PredictConfig, argv, positional="images")
    assert options.images == [Path(name) for name in names]
    assert (options.out, options.run, options.image_size) == (Path(odd), Path(odd, "run"), 64)
    assert read_options("train", TrainConfig, [odd, "--out", "o"], "data").data == Path(odd)


@pytest.mark.parametrize(
    ("config", "required"),
    [
        (TrainConfig, ["--data", "d", "--out", "o"]),
        (EvaluateConfig, ["--run", "r"]),
        (CompareConfig, ["--data", "d", "--out", "o"]),
        (DistillConfig, ["--run", "r", "--out", "o"]),
        (PackConfig, ["--data", "d", "--out", "o"]),
    ],
)
def test_every_command_that_opens_a_data_set_lets_splits_be_named(
    config: type, required: list[str], yaml_file: Path
) -> None:
    """On the command line and in YAML alike."""
    named = ("train=Set A", "test=b")
    options = read_options("test", config, [*required, "--split_folders", "train=Set A,test=b"])
    assert options.split_folders == named
    yaml_file.write_text("split_folders: ['train=Set A', test=b]\n")
    options = read_options("test", config, [*required, "--config", str(yaml_file)])
    assert options.split_folders == named


@pytest.mark.parametrize("run", ["runs/a", "my run", "hf:owner/name", "a.onnx", None])
def test_the_next_command_can_be_copied(run: str | None) -> None:
    """It has all that is required, and names are quoted as a shell reads them."""
    _, command, *rest = shlex.split(predict_step(run))
    config = read_options(command, PredictConfig, rest, positional="images")
    assert config.run == (None if run is None else Path(run))
