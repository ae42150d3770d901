"""What a process of a Ray cluster does with parts of a prediction."""

import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from safetensors.torch import load

from wsol.errors import ConfigError, WsolError, is_out_of_memory
from wsol.inference.localizer import Localizer
from wsol.prediction.config import PredictConfig
from wsol.prediction.inputs import Pictures
from wsol.prediction.job import Plan
from wsol.prediction.local import create_predictor
from wsol.results.store import pack_part, to_row

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
