"""Prediction of parts by the processes of a Ray cluster."""

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
"""Of a part: one that ends so many processes would end all others."""

_OUT_OF_MEMORY = (
    "a process of the cluster is out of memory: use a lower --batch_size or --image_size, or "
    "more --gpus"
)

RESULT = pa.schema([("part", pa.int64()), ("content", pa.large_binary()), ("error", pa.string())])
"""What comes back: a part's number, and its file's content or why there is none. What a process
raises reaches this one without its name."""


@dataclass(frozen=True)
class WorkerPayload:
    """All that a process of the cluster needs, so that machines share no more than images.

    Attributes:
        config: the options.
        job: of the prediction.
        images: all of them; their folder is the same on all machines, or a URI.
        run: content of the run's files by name, or of the one exported file; None: no run.
        state: what the localizer has learnt of the images.
        threads: of torch, on which the last bits of a sum depend.
    """

    config: PredictConfig
    job: PredictionJob
    images: ImageCollection
    run: dict[str, bytes] | None
    state: bytes | None
    threads: int

    def create(self) -> Localizer:
        """Return the localizer, ready to be asked."""
        torch.set_num_threads(self.threads)
        folder = Path(tempfile.mkdtemp(prefix="wsol-run-"))
        try:
            locate = create_predictor(replace(self.config, run=self._unpacked(folder)), self.images)
        finally:
            shutil.rmtree(folder)
        if self.config.gpus and locate.compute.device.type == "cpu":
            raise ConfigError(
                f"gpus is {self.config.gpus:g}, but torch finds no GPU in a process of the cluster "
                f"(on {socket.gethostname()}): check its driver, or use --gpus 0"
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
    """Counts how often something was begun, in a process that outlives those that begin it."""

    def __init__(self) -> None:
        """Start at zero."""
        self.counts: Counter[int | str] = Counter()

    def begin(self, what: int | str) -> int:
        """Return how often this was begun, with this time.

        Args:
            what: a part's number, or anything else.
        """
        self.counts[what] += 1
        return self.counts[what]


class ChunkPredictor:
    """Predicts parts, one after another, in a process of the cluster.

    Args:
        payload: in a list, a reference to it.
        attempts: counts, as a process that is ended is started again without end.
        most: of these processes may be started.
    """

    def __init__(self, payload: Sequence[Any], attempts: Any, most: int) -> None:
        """Load the network, once."""
        import ray

        self.begin: Callable[[int | str], int] = lambda what: ray.get(attempts.begin.remote(what))
        self.payload: WorkerPayload = ray.get(payload[0])
        self.locate: Localizer | WsolError
        if self.begin("process") > most:
            self.locate = ConfigError("the processes of the cluster end when they are started")
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
        """Return the file's content of each part.

        Args:
            table: its column ``chunk`` has the numbers.
        """
        return pa.Table.from_pylist(
            [self._result(row["part"]) for row in table.to_pylist()], RESULT
        )

    def _result(self, chunk: int) -> dict[str, Any]:
        try:
            return {"part": chunk, "content": self.content(chunk)}
        except WsolError as error:
            return {"part": chunk, "error": str(error)}
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return {"part": chunk, "error": _OUT_OF_MEMORY}

    def content(self, chunk: int) -> bytes:
        """Return the content of a part's file.

        Args:
            chunk: its number.

        Raises:
            WsolError: it has ended the processes that have tried, or there is no localizer.
        """
        if isinstance(self.locate, WsolError):
            raise self.locate
        if self.begin(chunk) > MAX_ATTEMPTS:
            raise ConfigError(
                f"part {chunk} has ended {MAX_ATTEMPTS} processes of the cluster: with "
                f"--num_workers 1 and "
                "more, an image ends no more than the process that decodes it"
            )
        images = self.payload.images
        numbers = [self.payload.job.images(chunk)]
        results = self.locate.locate_chunks(images.paths, images.names, numbers, images.labels)
        return pack_part([to_row(result) for result in results])


log = logging.getLogger("wsol")

RUN_FILES = ("model.json", "model.safetensors", "localizer.safetensors")

STARTS = 20
"""Of processes beside the first of each: where loading ends them, it would go on for ever."""

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
    """Predict some parts in a cluster, and write each here when it is whole.

    A process that ends in the middle loses nothing: its part is predicted again.

    Args:
        config: the options.
        job: of the prediction.
        images: all of them.
        locate: has seen what it wants to see of them.
        chunks: numbers of those to predict.
        errors: number of images that could not be read before.
        written: called when a part is there.

    Raises:
        ConfigError: ray is not installed, or the cluster has no room or has failed.
        ErrorLimitError: more images than were allowed are in error.
    """
    if not chunks:
        return
    knows = locate.localizer.needs_fit and locate.is_fitted
    payload = WorkerPayload(
        config=config,
        job=job,
        images=replace(images, root=_everywhere(images)),
        run=_packed(config.run),
        state=pack(locate.localizer.state()) if knows else None,
        # A GPU needs no more; processors would then limit how many GPUs work.
        threads=1 if config.gpus else torch.get_num_threads(),
    )
    number = sum(len(job.images(chunk)) for chunk in chunks)
    with _cluster() as ray, Meter("predict", number) as meter:
        for row in _results(ray, payload, chunks):
            if row["error"] is not None:
                raise ConfigError(row["error"])
            put_chunk(job.folder, row["part"], row["content"])
            written()
            errors += _say_errors(job, row["part"])
            check_limit(errors, config.max_errors)
            meter.advance(len(job.images(row["part"])))


def _results(ray: Any, payload: WorkerPayload, chunks: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield parts as they come, in any order."""
    config, room = payload.config, _room(ray, payload.threads, payload.config.gpus)
    if not room and config.actors is None:
        raise ConfigError(
            f"no machine of the cluster has {payload.threads} processors and {config.gpus:g} GPUs: "
            "set OMP_NUM_THREADS or --gpus lower, or give --actors to wait for machines"
        )
    most = min(config.actors or room, len(chunks))
    # Kept here, as a process that is started again asks for it again.
    kept = ray.put(payload)
    attempts = ray.remote(num_cpus=0)(AttemptCounter).remote()
    items = ray.data.from_items(
        [{"part": chunk} for chunk in chunks], override_num_blocks=len(chunks)
    )
    found = items.map_batches(
        ChunkPredictor,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_args=([kept], attempts, most + STARTS),
        compute=ray.data.ActorPoolStrategy(min_size=max(1, min(most, room)), max_size=most),
        num_cpus=payload.threads,
        num_gpus=config.gpus,
    )
    yield from found.iter_rows()


def cluster_precision(config: PredictConfig) -> Precision:
    """Return the precision that all processes of a prediction in a cluster compute in.

    Each machine that has room for a process says what ``auto`` means there; float32, which all
    support, if they differ, or if it is float16 and this machine has no GPU. Where no machine has
    joined yet, it is the run's, or float32.

    Args:
        config: the options; their precision is ``auto``.

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
            if _room_of(node, 1, config.gpus)
        ]
        found: set[Precision] = set(ray.get(answers)) or {of_run or "fp32"}
    precision = found.pop() if len(found) == 1 else "fp32"
    # The process that starts the others reads the network as well, if only on its CPU.
    here = choose_device(config.device if config.gpus else "cpu")
    is_refused = precision == "fp16" and not has_float16(here)
    return "fp32" if is_refused else precision


def _room(ray: Any, processors: int, gpus: float) -> int:
    """Return how many processes the machines of the cluster have room for."""
    return sum(_room_of(node, processors, gpus) for node in ray.nodes())


def _room_of(node: Mapping[str, Any], processors: int, gpus: float) -> int:
    """Return how many processes one machine has room for."""
    has = node["Resources"] if node["Alive"] else {}
    here = has.get("CPU", 0) // processors
    return int(min(here, has.get("GPU", 0) // gpus) if gpus else here)


def _say_errors(job: PredictionJob, chunk: int) -> int:
    """Log the images of a part that could not be read, and return how many."""
    bad = [
        row
        for row in read_rows(job.folder, [chunk], ["image_id", "status", "error"])
        if row["status"] == "error"
    ]
    for row in bad:
        log.warning("%s: %s", unescape_name(row["image_id"]), unescape_name(row["error"]))
    return len(bad)


def _everywhere(images: ImageCollection) -> Path:
    """Return the folder as processes in other folders find it."""
    return images.root if images.are_remote else images.root.absolute()


def _packed(run: Path | None) -> dict[str, bytes] | None:
    if run is None:
        return None
    run = local_run(run)
    files = [run] if run.is_file() else [run / name for name in RUN_FILES]
    return {file.name: file.read_bytes() for file in files if file.is_file()}


@contextmanager
def _cluster() -> Iterator[Any]:
    """Join the cluster that RAY_ADDRESS names, or make one of this machine; leave it at the end.

    Raises:
        ConfigError: ray is not installed, there is no such cluster, or it has failed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What fails is raised; what it writes beside that is not about this prediction.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise not_installed("ray", "wsol[ray]") from error
    own = not ray.is_initialized()
    # It says on standard output which processes have ended.
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
                f"the Ray cluster has failed ({_reason(error)}): what is done is kept, and the "
                "same command goes on"
            ) from error
        finally:
            if own:
                ray.shutdown()


def _reason(error: BaseException) -> str:
    """Return the line of a process's trace that says what was wrong."""
    lines = str(error).splitlines() or [type(error).__name__]
    return next((line for line in reversed(lines) if _NAMED.match(line)), lines[0])
