"""Server of the app, with a temporary folder and a clean shutdown."""

import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from wsol.app.config import AppConfig
from wsol.app.label_studio import TOKEN, TaskImages, create_backend
from wsol.app.routes import RequestLimits, create_app
from wsol.app.service import InferenceService, LocalizerCache
from wsol.app.storage import ImageStore
from wsol.errors import ConfigError
from wsol.inference.device import announce

LAST_SECONDS = 2
"""Seconds that requests have to finish when the server stops."""


def serve(config: AppConfig) -> None:
    """Run the server of the app until it is stopped.

    Args:
        config: options of the app.

    Raises:
        ConfigError: the port is in use, or an option is not valid.
        RunError: the run is not finished.
    """
    with (
        listen(config.host, config.port) as listening,
        ending_cleanly(),
        tempfile.TemporaryDirectory(prefix="wsol-app-") as folder,
    ):
        server = make_server(create_limited(config, Path(folder)))
        url = url_of(listening)
        sys.stdout.write(f"{url}  (press Ctrl-C to stop)\n")
        sys.stdout.flush()
        if config.open:
            webbrowser.open(url)
        server.run(sockets=[listening])


def create_limited(config: AppConfig, folder: Path) -> ASGIApp:
    """Return the application with request limits, and an existing folder for uploads."""
    cache, most = LocalizerCache(config), config.max_file << 20
    announce(cache.first.compute, config.device)
    app: ASGIApp
    if config.label_studio:
        url, token = config.label_studio_url, os.environ.get(TOKEN)
        app = create_backend(cache, TaskImages(folder, config.files, url, token, most))
    else:
        store = ImageStore(folder, config.max_images, config.max_kept << 20)
        app = create_app(InferenceService(cache, store, most))
    return RequestLimits(app, (*config.names, config.host), config.max_request << 20)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ConfigError: the port is in use, or the address is not one of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {reason}; use another --port or --host"
        ) from error


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that temporary files are removed."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def url_of(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server that only logs warnings and errors."""
    logging.getLogger("uvicorn.error").addFilter(_is_no_end)
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=LAST_SECONDS,
        )
    )


def _is_no_end(record: logging.LogRecord) -> bool:
    """Return False for log messages about requests that were cancelled by the shutdown."""
    return not (record.exc_info and isinstance(record.exc_info[1], CancelledError))
