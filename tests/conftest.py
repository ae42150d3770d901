"""What all tests share."""

import inspect
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright

from wsol.annotation.annotate import annotate
from wsol.app.server import make_server
from wsol.benchmark.benchmark import benchmark
from wsol.data.synthetic.toy import write_toy
from wsol.distillation.distill import distill
from wsol.training.config import TrainConfig
from wsol.training.trainer import train

from . import forked
from .hub_stand_in import TOKEN, Hub, forget, go_to, serve_hub
from .reliability.support import Tally

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("wsol", deadline=None)
settings.load_profile("wsol")

# Tests that are started in the background ignore these, and so would all that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


SLOW = (
    *(train, distill, annotate, benchmark),
    *(forked.Popen, forked.run, forked.run_distributed, forked, subprocess),
    *(make_server, sync_playwright, Tally),
)
"""What takes long: a test that uses one of these, itself or by a fixture or helper, is slow."""

SLOW_FOLDERS = {"examples", "parity"}

FIRST = (
    "prediction/test_ray.py",
    "training/test_processes.py",
    "data/test_loader.py",
    "parity/test_networks_wsolevaluation.py",
    "training/test_trainer.py",
    "localizers/test_architectures.py",
    "examples/test_notebooks.py",
)
"""Files that take longest; other files follow by their number of slow tests."""


def _is_slow(used: object, seen: set[int]) -> bool:
    """Return whether something is slow, or a function or class of the tests that uses it."""
    if any(used is slow for slow in SLOW):
        return True
    if id(used) in seen or not str(getattr(used, "__module__", "")).startswith("tests."):
        return False
    seen.add(id(used))
    if inspect.isclass(used):
        return any(_is_slow(each, seen) for each in vars(used).values())
    function = inspect.unwrap(used) if callable(used) else None
    if not inspect.isfunction(function):
        return False
    codes = [function.__code__]
    codes += [code for code in function.__code__.co_consts if inspect.iscode(code)]
    known, names = function.__globals__, {name for code in codes for name in code.co_names}
    return any(_is_slow(known[name], seen) for name in names & known.keys())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark slow tests, and put the files with many of them first: few workers then end late."""
    slow: Counter[Path] = Counter()
    for item in items:
        if not isinstance(item, pytest.Function):
            continue
        fixtures = item._fixtureinfo.name2fixturedefs.values()
        used = [item.function, *(each.func for kinds in fixtures for each in kinds)]
        seen: set[int] = set()
        if SLOW_FOLDERS & {*item.path.parts} or any(_is_slow(each, seen) for each in used):
            item.add_marker(pytest.mark.slow)
            slow[item.path] += 1

    def place(item: pytest.Item) -> tuple[int, int]:
        name = item.path.as_posix()
        first = next((n for n, end in enumerate(FIRST) if name.endswith(end)), len(FIRST))
        return first, -slow[item.path]

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make what a test has logged text that can be sent: names of files may be any bytes."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode())
        for title, text in report.sections
    ]
    return report


@pytest.fixture(scope="session")
def cub_root() -> Path:
    """Return the part of CUB-200-2011 that lies beside the project; skip where there is none."""
    beside = Path(__file__).parents[2] / "shared/data/cub10"
    root = Path(os.environ.get("WSOL_CUB_ROOT", beside))
    if not root.is_dir():
        pytest.skip(f"no part of CUB-200-2011 at {root}; set WSOL_CUB_ROOT")
    return root


@pytest.fixture(scope="session")
def parity() -> Path:
    """Return the recorded numbers of the published code; skip where there are none."""
    root = Path(os.environ.get("WSOL_PARITY", Path(__file__).parents[2] / "shared/parity"))
    if not root.is_dir():
        pytest.skip(f"no parity vectors at {root}; set WSOL_PARITY")
    return root


CHROMIUM = Path("/usr/bin/chromium")


# Not of the session: Playwright's event loop would be that of all tests that follow.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium; without one skip, or fail if ``WSOL_REQUIRE_BROWSER`` is 1."""
    if not CHROMIUM.exists():
        answer = pytest.fail if os.environ.get("WSOL_REQUIRE_BROWSER") == "1" else pytest.skip
        answer(f"no browser at {CHROMIUM}: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*arguments, "--disable-sync"]
        )
        yield chromium
        chromium.close()


HOSTILE = (
    "=cmd|x.jpg",
    "../../x.jpg",
    "/etc/x.jpg",
    "a//b/./c.jpg",
    "images/a.jpg",
    "a.txt/images.csv/labels.xml/b.png.png",
    "line\nbreak \u202egpj.jpg",
    "not utf-8 \udcff.jpg",
    "C:\\x.jpg",
    "]]>&amp;<!--'\".jpg",
    " spaces .jpg ",
    "%41%2F.jpg",
    "without suffix",
    "a" * 240 + ".jpg",
    "日" * 80 + ".jpg",
    "same.jpg",
    "same.png",
    "same.png.png",
    "other/same.jpg",
)

TINY_OPTIONS = (
    *("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "1", "--batch_size", "8"),
    *(
        "--image_size",
        "64",
        "--resize",
        "72",
        "--num_workers",
        "0",
        "--precision",
        "fp32",
        "--device",
        "cpu",
    ),
)


@pytest.fixture(scope="session")
def tiny_options() -> tuple[str, ...]:
    """Return the options of a training that takes about a second, for the command line."""
    return TINY_OPTIONS


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 24 training, 8 val and 12 test images."""
    folder = tmp_path_factory.mktemp("toy")
    write_toy(folder, train=24, val=8, test=12)
    return folder


@pytest.fixture(scope="session")
def tiny(toy: Path) -> TrainConfig:
    """Return options of a training that takes about a second; give it an ``out``."""
    return TrainConfig(
        data=toy,
        out=Path("set-by-the-test"),
        backbone="test_resnet",
        pretrained=False,
        epochs=2,
        batch_size=8,
        image_size=64,
        resize=72,
        num_workers=0,
        precision="fp32",
        device="cpu",
    )


@pytest.fixture(scope="session")
def tiny_run(tiny: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished small run."""
    return train(replace(tiny, out=tmp_path_factory.mktemp("runs") / "tiny"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return a stand-in that this process takes for the Hub, with a cache of its own."""
    with serve_hub() as found:
        go_to(found.url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        forget()
        yield found
    forget()


@pytest.fixture(scope="session")
def hostile() -> tuple[str, ...]:
    """Return names that break what is careless."""
    return HOSTILE
