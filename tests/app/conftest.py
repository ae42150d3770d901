"""A small run, images, and the app on a free port."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image

from wsol.app.config import AppConfig
from wsol.app.server import create_limited, listen, make_server, url_of
from wsol.models import create_network
from wsol.runs.run import RunInfo, save_run

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (HOSTILE, "disc", "square", "cross\n%41", "star", "ring")

Serve = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that has learnt nothing, and one of whose classes has a hostile name."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    network = create_network("test_resnet", num_classes=len(CLASSES), pretrained=False)
    info = RunInfo(
        backbone="test_resnet",
        output_stride=16,
        classes=CLASSES,
        image_size=64,
        localizer="gradcam",
        threshold=0.4,
        threshold_from="val",
        data="",
        boxes=None,
        val_fraction=0.1,
        seed=0,
    )
    save_run(folder, network, info)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return three images of different sizes."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for number, size in enumerate([(90, 60), (60, 90), (2000, 1000)]):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), dtype=np.uint8)
        paths.append(folder / f"photo {number}.png")
        Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(paths[-1])
    return paths


@pytest.fixture(scope="session")
def serve(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Return a way to serve with options; the client knows the folder of uploads as ``folder``."""

    @contextmanager
    def start(**options: object) -> Iterator[httpx.Client]:
        config = replace(AppConfig(run=small_run, device="cpu", precision="fp32"), **options)
        folder = tmp_path_factory.mktemp("uploads")
        with listen("127.0.0.1", 0) as listening:
            server = make_server(create_limited(config, folder))
            thread = threading.Thread(target=server.run, args=([listening],))
            thread.start()
            try:
                with httpx.Client(base_url=url_of(listening), timeout=60) as client:
                    client.headers["x-folder"] = str(folder)
                    yield client
            finally:
                server.should_exit = True
                thread.join()

    return start


@pytest.fixture(scope="session")
def app(serve: Serve) -> Iterator[httpx.Client]:
    """Return a client of the app with small limits, shared by all tests."""
    with serve(max_file=1, max_request=3, max_images=40) as client:
        yield client


@pytest.fixture
def uploads() -> Callable[[httpx.Client], list[str]]:
    """Return a way to list what lies in a server's folder."""

    def names(client: httpx.Client) -> list[str]:
        return sorted(path.name for path in Path(client.headers["x-folder"]).iterdir())

    return names


@pytest.fixture
def empty(app: httpx.Client, uploads: Callable[[httpx.Client], list[str]]) -> httpx.Client:
    """Return a client of the shared app, in which no images are."""
    app.delete("/api/images")
    assert not uploads(app)
    return app
