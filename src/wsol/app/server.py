"""The server: a port, a folder that goes when it stops, and a clean end."""

import logging
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
from wsol.app.label_studio import TaskImages, create_backend, token
from wsol.app.routes import RequestLimits, create_app
from wsol.app.service import InferenceService, LocalizerCache
from wsol.app.storage import ImageStore
from wsol.errors import ConfigError
from wsol.inference.device import announce

LAST_SECONDS = 2
"""That requests have to finish when the server stops."""


def serve(config: AppConfig) -> None:
    """Serve the app until it is stopped.

    Args:
        config: the options.

    Raises:
        ConfigError: the port is taken, or an option does not fit.
        RunError: not a finished run.
    """
    with (
        listen(config.host, config.port) as listening,
        ending_cleanly(),
        tempfile.TemporaryDirectory(prefix="wsol-app-") as folder,
    ):
        server = make_server(create_limited(config, Path(folder)))
        url = url_of(listening)
        sys.stdout.write(f"{url}  (Ctrl-C stops it)\n")
        sys.stdout.flush()
        if config.open:
            webbrowser.open(url)
        server.run(sockets=[listening])


def create_limited(config: AppConfig, folder: Path) -> ASGIApp:
    """Return what answers requests, behind its limits.

    Args:
        config: the options.
        folder: for what is uploaded; it exists.
    """
    cache, most = LocalizerCache(config), config.max_file << 20
    announce(cache.first.compute, config.device)
    app: ASGIApp
    if config.label_studio:
        url = config.label_studio_url
        app = create_backend(cache, TaskImages(folder, config.files, url, token(), most))
    else:
        store = ImageStore(folder, config.max_images, config.max_kept << 20)
        app = create_app(InferenceService(cache, store, most))
    return RequestLimits(app, (*config.names, config.host), config.max_request << 20)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        ConfigError: it is taken, or not this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"cannot listen at {host}, port {port}: {reason}: choose another --port or --host"
        ) from error


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let a request to terminate clear up as Ctrl-C does."""

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
    """Return the address of a listening socket as a browser wants it."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server that says nothing of what goes well.

    Args:
        app: that answers requests.
    """
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


def _is_no_end(store: logging.LogRecord) -> bool:
    """Return whether a message is about anything but a request that the server's end cut off."""
    return not (store.exc_info and isinstance(store.exc_info[1], CancelledError))
