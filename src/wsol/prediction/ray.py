"""Prediction of chunks in processes of a Ray cluster."""

import logging
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
from wsol.runs.hub import first_line, run_files
from wsol.runs.run import load_info, pack
from wsol.types import Precision

MAX_ATTEMPTS = 4
"""Maximum attempts per chunk; a chunk that crashes more processes would crash all others."""

log = logging.getLogger("wsol")

_NAMED = re.compile(r"[\w.]*(Error|Exception)\b")


@dataclass(frozen=True)
class WorkerPayload:
    """Everything that a cluster process needs, so that machines only share the images.

    Attributes:
        config: options of the prediction.
        job: prediction job.
        images: all images; their folder has the same path on all machines, or is a URI.
        run: content of the run's files, or of the exported model, by file name; empty: no run.
        state: state of the localizer that was fitted to the images.
        threads: number of torch threads, which affects the last bits of sums.
    """

    config: PredictConfig
    job: PredictionJob
    images: ImageCollection
    run: dict[str, bytes]
    state: bytes | None
    threads: int

    def create(self) -> Localizer:
        """Return the localizer, ready to predict."""
        torch.set_num_threads(self.threads)
        with tempfile.TemporaryDirectory(prefix="wsol-run-") as folder:
            for name, content in self.run.items():
                Path(folder, name).write_bytes(content)
            # An exported model is a single file.
            run = Path(folder) if "model.json" in self.run else Path(folder, *self.run)
            config = replace(self.config, run=run if self.run else None)
            locate = create_predictor(config, self.images)
        if self.config.gpus and locate.compute.device.type == "cpu":
            raise ConfigError(
                f"gpus: {self.config.gpus:g} requested, but torch finds no GPU in a process of the "
                f"cluster (on {socket.gethostname()}); check its driver, or use --gpus 0"
            )
        if self.state is not None:
            locate.localizer.load_state(load(self.state))
            locate.is_fitted = True
        return locate


class ChunkPredictor:
    """Predicts chunks in a process of the cluster."""

    def __init__(self, payload: WorkerPayload) -> None:
        """Load nothing yet, as Ray returns the errors of methods only."""
        self.payload = payload
        self.locate: Localizer | None = None

    def predict(self, chunk: int | None) -> bytes:
        """Return the content of a chunk's file; None only loads the localizer."""
        if self.locate is None:
            self.locate = self.payload.create()
        if chunk is None:
            return b""
        images = self.payload.images
        numbers = [self.payload.job.images(chunk)]
        results = self.locate.locate_chunks(images.paths, images.names, numbers, images.labels)
        return pack_part([to_row(result) for result in results])


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
        images=images if images.are_remote else replace(images, root=images.root.absolute()),
        run={file.name: file.read_bytes() for file in run_files(config.run)} if config.run else {},
        state=pack(locate.localizer.state()) if has_state else None,
        # One thread is enough with a GPU; more would let the CPUs limit the number of GPUs in use.
        threads=1 if config.gpus else torch.get_num_threads(),
    )
    number = sum(len(job.images(chunk)) for chunk in chunks)
    with (
        _cluster() as ray,
        Meter("predict", number) as meter,
        closing(_results(ray, payload, chunks)) as results,
    ):
        for chunk, content in results:
            put_chunk(job.folder, chunk, content)
            written()
            errors += _say_errors(job, chunk)
            check_limit(errors, config.max_errors)
            meter.advance(len(job.images(chunk)))


def _results(
    ray: Any, payload: WorkerPayload, chunks: Sequence[int]
) -> Generator[tuple[int, bytes], None, None]:
    """Yield the numbers of chunks and the contents of their files, in the order of completion."""
    config, capacity = payload.config, _capacity(ray, payload.threads, payload.config.gpus)
    if not capacity and config.actors is None:
        raise ConfigError(
            f"no machine of the cluster has {payload.threads} processors and {config.gpus:g} GPUs; "
            "lower OMP_NUM_THREADS or --gpus, or set --actors to wait for machines"
        )
    # Ray restarts crashed processes, and repeats what they were doing. This reference keeps the
    # payload alive for them.
    kept = ray.put(payload)
    predictor = ray.remote(
        num_cpus=payload.threads,
        num_gpus=config.gpus,
        max_restarts=-1,
        max_task_retries=MAX_ATTEMPTS - 1,
    )(ChunkPredictor)
    # A process gets one chunk at a time, and the first one when it has started.
    actors = [predictor.remote(kept) for _ in range(min(config.actors or capacity, len(chunks)))]
    running: dict[Any, tuple[Any, int | None]]
    running = {actor.predict.remote(None): (actor, None) for actor in actors}
    waiting, left = iter(chunks), len(chunks)
    try:
        while left:
            (done, *_), _ = ray.wait(list(running))
            actor, chunk = running.pop(done)
            content = _content(ray, done, chunk)
            if (following := next(waiting, None)) is not None:
                running[actor.predict.remote(following)] = actor, following
            else:
                # Its place may be needed to restart another one.
                ray.kill(actor)
            if chunk is not None:
                left -= 1
                yield chunk, content
    finally:
        # Otherwise processes could outlive the cluster.
        for actor in actors:
            ray.kill(actor)


def _content(ray: Any, done: Any, chunk: int | None) -> bytes:
    """Return the content of a chunk's file, or raise the error of its process in one line."""
    try:
        content: bytes = ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, WsolError):
            raise error.cause from error
        if is_out_of_memory(error.cause):
            raise ConfigError(
                "a process of the cluster is out of memory; use a lower --batch_size or "
                "--image_size, or more --gpus"
            ) from error
        raise
    except ray.exceptions.RayActorError as error:
        if chunk is None:
            raise ConfigError(
                "the processes of the cluster crash on start; check the memory of its machines"
            ) from error
        raise ConfigError(
            f"chunk {chunk} has crashed {MAX_ATTEMPTS} processes of the cluster; use "
            "--num_workers 1 or more, so that an image only crashes the process that decodes it"
        ) from error
    return content


def cluster_precision(config: PredictConfig) -> Precision:
    """Return the precision ``auto`` that all cluster processes of a prediction share.

    Every machine that can run a process resolves it. The precision is float32 if they differ, or
    if it is float16 and this machine has no GPU. If no machine has joined yet, it is the run's
    precision, or float32.

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
    except ImportError as error:
        raise not_installed("ray", "wsol[ray]") from error
    own = not ray.is_initialized()
    # Ray reports crashed processes on standard output.
    with redirect_stdout(sys.stderr):
        try:
            if own:
                ray.init(logging_level=logging.ERROR, log_to_driver=False)
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
    named = filter(_NAMED.match, reversed(str(error).splitlines()))
    return next(named, first_line(error))
