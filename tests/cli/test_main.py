"""The command line starts quickly, and turns what happens into a status and one line."""

import errno
import io
import logging
import re
import subprocess
import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace

import pytest

import wsol
from wsol.cli import main as cli
from wsol.cli.main import COMMANDS, LESS_MEMORY, main
from wsol.errors import RunError
from wsol.formats import list_formats
from wsol.localizers import list_localizers
from wsol.methods import list_methods
from wsol.models import list_backbones


def run_python(code: str) -> str:
    """Return what a fresh Python prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "import wsol; dir(wsol); wsol.__version__",
        "from wsol.cli.main import main; main(['--help'])",
        "from wsol.cli.main import main; main(['train', '--method', 'adll'])",
        "from wsol.cli.main import main; main(['list', 'methods']); main(['list', 'formats'])",
        "from wsol.cli.main import main; main(['list', 'recipes'])",
        "import wsol.maps, wsol.formats.coco, wsol.data, wsol.models, wsol.methods.adl",
    ],
)
def test_nothing_heavy_is_imported_to_talk(code: str) -> None:
    """Help, mistakes and lists need no torch; nor do the rooms below it."""
    heavy = run_python(
        f"{code}\nimport sys\nprint()\nprint([n for n in ('torch', 'timm') if n in sys.modules])"
    )
    assert heavy.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["train", "evaluate", "predict"])
def test_help_of_a_command_imports_no_torch(command: str) -> None:
    """A command's options are shown before anything heavy is loaded."""
    heavy = run_python(
        "import sys\nfrom wsol.cli.main import main\n"
        f"try:\n    main([{command!r}, '--help'])\nexcept SystemExit as end:\n"
        "    print()\n    print(end.code, 'torch' in sys.modules)"
    )
    assert heavy.splitlines()[-1] == "0 False"


def test_python_m_wsol_is_the_command() -> None:
    """``python -m wsol`` shows the version and leaves with the command's status."""
    argv = [sys.executable, "-m", "wsol"]
    done = subprocess.run([*argv, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"wsol {wsol.__version__}\n"
    wrong = subprocess.run([*argv, "trian"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "wsol: error: no command 'trian': did you mean 'train'?\n"


@pytest.mark.parametrize("argv", [[], ["-h"], ["--help"]])
def test_help_lists_every_command(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The help names each command with one line, and each of them exists."""
    assert main(argv) == 0
    text = capsys.readouterr().out
    for name, line in COMMANDS.items():
        assert f"  {name} " in text
        assert line in text
        assert callable(cli.import_module(cli.module_of(name)).run)


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["trian"], "no command 'trian': did you mean 'train'?"),
        (["--hlep"], "no command '--hlep': choose from: "),
        (["list", "method"], "wsol list: no 'method': did you mean 'methods'?"),
        (["train"], "wsol train: data is missing; see wsol train --help"),
        (["train", "b", "--out", "r", "--epoch", "1"], "no option --epoch: did you mean 'epochs'?"),
        (["predict", "--out", "r"], "wsol predict: images is missing; see wsol predict --help"),
        (["evaluate"], "wsol evaluate: run is missing; see wsol evaluate --help"),
        (["evaluate", "run", "--maps", "m"], "unexpected argument 'run': use a run or --maps"),
        (["evaluate", "--run", "r", "--maps=m"], "wsol evaluate: use a run or --maps, not both"),
        (["evaluate", "--maps", "m"], "annotations is missing; see wsol evaluate --help"),
        (["evaluate", "--maps"], "wsol evaluate: --maps needs a value"),
        (
            ["evaluate", "--maps", "m", "--annotations", "a", "--device", "cpu"],
            "no option --device",
        ),
        (["evaluate", "--maps", "m", "--annotations", "lost"], "lost: no such file or folder of"),
        (["prepare", "cup", "--out", "o"], "wsol prepare: no data set 'cup'; did you mean 'cub'?"),
        (["prepare", "cub"], "wsol prepare cub: out is missing; see wsol prepare cub --help"),
        (["prepare", "imagenet", "--out", "o"], "nothing to prepare; set --train"),
        (
            ["evaluate", "missing-folder", "--device", "cpu"],
            "missing-folder: no finished run here",
        ),
    ],
)
def test_a_mistake_is_one_line_and_status_2(
    argv: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard error has the one line, standard output nothing."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("wsol: error: ")
    assert line in err
    assert err.count("\n") == 1


def command_that(monkeypatch: pytest.MonkeyPatch, outcome: BaseException | int) -> None:
    """Put a command in the place of train that ends in this way."""

    def run(argv: Sequence[str]) -> int:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def find(name: str) -> ModuleType | SimpleNamespace:
        return SimpleNamespace(run=run)

    monkeypatch.setattr(cli, "import_module", find)


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_is_the_commands(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """What a command returns is the exit status."""
    command_that(monkeypatch, status)
    assert main(["train"]) == status


def test_an_interruption_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Control-C ends with one line and the shell's usual status."""
    command_that(monkeypatch, KeyboardInterrupt())
    assert main(["train"]) == 130
    assert capsys.readouterr().err == "wsol: interrupted\n"


def test_line_breaks_in_a_name_stay_in_the_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A message with a line break, as file names may hold, is still one line."""
    command_that(monkeypatch, RunError("a\nb: no run"))
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "wsol: error: a\\nb: no run\n"


def test_a_full_disk_is_one_line_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the command, where it does not say so itself."""
    command_that(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "/there/a.bin"))
    assert main(["train"]) == 2
    assert capsys.readouterr().err == "wsol: error: /there/a.bin: No space left on device\n"


OUT_OF_MEMORY = (
    "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes",
    "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: not enough memory: you tried to",
    "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "HIP out of memory. Tried to allocate 2.00 GiB",
    "MPS backend out of memory (MPS allocated: 17.79 GB, other allocations: 200 MB)",
    "Invalid buffer size: 30.52 GiB",
    "[ONNXRuntimeError] : 6 : Failed to allocate memory for requested buffer of size 4",
    "std::bad_alloc",
)
"""What torch and others say where memory runs out, each as an error without a class of its own."""


class OutOfMemoryError(RuntimeError):
    """Called as torch's own."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 71.1 PiB for an array"),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nSee documentation"),
        OSError(errno.ENOMEM, "Cannot allocate memory", "/there/a.bin"),
        *map(RuntimeError, OUT_OF_MEMORY),
    ],
)
def test_too_little_memory_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """It says what to give instead, if there is such an option."""
    command_that(monkeypatch, error)
    for command, line in (
        (
            "train",
            "use a lower --batch_size or --image_size, or a higher --gradient_accumulation_steps",
        ),
        ("predict", "use a lower --batch_size or --image_size"),
        ("convert", "end other programs, and try again"),
    ):
        assert main([command]) == 2
        assert capsys.readouterr().err == f"wsol: error: out of memory: {line}\n"


@pytest.mark.parametrize("command", LESS_MEMORY)
def test_what_takes_less_memory_is_an_option(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of that command."""
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    for option in re.findall("--[a-z_]+", LESS_MEMORY[command]):
        assert f"{option} " in shown


def test_a_fault_in_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is nobody's input stays a traceback."""
    command_that(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["train"])


def test_lists_show_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Each list is one name a line, with a summary of methods and localizers."""
    kinds = {
        "methods": list_methods(),
        "localizers": list_localizers(),
        "formats": list_formats(),
        "backbones": list_backbones(),
    }
    for kind, names in kinds.items():
        assert main(["list", kind]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == names
        assert kind in ("formats", "backbones") or all("  " in line for line in lines)
    assert main(["list"]) == 0
    usage = capsys.readouterr().out.removeprefix("usage: wsol list ").strip()
    assert set(usage.split("|")) == {*kinds, "recipes", "settings"}


def test_the_log_goes_where_standard_error_is_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program that changes standard error after the first command gets the log there."""
    command_that(monkeypatch, 0)
    main(["train"])
    later = io.StringIO()
    monkeypatch.setattr(sys, "stderr", later)
    main(["train"])
    logging.getLogger("wsol").warning("here")
    assert later.getvalue() == "here\n"
    assert capsys.readouterr().err == ""
