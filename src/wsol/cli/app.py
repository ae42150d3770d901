"""Command ``wsol app``."""

import os
import sys
import threading
from collections.abc import Sequence
from importlib import import_module

from wsol.app.config import AppConfig
from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.errors import not_installed

EXTRA = ("starlette", "uvicorn", "python_multipart")
"""Import names of the packages of the extra ``app``."""


def run(argv: Sequence[str]) -> int:
    """Run the app until Ctrl-C."""
    config = read_options("app", AppConfig, argv, instead="upload images on the page")
    try:
        for package in EXTRA:
            import_module(package)
    except ModuleNotFoundError as error:
        raise not_installed(str(error.name), "wsol[app]") from error
    from wsol.app.server import serve

    try:
        serve(config)
    except KeyboardInterrupt:
        _leave_threads()
    return OK


def _leave_threads() -> None:
    """Exit the process if a thread is still localizing, as threads cannot be stopped."""
    main = threading.main_thread()
    if any(not thread.daemon and thread is not main for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(OK)
