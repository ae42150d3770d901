"""Prediction of parts by the processes of a Ray cluster."""

import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from wsol._utils.progress import Meter
from wsol.errors import ConfigError, not_installed
from wsol.inference.device import choose_precision, has_float16
from wsol.inference.exported import is_graph
from wsol.inference.localizer import Localizer
from wsol.portable import original
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import Pictures
from wsol.prediction.job import Plan
from wsol.prediction.local import check_limit
from wsol.prediction.ray_parts import Cargo, PartPredictor, Tries
from wsol.results.store import put_part, read_rows
from wsol.runs.hub import local_run
from wsol.runs.run import load_info, pack
from wsol.types import Precision

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
