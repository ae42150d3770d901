"""The command: it starts, says where it is, and leaves nothing behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wsol.app.config import AppConfig
from wsol.app.server import ending_cleanly, listen
from wsol.cli.main import main
from wsol.errors import ConfigError

from .. import forked


@contextmanager
def started(
    *options: str, folder: Path, code: str = "import wsol.__main__"
) -> Iterator[tuple[subprocess.Popen, str]]:
    """Start the command, and yield it with the address that it prints."""
    with forked.Popen(
        [sys.executable, "-c", code, "app", "--device", "cpu", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(folder)},
    ) as process:
        try:
            yield process, process.stdout.readline().split()[0]
        finally:
            process.kill()


def test_it_ends_cleanly(small_run: Path, photos: list[Path], tmp_path: Path) -> None:
    """Ctrl-C ends it with status 0, without a line, and with it go the uploaded images."""
    with started("--run", str(small_run), folder=tmp_path) as (process, url):
        files = [("files", ("a.png", photos[0].read_bytes()))]
        answer = httpx.post(f"{url}api/images", files=files, timeout=60)
        assert answer.json()["images"][0]["error"] is None
        (folder,) = tmp_path.glob("wsol-app-*")
        assert folder.stat().st_mode & 0o077 == 0, "nobody else may look at the images"
        assert len(list(folder.iterdir())) == 2
        # A sender that is in the middle of something does not keep it from ending.
        address = url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(
                b"POST /api/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
                b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
            )
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        assert not list(tmp_path.iterdir())
        assert process.stdout.read() == ""
        assert "Traceback" not in process.stderr.read()


def test_it_does_not_wait_for_a_image(small_run: Path, photos: list[Path], tmp_path: Path) -> None:
    """A localizer that takes minutes cannot be stopped, and is left."""
    code = (
        "import sys, time, wsol.app.service as pool\n"
        "pool.LocalizerCache.classify = lambda *_: time.sleep(300)\n"
        "from wsol.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with started("--run", str(small_run), folder=tmp_path, code=code) as (process, url):
        files = [("files", ("a.png", photos[0].read_bytes()))]
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{url}api/images", files=files, timeout=1)
        assert httpx.get(f"{url}api/info", timeout=5).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not list(tmp_path.iterdir())


def test_a_request_to_terminate_is_like_ctrl_c() -> None:
    """So that the images go as well; afterwards the signal means what it meant before."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), ending_cleanly():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_port_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Said before the network is loaded."""
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port), "--run", "nothing"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"port {port}" in error
    assert "--port" in error


def test_it_listens_to_this_machine_alone() -> None:
    """Unless it is told otherwise."""
    assert AppConfig().host == "127.0.0.1"
    with listen(AppConfig().host, 0) as listening:
        assert listening.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 70000}, "port: 70000"),
        ({"max_file": 0}, "max_file: 0"),
        ({"label_studio_url": "file:///etc"}, "label_studio_url: .*http://"),
        ({"files": (Path("no such folder"),)}, "files: .*no such folder"),
        ({"run": Path(__file__)}, "run: .*run folder"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match=message):
        AppConfig(**options)


def test_a_folder_that_is_no_run_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the port is free again."""
    assert main(["app", "--port", "0", "--run", str(tmp_path)]) == 2
    assert "no finished run here" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "python_multipart"])
def test_without_the_extra_it_is_named(package: str) -> None:
    """One line, whichever package is missing."""
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from wsol.cli.main import main; sys.exit(main(['app']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert 'pip install "wsol[app]"' in done.stderr


def test_the_help_loads_neither_torch_nor_the_server() -> None:
    """``wsol --help`` and ``wsol app --help`` are there at once."""
    code = (
        "import sys; from wsol.cli.main import main; main(['--help'])\n"
        "assert not {'torch', 'starlette', 'uvicorn'} & set(sys.modules)\n"
        "try: main(['app', '--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'starlette', 'uvicorn'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "  app " in done.stdout
