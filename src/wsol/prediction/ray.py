"""Prediction of chunks in processes of a Ray cluster."""

import logging
import os
import re
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load

from wsol._utils.names import unescape_name
from wsol._utils.progress import Meter
from wsol.errors import ConfigError, WsolError, is_out_of_memory, not_installed
from wsol.inference.device import choose_device, choose_precision, has_float16
from wsol.inference.exported import is_exported
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import ImageCollection
from wsol.prediction.job import PredictionJob
from wsol.prediction.local import check_limit, create_predictor
from wsol.results.store import pack_part, put_chunk, read_rows, to_row
from wsol.runs.hub import local_run
from wsol.runs.run import load_info, pack
from wsol.types import Precision

MAX_ATTEMPTS = 4
"""Maximum attempts per chunk; a chunk that crashes more processes would crash all others."""

_OUT_OF_MEMORY = (
    "a process of the cluster is out of memory; use a lower --batch_size or --image_size, or "
    "more --gpus"
)

RESULT = pa.schema([("chunk", pa.int64()), ("content", pa.large_binary()), ("error", pa.string())])
"""Result of a chunk: its number, and the content of its file or an error message. Errors are
returned as text, as Ray does not preserve the class of an exception."""


@dataclass(frozen=True)
class WorkerPayload:
    """Everything that a cluster process needs, so that machines only share the images.

    Attributes:
        config: options of the prediction.
        job: prediction job.
        images: all images; their folder has the same path on all machines, or is a URI.
        run: content of the run's files, or of the exported model, by file name; None: no run.
        state: state of the localizer that was fitted to the images.
        threads: number of torch threads, which affects the last bits of sums.
    """

    config: PredictConfig
    job: PredictionJob
    images: ImageCollection
    run: dict[str, bytes] | None
    state: bytes | None
    threads: int

    def create(self) -> Localizer:
        """Return the localizer, ready to predict."""
        torch.set_num_threads(self.threads)
        folder = Path(tempfile.mkdtemp(prefix="wsol-run-"))
        try:
            locate = create_predictor(replace(self.config, run=self._unpacked(folder)), self.images)
        finally:
            shutil.rmtree(folder)
        if self.config.gpus and locate.compute.device.type == "cpu":
            raise ConfigError(
                f"gpus: {self.config.gpus:g} requested, but torch finds no GPU in a process of the "
                f"cluster (on {socket.gethostname()}); check its driver, or use --gpus 0"
            )
        if self.state is not None:
            locate.localizer.load_state(load(self.state))
            locate.is_fitted = True
        return locate

    def _unpacked(self, folder: Path) -> Path | None:
        if self.run is None:
            return None
        for name, content in self.run.items():
            (folder / name).write_bytes(content)
        return folder if "model.json" in self.run else folder / next(iter(self.run))


class AttemptCounter:
    """Counts attempts, in a separate process that survives crashes of the others."""

    def __init__(self) -> None:
        """Start at zero."""
        self.counts: Counter[int | str] = Counter()

    def begin(self, what: int | str) -> int:
        """Count an attempt, and return the number of attempts so far.

        Args:
            what: number of a chunk, or another key.
        """
        self.counts[what] += 1
        return self.counts[what]


class ChunkPredictor:
    """Predicts chunks in a process of the cluster.

    Args:
        payload: list with the object reference of the payload.
        attempts: actor of the attempt counter, as Ray restarts crashed processes without limit.
        most: maximum number of process starts.
    """

    def __init__(self, payload: Sequence[Any], attempts: Any, most: int) -> None:
        """Load the network once per process."""
        import ray

        self.begin: Callable[[int | str], int] = lambda what: ray.get(attempts.begin.remote(what))
        self.payload: WorkerPayload = ray.get(payload[0])
        self.locate: Localizer | WsolError
        if self.begin("process") > most:
            self.locate = ConfigError(
                "the processes of the cluster crash on start; check the memory of its machines"
            )
            return
        try:
            self.locate = self.payload.create()
        except WsolError as error:
            self.locate = error
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.locate = ConfigError(_OUT_OF_MEMORY)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Predict chunks, and return the content of their files.

        Args:
            table: table with the numbers of the chunks in the column ``part``.
        """
        return pa.Table.from_pylist(
            [self._result(row["chunk"]) for row in table.to_pylist()], RESULT
        )

    def _result(self, chunk: int) -> dict[str, Any]:
        try:
            return {"chunk": chunk, "content": self.content(chunk)}
        except WsolError as error:
            return {"chunk": chunk, "error": str(error)}
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return {"chunk": chunk, "error": _OUT_OF_MEMORY}

    def content(self, chunk: int) -> bytes:
        """Return the content of a chunk's file.

        Args:
            chunk: number of the chunk.

        Raises:
            WsolError: the chunk has crashed too many processes, or the localizer failed to load.
        """
        if isinstance(self.locate, WsolError):
            raise self.locate
        if self.begin(chunk) > MAX_ATTEMPTS:
            raise ConfigError(
                f"chunk {chunk} has crashed {MAX_ATTEMPTS} processes of the cluster; use "
                "--num_workers 1 or more, so that an image only crashes the process that decodes it"
            )
        images = self.payload.images
        numbers = [self.payload.job.images(chunk)]
        results = self.locate.locate_chunks(images.paths, images.names, numbers, images.labels)
        return pack_part([to_row(result) for result in results])


log = logging.getLogger("wsol")

RUN_FILES = ("model.json", "model.safetensors", "localizer.safetensors")

STARTS = 20
"""Maximum number of process restarts; Ray itself restarts processes without limit."""

_NAMED = re.compile(r"[\w.]*(Error|Exception)\b")


def predict_chunks_on_ray(
    config: PredictConfig,
    job: PredictionJob,
    images: ImageCollection,
    locate: Localizer,
    chunks: Sequence[int],
    errors: int = 0,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Predict chunks in a cluster, and write each chunk to the local folder when it is complete.

    If a process crashes, its chunk is predicted again.

    Args:
        config: options of the prediction.
        job: prediction job.
        images: all images.
        locate: localizer, fitted if it needs it.
        chunks: numbers of the chunks to predict.
        errors: number of unreadable images in earlier chunks.
        written: function that is called after each written chunk.

    Raises:
        ConfigError: ray is not installed, or the cluster has too few resources or has failed.
        ErrorLimitError: more than ``max_errors`` images are unreadable.
    """
    if not chunks:
        return
    has_state = locate.localizer.needs_fit and locate.is_fitted
    payload = WorkerPayload(
        config=config,
        job=job,
        images=replace(images, root=_everywhere(images)),
        run=_packed(config.run),
        state=pack(locate.localizer.state()) if has_state else None,
        # One thread is enough with a GPU; more would let the CPUs limit the number of GPUs in use.
        threads=1 if config.gpus else torch.get_num_threads(),
    )
    number = sum(len(job.images(chunk)) for chunk in chunks)
    with _cluster() as ray, Meter("predict", number) as meter:
        for row in _results(ray, payload, chunks):
            if row["error"] is not None:
                raise ConfigError(row["error"])
            put_chunk(job.folder, row["chunk"], row["content"])
            written()
            errors += _say_errors(job, row["chunk"])
            check_limit(errors, config.max_errors)
            meter.advance(len(job.images(row["chunk"])))


def _results(ray: Any, payload: WorkerPayload, chunks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield the results of chunks as they complete, in any order."""
    config, capacity = payload.config, _capacity(ray, payload.threads, payload.config.gpus)
    if not capacity and config.actors is None:
        raise ConfigError(
            f"no machine of the cluster has {payload.threads} processors and {config.gpus:g} GPUs; "
            "lower OMP_NUM_THREADS or --gpus, or set --actors to wait for machines"
        )
    most = min(config.actors or capacity, len(chunks))
    # This reference keeps the payload alive for restarted processes.
    kept = ray.put(payload)
    attempts = ray.remote(num_cpus=0)(AttemptCounter).remote()
    items = ray.data.from_items(
        [{"chunk": chunk} for chunk in chunks], override_num_blocks=len(chunks)
    )
    found = items.map_batches(
        ChunkPredictor,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_args=([kept], attempts, most + STARTS),
        compute=ray.data.ActorPoolStrategy(min_size=max(1, min(most, capacity)), max_size=most),
        num_cpus=payload.threads,
        num_gpus=config.gpus,
    )
    yield from found.iter_rows()


def cluster_precision(config: PredictConfig) -> Precision:
    """Return the precision that all cluster processes of a prediction share.

    Every machine that can run a process resolves ``auto``. The precision is float32 if they differ,
    or if it is float16 and this machine has no GPU. If no machine has joined yet, it is the run's
    precision, or float32.

    Args:
        config: options of the prediction, with precision ``auto``.

    Raises:
        ConfigError: ray is not installed, or the cluster has failed.
    """
    if config.run is not None and is_exported(config.run):
        return "fp32"
    of_run = None if config.run is None else load_info(config.run).precision
    with _cluster() as ray:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        ask = ray.remote(num_cpus=1, num_gpus=config.gpus)(choose_precision)
        answers = [
            ask.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(
                "auto", config.device if config.gpus else "cpu", of_run
            )
            for node in ray.nodes()
            if _capacity_of(node, 1, config.gpus)
        ]
        found: set[Precision] = set(ray.get(answers)) or {of_run or "fp32"}
    precision = found.pop() if len(found) == 1 else "fp32"
    # The main process loads the network too, on its CPU.
    here = choose_device(config.device if config.gpus else "cpu")
    is_refused = precision == "fp16" and not has_float16(here)
    return "fp32" if is_refused else precision


def _capacity(ray: Any, processors: int, gpus: float) -> int:
    """Return how many processes the machines of the cluster can run."""
    return sum(_capacity_of(node, processors, gpus) for node in ray.nodes())


def _capacity_of(node: Mapping[str, Any], processors: int, gpus: float) -> int:
    """Return how many processes one machine can run."""
    has = node["Resources"] if node["Alive"] else {}
    here = has.get("CPU", 0) // processors
    return int(min(here, has.get("GPU", 0) // gpus) if gpus else here)


def _say_errors(job: PredictionJob, chunk: int) -> int:
    """Log the unreadable images of a chunk, and return their number."""
    bad = [
        row
        for row in read_rows(job.folder, [chunk], ["image_id", "status", "error"])
        if row["status"] == "error"
    ]
    for row in bad:
        log.warning("%s: %s", unescape_name(row["image_id"]), unescape_name(row["error"]))
    return len(bad)


def _everywhere(images: ImageCollection) -> Path:
    """Return the folder as an absolute path or URI."""
    return images.root if images.are_remote else images.root.absolute()


def _packed(run: Path | None) -> dict[str, bytes] | None:
    if run is None:
        return None
    run = local_run(run)
    files = [run] if run.is_file() else [run / name for name in RUN_FILES]
    return {file.name: file.read_bytes() for file in files if file.is_file()}


@contextmanager
def _cluster() -> Iterator[Any]:
    """Connect to the cluster of RAY_ADDRESS, or start one on this machine; disconnect at the end.

    Raises:
        ConfigError: ray is not installed, or the cluster does not exist or has failed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Failures are raised as exceptions; other output of the backend is suppressed.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise not_installed("ray", "wsol[ray]") from error
    own = not ray.is_initialized()
    # Ray reports crashed processes on standard output.
    with redirect_stdout(sys.stderr):
        try:
            if own:
                ray.init(logging_level=logging.ERROR, log_to_driver=False)
            context = ray.data.DataContext.get_current()
            context.enable_progress_bars = context.print_on_execution_start = False
            logging.getLogger("ray.data").setLevel(logging.ERROR)
            yield ray
        except (ray.exceptions.RayError, ConnectionError, TimeoutError) as error:
            raise ConfigError(
                f"the Ray cluster has failed ({_reason(error)}); run the same command to resume "
                "after the finished chunks"
            ) from error
        finally:
            if own:
                ray.shutdown()


def _reason(error: BaseException) -> str:
    """Return the line with the exception in the traceback of a process."""
    lines = str(error).splitlines() or [type(error).__name__]
    return next((line for line in reversed(lines) if _NAMED.match(line)), lines[0])
