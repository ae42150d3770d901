"""The commands and the Python snippets of README.md and of the pages in ``docs`` work."""

import ast
import inspect
import logging
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from torchvision.models import resnet50

from wsol.cli.main import COMMANDS, main, module_of
from wsol.cli.options import read_options
from wsol.data.synthetic.toy import toy_images

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
QUICKSTART = ROOT / "docs/quickstart.md"
PAGES = sorted([README, *ROOT.glob("docs/*.md")])

WITHOUT_CONFIG = ("list",)
"""Commands that do not use the reader of options."""

PLACEHOLDERS = {"$SLURM_ARRAY_TASK_ID": "1", "SEED": "0", "/home/me/photos": "."}
"""Text that stands for a value in some pages, and a value."""

FAST = ("list", "predict", "convert", "report")
"""Commands that take seconds on three images."""

NEEDS_MORE = ("--run", "--shard", "--engine", "--labels_from", "s3://", "hf:")
"""Parts of command lines that need a run, other processes, other files or a network."""


@dataclass(frozen=True)
class Command:
    """One ``wsol`` command of a page.

    Attributes:
        line: number in the page.
        argv: arguments after ``wsol``.
        redirect: file that standard output is written to; empty where there is none.
    """

    line: int
    argv: tuple[str, ...]
    redirect: str = ""


class ParsedError(BaseException):
    """Raised instead of running a command; holds its options."""


@pytest.fixture(autouse=True)
def _restore_log() -> Iterator[None]:
    """Remove the handler that the command line adds to the log."""
    logger = logging.getLogger("wsol")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@cache
def _blocks(page: Path) -> list[tuple[int, str, str]]:
    """Return line, language and text of each code block of a page."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    return [
        ((token.map or [0])[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type in ("code_block", "fence")
    ]


def _inline_code(page: Path) -> Iterator[str]:
    """Yield the texts in backticks of a page."""
    for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or ():
            if child.type == "code_inline":
                yield " ".join(child.content.split())


def _commands(page: Path) -> Iterator[Command]:
    """Yield the ``wsol`` commands in the code blocks of a page."""
    for start, language, text in _blocks(page):
        if language not in ("", "bash", "console", "sh", "shell"):
            continue
        joined = re.sub(r"\\\n\s*", " ", text)
        for offset, line in enumerate(joined.splitlines()):
            command = _command(start + offset, line.removeprefix("$ "))
            if command is not None:
                yield command


def _command(number: int, line: str) -> Command | None:
    r"""Return the ``wsol`` command of a shell line, if it has one.

    >>> _command(1, "CUDA_VISIBLE_DEVICES=0 wsol list methods > names.txt  # comment")
    Command(line=1, argv=('list', 'methods'), redirect='names.txt')
    """
    start = re.match(r"(\w+=\S+ )*(accelerate launch .*-m )?wsol ", line)
    if start is None:
        return None
    # Some lines name two commands.
    text = line[start.end() :].split(", wsol ")[0]
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    argv = shlex.split(text, comments=True)
    redirect = ""
    for index, token in enumerate(argv):
        if token in (">", "|", "&", "&&", ";"):
            redirect = argv[index + 1] if token == ">" else ""
            argv = argv[:index]
            break
    return Command(number, tuple(argv), redirect)


def _parse(argv: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the exit status of a command that stops as soon as its options are read."""

    def stop(*args: Any, **kwargs: Any) -> None:
        raise ParsedError(read_options(*args, **kwargs))

    with monkeypatch.context() as patch:
        if argv[0] in COMMANDS and argv[0] not in WITHOUT_CONFIG:
            patch.setattr(import_module(module_of(argv[0])), "read_options", stop)
        try:
            return main(argv)
        except ParsedError:
            return 0
        except SystemExit as error:
            return int(error.code or 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_commands_are_valid(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read by the command's own reader of options, from the top of the page to its end."""
    invalid = []
    for command in _commands(page):
        status = _parse(command.argv, monkeypatch)
        out, err = capsys.readouterr()
        if command.redirect:
            Path(command.redirect).write_text(out, encoding="utf-8")
        if status:
            invalid.append(f"{page.name}:{command.line}: {shlex.join(command.argv)}: {err}")
    assert invalid == []


@pytest.mark.parametrize("page", [README, QUICKSTART], ids=lambda page: page.name)
def test_there_are_commands(page: Path) -> None:
    """The test above is not empty."""
    assert len(list(_commands(page))) >= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_of_inline_commands_exist(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command in running text may lack required options, but has no unknown one."""
    unknown = []
    for text in _inline_code(page):
        name, *rest = text.removeprefix("wsol ").split() if text.startswith("wsol ") else [""]
        if not name or name.isupper():
            continue
        if name in ("--help", "--version"):
            continue
        if name not in COMMANDS:
            unknown.append(text)
            continue
        for option in (word for word in rest if word.startswith("--") and word != "--help"):
            known = _known_options(name)
            if option.removeprefix("--").partition("=")[0].replace("-", "_") not in known:
                unknown.append(text)
    assert unknown == []


@cache
def _known_options(command: str) -> frozenset[str]:
    """Return the names in the help of a command."""
    targets = {"prepare": ["cub"], "import": ["tensorpack"]}.get(command, [])
    text = _help_of([command, *targets, "--help"])
    names = re.findall(r"^ *(?:-h, )?--([\w.]+)", text, re.MULTILINE)
    return frozenset((*names, "method", "config", "print_config"))


def _help_of(argv: Sequence[str]) -> str:
    with redirect_stdout(StringIO()) as text, suppress(SystemExit):
        main(argv)
    return text.getvalue()


def _is_fast(command: Command) -> bool:
    line = " ".join(command.argv)
    return command.argv[0] in FAST and not any(part in line for part in NEEDS_MORE)


def test_fast_commands_of_the_readme_run(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the top of the page to its end, on three images in ``photos``."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("photos").mkdir()
    for number, drawn in enumerate(toy_images(3, seed=0)):
        drawn.image.save(f"photos/{number}.jpg")
    ran = []
    for command in filter(_is_fast, _commands(README)):
        if command.argv[0] == "predict":
            # Each line of the page stands for itself; one folder has one prediction.
            shutil.rmtree("boxes", ignore_errors=True)
        status = main(command.argv)
        out, err = capsys.readouterr()
        assert status == 0, f"{shlex.join(command.argv)}: {err}"
        assert out
        ran.append(command.argv[0])
    assert "predict" in ran
    assert Path("boxes/report/index.html").is_file()
    assert Path("boxes/predictions.json").is_file()


def test_snippets_of_the_readme_run(folder: Path, tiny_run: Path) -> None:
    """With a small run in ``runs/birds``, two images and a network named ``model``."""
    shutil.copytree(tiny_run, "runs/birds")
    for name, drawn in zip(("cat.jpg", "dog.jpg"), toy_images(2, seed=0), strict=True):
        drawn.image.save(name)
    snippets = [text for _, language, text in _blocks(README) if language == "python"]
    assert snippets
    for snippet in snippets:
        exec(compile(snippet, str(README), "exec"), {"model": resnet50()})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_snippets_use_names_and_arguments_that_exist(page: Path) -> None:
    """Snippets compile; their imports and the keywords of calls of imported names exist."""
    wrong = []
    for start, language, text in _blocks(page):
        if language != "python":
            continue
        tree = ast.parse(text)
        imported: dict[str, Any] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "wsol":
                module = import_module(str(node.module))
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        wrong.append(f"{page.name}:{start + node.lineno}: no name {alias.name}")
                        continue
                    imported[alias.asname or alias.name] = getattr(module, alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called = imported.get(node.func.id)
                wrong += [
                    f"{page.name}:{start + node.lineno}: {node.func.id} has no argument {keyword}"
                    for keyword in _unknown_keywords(called, node)
                ]
    assert wrong == []


def _unknown_keywords(called: Any, node: ast.Call) -> list[str]:
    """Return the keywords of a call that the called object does not take."""
    if called is None:
        return []
    parameters = inspect.signature(called).parameters
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
        return []
    return [each.arg for each in node.keywords if each.arg and each.arg not in parameters]
