"""Prediction on a Ray cluster of this machine: the rows of the local engine, whatever ends."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from wsol import Localizer
from wsol.data.synthetic.toy import toy_images
from wsol.errors import ConfigError, DataError
from wsol.prediction import ray as predict_ray
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import collect
from wsol.prediction.job import PredictionJob
from wsol.prediction.predict import predict
from wsol.prediction.ray import WorkerPayload
from wsol.results.store import read_rows

from .. import forked
from ..data.s3_stand_in import serve_s3

pytest.importorskip("ray", reason="ray is not installed")

MARK = "WSOL_TEST"
"""An environment variable that all processes of a cluster inherit."""

OPTIONS = (
    "--device",
    "cpu",
    "--precision",
    "fp32",
    "--chunk_size",
    "4",
    "--batch_size",
    "3",
    "--report",
    "0",
)


class Started:
    """``wsol`` in processes of its own, with all that they start.

    Attributes:
        mark: in the environment of all of them.
        cluster: environment variables of the cluster that they share; empty: each starts one.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self.mark = uuid.uuid4().hex
        self.cluster: dict[str, str] = {}

    def start(self, *argv: object) -> subprocess.Popen[str]:
        """Start ``wsol``."""
        return self.python("-m", "wsol", *argv)

    def python(self, *argv: object) -> subprocess.Popen[str]:
        """Start Python."""
        keys = {MARK: self.mark, "OMP_NUM_THREADS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
        keys |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
        # A hook that Python reads when it starts is for a process that starts.
        start = forked.Popen if self.cluster else subprocess.Popen
        return start(
            [sys.executable, *map(str, argv)],
            env=os.environ | keys | self.cluster,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *argv: object) -> tuple[int, str, str]:
        """Run ``wsol``, and return its status and what it writes."""
        process = self.start(*argv)
        output, errors = process.communicate()
        return process.returncode, output, errors

    def processes(self) -> dict[int, str]:
        """Return the names of all that live, by their number."""
        found, mark = {}, f"{MARK}={self.mark}".encode()
        for process in Path("/proc").iterdir():
            # It may end at any moment.
            with suppress(OSError):
                if process.name.isdecimal() and mark in (process / "environ").read_bytes():
                    name = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if name:
                        found[int(process.name)] = name
        return found

    def actors(self) -> list[int]:
        """Return the numbers of the processes that predict."""
        return [number for number, name in self.processes().items() if "ChunkPredictor" in name]


def wait_until_none(processes: Callable[[], Iterable[int]]) -> None:
    """Wait a while until no processes are left; kill them otherwise, and fail."""
    until = time.monotonic() + 30
    while (left := list(processes())) and time.monotonic() < until:
        time.sleep(0.1)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left


@pytest.fixture
def alone() -> Iterator[Started]:
    """Return what starts ``wsol``, which starts a cluster; none of its processes may be left."""
    started = Started()
    yield started
    wait_until_none(started.processes)


CLUSTER = """
import ray, sys
print(ray.init(logging_level="ERROR").address_info["gcs_address"], flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Started]:
    """Return what starts ``wsol`` on a cluster that is there."""
    started = Started()
    started.cluster = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": started.mark}
    process = started.python("-c", CLUSTER)
    started.cluster["RAY_ADDRESS"] = process.stdout.readline().strip()
    assert started.cluster["RAY_ADDRESS"], process.communicate()
    yield started
    process.communicate()
    wait_until_none(started.processes)


@pytest.fixture
def wsol(cluster: Started) -> Iterator[Started]:
    """Return what starts ``wsol`` on a cluster, where it may leave no process that predicts."""
    yield cluster
    wait_until_none(cluster.actors)


@pytest.fixture
def local(photos: Path, tiny_run: Path) -> Iterator[Callable[..., None]]:
    """Return a function that predicts here, with the threads of the processes above."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    options = PredictConfig(
        images=[photos],
        out=photos,
        run=tiny_run,
        device="cpu",
        precision="fp32",
        chunk_size=4,
        batch_size=3,
        report=0,
        num_workers=0,
    )
    yield lambda out, **more: predict(replace(options, out=out, **more))
    torch.set_num_threads(threads)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of 22 images and two files that are none."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, image in enumerate(toy_images(22, seed=2)):
        image.image.save(folder / ("sub" if number % 2 else "") / f"{number:02d} 日本.png")
    (folder / "bad.jpg").write_text("no image")
    (folder / "empty.jpg").touch()
    return folder


def chunks_of(out: Path) -> dict[str, bytes]:
    """Return the record's files of rows."""
    return {path.name: path.read_bytes() for path in sorted((out / "localizations").glob("chunk*"))}


def wait_for(what: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Wait until something is so, while a process runs."""
    until = time.monotonic() + 300
    while not what():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_actor_that_is_killed_loses_nothing(
    wsol: Started, local: Callable[..., None], photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Parts that a local process began stay, the rest comes from the cluster, all bit for bit.

    Some of the images have labels, which go to the cluster as well.
    """
    expected, out, labels = tmp_path / "expected", tmp_path / "out", tmp_path / "labels.csv"
    rows = [f"{number:02d} 日本.png,{'disc' if number % 3 else 'cross'}" for number in range(15)]
    labels.write_text("\n".join(["image,label", *rows]), encoding="utf-8")
    local(expected, localizer="ddt", labels_from=labels)
    local(out, localizer="ddt", labels_from=labels, shard="1/3")
    begun = {path: path.stat().st_mtime_ns for path in out.glob("localizations/chunk*")}
    assert len(begun) == 2
    run = ("--run", tiny_run, "--num_workers", 1, "--localizer", "ddt", *OPTIONS)
    run = (*run, "--labels_from", labels)
    process = wsol.start("predict", photos, "--out", out, *run, "--engine", "ray", "--actors", 1)
    wait_for(wsol.actors, process)
    (first,) = wsol.actors()
    # The network is being loaded, or the first part is predicted.
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(chunks_of(out)) > 2 and wsol.actors(), process)
    assert first not in wsol.actors()
    for second in wsol.actors():
        os.kill(second, signal.SIGKILL)
    output, errors = process.communicate()
    assert process.returncode == 3, errors
    assert output.splitlines()[0] == f"wrote {out}: 2 error, 22 ok"
    assert chunks_of(out) == chunks_of(expected)
    for name in ("predictions.json", "annotations.json"):
        assert (out / name).read_bytes() == (expected / name).read_bytes()
    assert all(path.stat().st_mtime_ns == before for path, before in begun.items())


def test_images_come_from_s3_and_boxes_go_there(
    wsol: Started, local: Callable[..., None], photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Rows and boxes are those of the folder on disk, and keys are in no file that is written."""
    local(tmp_path / "a")
    run = ("--run", tiny_run, *OPTIONS)
    with serve_s3() as s3:
        s3.add(photos, "2026/photos")
        uri = s3.uri("2026/photos").replace("s3://", "s3://key:hidden@")
        out = uri.replace("2026/photos", "2026/boxes")
        more = ("--engine", "ray", "--actors", 2, "--num_workers", 1)
        status, output, errors = wsol.run("predict", uri, "--out", out, *run, *more)
        assert status == 3, errors
        written = {
            key.removeprefix("2026/boxes/"): content
            for key, content in s3.objects.items()
            if key.startswith("2026/boxes/") and not key.endswith("/")
        }
    assert output == "wrote s3://bucket/2026/boxes: 2 error, 22 ok\n"
    expected = {f"localizations/{name}": value for name, value in chunks_of(tmp_path / "a").items()}
    assert {name: value for name, value in written.items() if "/chunk-" in name} == expected
    for name in ("predictions.json", "annotations.json"):
        assert written[name] == (tmp_path / "a" / name).read_bytes()
    assert "localizations/info.json" in written
    assert not any(b"hidden" in content for content in written.values())
    assert "hidden" not in errors + output


KILLER = """
import importlib.util, os, sys

def kill(images):
    decode = images.decode_image

    def decode_image(image, *rest, **options):
        if "killer" in str(image):
            os.kill(os.getpid(), 9)
        return decode(image, *rest, **options)

    images.decode_image = decode_image

def try_twice(ray):
    ray.MAX_ATTEMPTS = 2

changes = {"wsol.data.images": kill, "wsol.prediction.ray": try_twice}

class Changed:
    def find_spec(self, name, path=None, target=None):
        if name not in changes:
            return None
        change = changes.pop(name)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Changed())
"""
"""Read by Python whenever it starts: a decoder that some images end, and fewer attempts."""


def test_a_image_that_ends_processes_does_not_end_all(
    alone: Started,
    photos: Path,
    tiny_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where it ends actors, that is not tried for ever; where it ends workers, it is one row."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(KILLER)
    before = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'hook'}{os.pathsep}{before}")
    (photos / "killer.png").write_bytes((photos / "00 日本.png").read_bytes())
    run = ("--run", tiny_run, *OPTIONS, "--engine", "ray", "--actors", 1)
    out = ("--out", tmp_path / "out")
    status, _, errors = alone.run("predict", photos, *out, *run, "--num_workers", 0)
    assert status == 2
    assert "has crashed 2 processes of the cluster" in errors.splitlines()[-1]
    status, output, errors = alone.run("predict", photos, *out, *run, "--num_workers", 1)
    assert status == 3, errors
    assert output.startswith(f"wrote {tmp_path / 'out'}: 3 error, 22 ok")
    rows = {row["image_id"]: row for row in read_rows(tmp_path / "out", range(7))}
    assert len(rows) == 25
    assert "ended" in rows["killer.png"]["error"]


def test_too_many_errors_stop_it(
    wsol: Started, photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """The status and the line are those of the local engine; what is done is kept."""
    run = ("--run", tiny_run, *OPTIONS, "--engine", "ray", "--actors", 1, "--max-errors", 0)
    status, _, errors = wsol.run("predict", photos, "--out", tmp_path / "out", *run)
    assert status == 4
    assert "--max_errors 0" in errors.splitlines()[-1]
    chunks = [int(name[6:-8]) for name in chunks_of(tmp_path / "out")]
    assert chunks
    assert all(row["image_id"] for row in read_rows(tmp_path / "out", chunks))


def test_without_ray_one_line_says_what_to_install(
    photos: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the extra."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install .wsol\[ray\]"):
        predict(PredictConfig([photos], tmp_path / "out", tiny_run, engine="ray", device="cpu"))


def test_what_does_not_go_with_remote_images_is_refused(
    photos: Path, tiny_run: Path, tmp_path: Path
) -> None:
    """Before anything is loaded."""
    uri, out = Path(photos.as_uri()), tmp_path / "out"
    with pytest.raises(ConfigError, match="use --engine ray, or --num_workers 0"):
        predict(PredictConfig([uri], out, tiny_run))
    with pytest.raises(ConfigError, match="leave out --save_overlays"):
        predict(PredictConfig([uri], out, tiny_run, save_overlays=True))
    with pytest.raises(DataError, match="photos: "):
        predict(PredictConfig([uri, photos], out, tiny_run))
    with pytest.raises(ConfigError, match="actors: 0"):
        PredictConfig([photos], out, actors=0)
    assert not out.exists()


class Machines:
    """As much of ray as is asked which machines there are; tasks run here.

    Attributes:
        options: machines that a task was sent to, and what it asked for.
    """

    def __init__(self, *resources: dict[str, float], bfloat16: Sequence[bool] = ()) -> None:
        """Take the machines."""
        self.resources, self.bfloat16 = resources, bfloat16
        self.options: list[tuple[int, dict[str, float]]] = []

    def nodes(self) -> list[dict[str, object]]:
        """Return the machines."""
        return [
            {"Alive": True, "Resources": each, "NodeID": f"{number + 1:056x}"}
            for number, each in enumerate(self.resources)
        ]

    def remote(self, **wanted: float) -> Callable[..., object]:
        """Return a task that asks for something."""

        def task(function: Callable[..., object]) -> object:
            def options(scheduling_strategy: object) -> object:
                number = int(vars(scheduling_strategy)["node_id"], 16) - 1

                def send(*given: object) -> object:
                    self.options.append((number, wanted))
                    has = self.bfloat16[number]
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr("wsol.inference.device.has_bfloat16", lambda _: has)
                        return function(*given)

                return SimpleNamespace(remote=send)

            return SimpleNamespace(options=options)

        return task

    def get(self, found: list[object]) -> list[object]:
        """Return what tasks have found."""
        return found


@pytest.mark.parametrize(
    ("bfloat16", "expected"),
    [((True, True), "bf16"), ((False, False), "fp32"), ((True, False), "fp32"), ((), "fp32")],
)
def test_those_that_compute_choose_the_precision(
    photos: Path, monkeypatch: pytest.MonkeyPatch, bfloat16: Sequence[bool], expected: str
) -> None:
    """All of them the same, whatever the machine has that starts them."""
    machines = Machines(*({"CPU": 4} for _ in bfloat16), bfloat16=bfloat16)
    monkeypatch.setattr(predict_ray, "_cluster", lambda: nullcontext(machines))
    for has in (True, False):
        monkeypatch.setattr("wsol.inference.device.has_bfloat16", lambda _, has=has: has)
        config = PredictConfig(images=[photos], out=photos, engine="ray")
        assert predict_ray.cluster_precision(config) == expected
    assert [number for number, _ in machines.options] == [*range(len(bfloat16))] * 2


def test_the_runs_precision_is_that_of_the_cluster(
    photos: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is on one machine, although all of these have bfloat16."""
    machines = Machines({"CPU": 4}, {"CPU": 4, "GPU": 1}, bfloat16=(True, True))
    monkeypatch.setattr(predict_ray, "_cluster", lambda: nullcontext(machines))
    config = PredictConfig(images=[photos], out=photos, run=tiny_run, engine="ray", gpus=0.5)
    assert predict_ray.cluster_precision(config) == "fp32"
    assert machines.options == [(1, {"num_cpus": 1, "num_gpus": 0.5})]


@pytest.mark.parametrize(("here", "expected"), [(True, "fp16"), (False, "fp32")])
def test_a_machine_without_gpu_may_start_a_prediction_of_a_run_in_float16(
    photos: Path, monkeypatch: pytest.MonkeyPatch, here: bool, expected: str
) -> None:
    """It reads the network as well, and would refuse what the others have chosen."""
    machines = Machines({"CPU": 4, "GPU": 1}, bfloat16=(True,))
    monkeypatch.setattr(predict_ray, "_cluster", lambda: nullcontext(machines))
    monkeypatch.setattr(predict_ray, "choose_precision", lambda *_: "fp16")
    monkeypatch.setattr(predict_ray, "has_float16", lambda _: here)
    config = PredictConfig(images=[photos], out=photos, engine="ray", gpus=1)
    assert predict_ray.cluster_precision(config) == expected


def test_a_gpu_that_no_machine_has_is_not_waited_for(
    photos: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what is missing."""
    machines = Machines({"CPU": 16, "GPU": 6})
    monkeypatch.setattr(predict_ray, "_cluster", lambda: nullcontext(machines))
    config = PredictConfig(
        images=[photos], out=photos, engine="ray", gpus=7, run=tiny_run, precision="fp32"
    )
    images = collect([photos])
    job = PredictionJob(photos, len(images), 4)
    locate = Localizer(tiny_run, device="cpu")
    with pytest.raises(ConfigError, match="no machine of the cluster has 1 processors and 7 GPUs"):
        predict_ray.predict_chunks_on_ray(config, job, images, locate, [0])


@pytest.mark.parametrize(("gpus", "processors", "room"), [(1.0, 1, 8), (0.5, 1, 16), (0.0, 8, 2)])
def test_each_gpu_gets_a_process(
    photos: Path,
    tiny_run: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: float,
    processors: int,
    room: int,
) -> None:
    """Processors are counted where the network computes on them, and one beside a GPU."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    machines = Machines({"CPU": 16, "GPU": 8})
    monkeypatch.setattr(predict_ray, "_cluster", lambda: nullcontext(machines))
    sent: list[WorkerPayload] = []

    def results(_: object, payload: WorkerPayload, chunks: object) -> Iterator[tuple[int, bytes]]:
        sent.append(payload)
        yield from ()

    monkeypatch.setattr(predict_ray, "_results", results)
    config = PredictConfig(
        images=[photos], out=photos, engine="ray", gpus=gpus, run=tiny_run, precision="fp32"
    )
    locate = Localizer(tiny_run, device="cpu")
    images = collect([photos])
    job = PredictionJob(photos, len(images), 4)
    predict_ray.predict_chunks_on_ray(config, job, images, locate, [0])
    assert sent[0].threads == processors
    assert predict_ray._capacity(machines, sent[0].threads, gpus) == room


def test_a_gpu_that_cannot_be_used_is_refused(
    photos: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the process that was given it: no part is silently predicted on its processors."""
    monkeypatch.setattr(
        "wsol.inference.device.torch.accelerator.current_accelerator", lambda **_: None
    )
    config = PredictConfig(images=[photos], out=photos, run=tiny_run, engine="ray", gpus=1)
    images = collect([photos])
    files = {file.name: file.read_bytes() for file in tiny_run.glob("model.*")}
    payload = WorkerPayload(config, PredictionJob(photos, len(images), 4), images, files, None, 1)
    with pytest.raises(ConfigError, match="gpus: 1"):
        payload.create()
