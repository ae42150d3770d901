"""Python commands as forks of one process that has imported torch and wsol: seconds faster each.

``Popen`` and ``run`` are those of ``subprocess``, for commands that start with ``sys.executable``.
A fork has its own environment, folder, standard files, signals and exit status. Not for tests of
imports and start-up, nor of variables that a library reads when it is imported.
"""

import array
import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn

READY = (
    "torch",
    "torchvision",
    "timm",
    "numba",
    "pyarrow.parquet",
    "accelerate",
    "wsol.cli.train",
    "wsol.cli.predict",
    "wsol.cli.evaluate",
    "wsol.cli.convert",
    "wsol.training.trainer",
    "wsol.prediction.predict",
    "wsol.prediction.local",
    "wsol.evaluation.evaluate",
    "wsol.formats.convert",
    "wsol.reports.report",
    "wsol.localizers.prototypes",
)
"""Modules that are imported before the first fork."""

HUB = ("HF_ENDPOINT", "HF_HOME", "HF_HUB_OFFLINE", "HF_HUB_DISABLE_XET", "HF_TOKEN")
"""Variables of huggingface_hub."""

MAX_REQUEST = 180_000
"""Bytes of arguments and environment, which travel as one packet."""


class Popen(subprocess.Popen):
    """``subprocess.Popen`` whose process is a fork of the server."""

    _status: socket.socket

    def _execute_child(  # type: ignore[override]
        self,
        args: Sequence[object],
        executable: object,
        preexec_fn: object,
        close_fds: object,
        pass_fds: object,
        cwd: object,
        env: Mapping[str, str] | None,
        *rest: Any,
    ) -> None:
        """Let the server fork; subprocess has opened the pipes."""
        # startupinfo, creationflags, shell; then the ends of three pipes; then start_new_session.
        pipes, new_session = rest[3:9], bool(rest[14])
        assert not rest[2], "no shell"
        assert preexec_fn is None
        assert args[0] == sys.executable, "only commands of this Python can be forked"
        files = [
            end if end != -1 else number for number, end in enumerate(pipes[i] for i in (0, 3, 5))
        ]
        request = {
            "argv": [os.fsdecode(each) for each in args[1:]],
            "env": {os.fsdecode(k): os.fsdecode(v) for k, v in dict(env or os.environ).items()},
            "cwd": os.fsdecode(cwd or Path.cwd()),
            "new_session": new_session,
        }
        self._status, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            rights = array.array("i", [other.fileno(), *files])
            _server().sendmsg(
                [json.dumps(request).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
            )
        self._child_created = True
        self._close_pipe_fds(*pipes)
        told = self._status.recv(100)
        assert told, "the server has ended"
        self.pid = int(told)

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """Return process and status as ``os.waitpid`` does."""
        self._status.setblocking(not wait_flags & os.WNOHANG)
        try:
            told = self._status.recv(100)
        except BlockingIOError:
            return 0, 0
        self._status.close()
        # Without an answer somebody has killed the process that waits for it.
        return self.pid, int(told or signal.SIGKILL)

    def _internal_poll(self, _deadstate: int | None = None, **_: object) -> int | None:
        """Set and return the exit status, or None while the process runs."""
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):
            try:
                if self.returncode is None:
                    pid, status = self._try_wait(os.WNOHANG)
                    if pid == self.pid:
                        self._handle_exitstatus(status)
            finally:
                self._waitpid_lock.release()
        return self.returncode


def run(
    args: Sequence[object],
    *,
    capture_output: bool = False,
    timeout: float | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess:
    """Return what ``subprocess.run`` does."""
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(args, **options) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(args, process.returncode, output, errors)
    if check:
        done.check_returncode()
    return done


def run_distributed(
    args: Sequence[object], processes: int, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run a command in processes of one group, as torchrun does, and return all their output.

    As soon as one fails, the others are killed.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile("w+")) for _ in range(2)]
        ranks = [
            Popen(
                args,
                env=os.environ
                | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
                | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                | {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)},
                stdout=files[0],
                stderr=files[1],
            )
            for rank in range(processes)
        ]
        until = time.monotonic() + timeout
        while any(rank.poll() is None for rank in ranks):
            if any(rank.returncode for rank in ranks) or time.monotonic() > until:
                for rank in ranks:
                    rank.kill()
            time.sleep(0.01)
        status = next((rank.returncode for rank in ranks if rank.returncode), 0)
        for file in files:
            file.seek(0)
        return subprocess.CompletedProcess(args, status, *(file.read() for file in files))


@cache
def _server() -> socket.socket:
    """Start the server, which ends with this process, and return a socket for requests."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        server = subprocess.Popen(
            [sys.executable, __file__, str(its.fileno())],
            pass_fds=[its.fileno()],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )

    @atexit.register
    def end() -> None:
        ours.close()
        server.wait()

    return ours


def _serve(requests: socket.socket) -> dict[str, Any]:
    """Fork for each request; return it in the fork.

    A process in between waits for the fork, and reports its status.
    """
    import gc
    import threading
    from importlib import import_module

    for name in READY:
        import_module(name)
    gc.collect()
    gc.freeze()
    # Those of OpenBLAS and jemalloc are prepared for forks.
    assert threading.active_count() == 1, "a module has started a thread"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        text, files, _, _ = socket.recv_fds(requests, MAX_REQUEST, 4)
        if not text:
            os._exit(0)
        if os.fork() == 0:
            break
        for file in files:
            os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    requests.close()
    status = socket.socket(fileno=files[0])
    child = os.fork()
    if child:
        for file in files[1:]:
            os.close(file)
        for file in range(3):
            os.close(file)
        # Ctrl-C of a terminal goes to all; this process ends after the fork.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            status.send(str(child).encode())
            status.send(str(os.waitpid(child, 0)[1]).encode())
        finally:
            os._exit(0)
    status.close()
    for number, file in enumerate(files[1:]):
        os.dup2(file, number)
        os.close(file)
    return json.loads(text)


def _become(request: dict[str, Any]) -> None:
    """Make this process one that was started with arguments, environment and folder."""
    import random
    import tempfile

    import numpy as np
    import torch

    if request["new_session"]:
        os.setsid()
    os.chdir(request["cwd"])
    environment, threads = request["env"], os.environ.get("OMP_NUM_THREADS")
    if any(environment.get(key) != os.environ.get(key) for key in HUB):
        # Import it again, for it reads them then.
        for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
            del sys.modules[name]
    os.environ.clear()
    os.environ.update(environment)
    if environment.get("OMP_NUM_THREADS") != threads:
        torch.set_num_threads(int(environment.get("OMP_NUM_THREADS") or os.cpu_count() or 1))
    tempfile.tempdir = None
    random.seed()
    np.random.seed()  # noqa: NPY002
    ahead = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:0] = [path for path in ahead if path and path not in sys.path]
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        errors = "backslashreplace" if name == "stderr" else "strict"
        buffering = 1 if name == "stderr" else -1
        file = open(number, mode, buffering, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)


def _run(argv: list[str]) -> None:
    """Run the program of Python's arguments: ``-c CODE``, ``-m MODULE`` or a script."""
    import runpy
    from types import ModuleType

    kind, *rest = argv
    if kind == "-c":
        code, *arguments = rest
        sys.argv, sys.path[0] = ["-c", *arguments], ""
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(code, "<string>", "exec"), main.__dict__)
    elif kind == "-m":
        sys.argv, sys.path[0] = rest, str(Path.cwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, os.path.dirname(kind)  # noqa: PTH120
        runpy.run_path(kind, run_name="__main__")


def _end(argv: list[str]) -> NoReturn:
    """Run the program and leave as Python does, except that it does not free its memory.

    To free what torch has made takes longer than most commands.
    """
    import threading
    import traceback

    status = 0
    try:
        _run(argv)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if status and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
    except BaseException as error:
        traceback.print_exc()
        status = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        signal.raise_signal(-status)
    os._exit(status & 255)


if __name__ == "__main__":
    _request = _serve(socket.socket(fileno=int(sys.argv[1])))
    # From here on this is the fork.
    _become(_request)
    _end(_request["argv"])
