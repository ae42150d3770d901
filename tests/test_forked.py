"""A fork is to its caller what a new process is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from . import forked

CODES = (
    "import sys; print(sys.argv, __name__); sys.stderr.write('é'); sys.exit(7)",
    "import os; print(os.getcwd(), os.environ['NAME'], os.environ.get('HOME'), flush=True)",
    "import sys; sys.exit('why')",
    "import sys; print(sys.stdin.read())",
    "import os; os.kill(os.getpid(), 9)",
    "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "import atexit, threading as t; atexit.register(print, 1); t.Thread(target=print).start()",
    "import multiprocessing as m; p = m.Process(target=print, args=(3,)); p.start(); p.join()",
)


@pytest.mark.parametrize("code", CODES)
def test_a_command_does_the_same(tmp_path: Path, code: str) -> None:
    """Output, exit status and signal; environment, folder and arguments."""
    given = {
        "args": [sys.executable, "-c", code, "one", "not utf-8 \udcff"],
        "cwd": tmp_path,
        "env": {"NAME": "日本", "PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
        "stdin": subprocess.DEVNULL,
    }
    done, expected = (each.run(**given, capture_output=True) for each in (forked, subprocess))
    assert done.returncode == expected.returncode
    assert (done.stdout, done.stderr) == (expected.stdout, expected.stderr)


def test_an_exception_is_status_1_and_a_module_is_found() -> None:
    """With its traceback."""
    done = forked.run([sys.executable, "-c", "1 / 0"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
    done = forked.run([sys.executable, "-m", "wsol", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout[:5]) == (0, "wsol ")


def test_signals_reach_it_and_waiting_may_take_too_long() -> None:
    """The number is its own, and so is the session."""
    code = "import os, time; print(os.getsid(0), flush=True); time.sleep(100)"
    with forked.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{process.pid}\n"
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
