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

from wsol._utils.names import original
from wsol._utils.progress import Meter
from wsol.errors import ConfigError, WsolError, is_out_of_memory, not_installed
from wsol.inference.device import choose_precision, has_float16
from wsol.inference.exported import is_graph
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import Pictures
from wsol.prediction.job import Plan
from wsol.prediction.local import check_limit, create_predictor
from wsol.results.store import pack_part, put_part, read_rows, to_row
from wsol.runs.hub import local_run
from wsol.runs.run import load_info, pack
from wsol.types import Precision

TRIES = 4
"""Of a part: one that ends so many processes would end all others."""

_OUT_OF_MEMORY = (
    "a process of the cluster is out of memory: use a lower --batch_size or --size, or more --gpus"
)

RESULT = pa.schema([("part", pa.int64()), ("content", pa.large_binary()), ("error", pa.string())])
"""What comes back: a part's number, and its file's content or why there is none. What a process
raises reaches this one without its name."""


@dataclass(frozen=True)
class Cargo:
    """All that a process of the cluster needs, so that machines share no more than pictures.

    Attributes:
        config: the options.
        plan: of the prediction.
        pictures: all of them; their folder is the same on all machines, or a URI.
        run: content of the run's files by name, or of the one exported file; None: no run.
        state: what the localizer has learnt of the pictures.
        threads: of torch, on which the last bits of a sum depend.
    """

    config: PredictConfig
    plan: Plan
    pictures: Pictures
    run: dict[str, bytes] | None
    state: bytes | None
    threads: int

    def create(self) -> Localizer:
        """Return the localizer, ready to be asked."""
        torch.set_num_threads(self.threads)
        folder = Path(tempfile.mkdtemp(prefix="wsol-run-"))
        try:
            locate = create_predictor(
                replace(self.config, run=self._unpacked(folder)), self.pictures
            )
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


class Tries:
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


class PartPredictor:
    """Predicts parts, one after another, in a process of the cluster.

    Args:
        cargo: in a list, a reference to it.
        tries: counts, as a process that is ended is started again without end.
        most: of these processes may be started.
    """

    def __init__(self, cargo: Sequence[Any], tries: Any, most: int) -> None:
        """Load the network, once."""
        import ray

        self.begin: Callable[[int | str], int] = lambda what: ray.get(tries.begin.remote(what))
        self.cargo: Cargo = ray.get(cargo[0])
        self.locate: Localizer | WsolError
        if self.begin("process") > most:
            self.locate = ConfigError("the processes of the cluster end when they are started")
            return
        try:
            self.locate = self.cargo.create()
        except WsolError as error:
            self.locate = error
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            self.locate = ConfigError(_OUT_OF_MEMORY)

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the file's content of each part.

        Args:
            table: its column ``part`` has the numbers.
        """
        return pa.Table.from_pylist(
            [self._result(row["part"]) for row in table.to_pylist()], RESULT
        )

    def _result(self, part: int) -> dict[str, Any]:
        try:
            return {"part": part, "content": self.content(part)}
        except WsolError as error:
            return {"part": part, "error": str(error)}
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return {"part": part, "error": _OUT_OF_MEMORY}

    def content(self, part: int) -> bytes:
        """Return the content of a part's file.

        Args:
            part: its number.

        Raises:
            WsolError: it has ended the processes that have tried, or there is no localizer.
        """
        if isinstance(self.locate, WsolError):
            raise self.locate
        if self.begin(part) > TRIES:
            raise ConfigError(
                f"part {part} has ended {TRIES} processes of the cluster: with --workers 1 and "
                "more, a picture ends no more than the process that decodes it"
            )
        pictures = self.cargo.pictures
        numbers = [self.cargo.plan.pictures(part)]
        results = self.locate.locate_parts(pictures.paths, pictures.names, numbers, pictures.labels)
        return pack_part([to_row(result) for result in results])


log = logging.getLogger("wsol")

RUN_FILES = ("model.json", "model.safetensors", "localizer.safetensors")

STARTS = 20
"""Of processes beside the first of each: where loading ends them, it would go on for ever."""

_NAMED = re.compile(r"[\w.]*(Error|Exception)\b")


def predict_parts_on_ray(
    config: PredictConfig,
    plan: Plan,
    pictures: Pictures,
    locate: Localizer,
    parts: Sequence[int],
    errors: int = 0,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Predict some parts in a cluster, and write each here when it is whole.

    A process that ends in the middle loses nothing: its part is predicted again.

    Args:
        config: the options.
        plan: of the prediction.
        pictures: all of them.
        locate: has seen what it wants to see of them.
        parts: numbers of those to predict.
        errors: number of pictures that could not be read before.
        written: called when a part is there.

    Raises:
        ConfigError: ray is not installed, or the cluster has no room or has failed.
        ErrorLimitError: more pictures than were allowed are in error.
    """
    if not parts:
        return
    knows = locate.localizer.needs_fit and locate.is_fitted
    cargo = Cargo(
        config=config,
        plan=plan,
        pictures=replace(pictures, root=_everywhere(pictures)),
        run=_packed(config.run),
        state=pack(locate.localizer.state()) if knows else None,
        # A GPU needs no more; processors would then limit how many GPUs work.
        threads=1 if config.gpus else torch.get_num_threads(),
    )
    number = sum(len(plan.pictures(part)) for part in parts)
    with _cluster() as ray, Meter("predict", number) as meter:
        for row in _results(ray, cargo, parts):
            if row["error"] is not None:
                raise ConfigError(row["error"])
            put_part(plan.folder, row["part"], row["content"])
            written()
            errors += _say_errors(plan, row["part"])
            check_limit(errors, config.max_errors)
            meter.advance(len(plan.pictures(row["part"])))


def _results(ray: Any, cargo: Cargo, parts: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield parts as they come, in any order."""
    config, room = cargo.config, _room(ray, cargo.threads, cargo.config.gpus)
    if not room and config.actors is None:
        raise ConfigError(
            f"no machine of the cluster has {cargo.threads} processors and {config.gpus:g} GPUs: "
            "set OMP_NUM_THREADS or --gpus lower, or give --actors to wait for machines"
        )
    most = min(config.actors or room, len(parts))
    # Kept here, as a process that is started again asks for it again.
    kept = ray.put(cargo)
    tries = ray.remote(num_cpus=0)(Tries).remote()
    items = ray.data.from_items([{"part": part} for part in parts], override_num_blocks=len(parts))
    found = items.map_batches(
        PartPredictor,
        batch_size=1,
        batch_format="pyarrow",
        fn_constructor_args=([kept], tries, most + STARTS),
        compute=ray.data.ActorPoolStrategy(min_size=max(1, min(most, room)), max_size=most),
        num_cpus=cargo.threads,
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
    if config.run is not None and is_graph(config.run):
        return "fp32"
    of_run = None if config.run is None else load_info(config.run).precision
    with _cluster() as ray:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

        ask = ray.remote(num_cpus=1, num_gpus=config.gpus)(choose_precision)
        answers = [
            ask.options(scheduling_strategy=On(node["NodeID"], soft=False)).remote(
                "auto", config.cpu or not config.gpus, of_run
            )
            for node in ray.nodes()
            if _room_of(node, 1, config.gpus)
        ]
        found: set[Precision] = set(ray.get(answers)) or {of_run or "fp32"}
    precision = found.pop() if len(found) == 1 else "fp32"
    # The process that starts the others reads the network as well, if only on its CPU.
    is_refused = precision == "fp16" and not has_float16(config.cpu or not config.gpus)
    return "fp32" if is_refused else precision


def _room(ray: Any, processors: int, gpus: float) -> int:
    """Return how many processes the machines of the cluster have room for."""
    return sum(_room_of(node, processors, gpus) for node in ray.nodes())


def _room_of(node: Mapping[str, Any], processors: int, gpus: float) -> int:
    """Return how many processes one machine has room for."""
    has = node["Resources"] if node["Alive"] else {}
    here = has.get("CPU", 0) // processors
    return int(min(here, has.get("GPU", 0) // gpus) if gpus else here)


def _say_errors(plan: Plan, part: int) -> int:
    """Log the pictures of a part that could not be read, and return how many."""
    bad = [
        row
        for row in read_rows(plan.folder, [part], ["image_id", "status", "error"])
        if row["status"] == "error"
    ]
    for row in bad:
        log.warning("%s: %s", original(row["image_id"]), original(row["error"]))
    return len(bad)


def _everywhere(pictures: Pictures) -> Path:
    """Return the folder as processes in other folders find it."""
    return pictures.root if pictures.are_remote else pictures.root.absolute()


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
