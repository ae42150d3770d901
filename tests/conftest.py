"""What all tests share."""

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("wsol", deadline=None)
settings.load_profile("wsol")

# Tests that are started in the background ignore these, and so would all that they start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


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
