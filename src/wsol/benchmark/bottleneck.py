"""What bounds a job of several stages, and how many worker processes it wants."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

SLACK = 0.8
"""Workers are to read in this share of the time in which the rest is done, as they vary."""

READING = "reading"
"""The stages in worker processes, together."""

ADVICE = {
    READING: "give more cores, or pictures of fewer pixels",
    "forward": "give a smaller --size, another --backbone, or a GPU or processor with bfloat16",
    "backward": "give a smaller --size, another --backbone, or a GPU or processor with bfloat16; "
    "--backbone_lr 0 trains the head alone, several times faster",
    "localize": "give another --localizer (cam is the fastest), and no --affinity",
    "box": "give --objects one, or fewer --labels",
    "write": "write fewer formats, to a faster disk",
}
"""What to change where a stage bounds the whole."""


@dataclass(frozen=True)
class Stage:
    """One step on the way of a picture.

    Attributes:
        name: of the stage.
        seconds: that one picture takes, in one process.
        in_worker: whether worker processes do it, beside the others.
    """

    name: str
    seconds: float
    in_worker: bool = False


@dataclass(frozen=True)
class Machine:
    """Where the stages are done.

    Attributes:
        cores: of the processor.
        shared: whether the network computes on these cores too, all of them.
    """

    cores: int
    shared: bool


def wanted_workers(stages: Sequence[Stage], machine: Machine) -> int:
    """Return the least number of workers for which nothing waits, but no more than cores.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("forward", 0.002)
    >>> wanted_workers(stages, Machine(cores=8, shared=False))
    3
    >>> wanted_workers(stages, Machine(cores=2, shared=False))
    2
    """
    reading, rest = _parts(stages, machine)
    return max(1, min(math.ceil(reading / max(SLACK * rest, 1e-9)), machine.cores))


def expected_seconds(stages: Sequence[Stage], workers: int, machine: Machine) -> float:
    """Return how long a picture should take where workers read while the rest is done.

    Args:
        stages: of the job.
        workers: number of processes; with 0 all is done one after another.
        machine: that does it.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("forward", 0.002)
    >>> [expected_seconds(stages, workers, Machine(8, shared=False)) for workers in (0, 1, 4)]
    [0.006, 0.004, 0.002]
    """
    if not workers:
        return sum(stage.seconds for stage in stages)
    reading, rest = _parts(stages, machine)
    return max(reading / min(workers, machine.cores), rest)


def find_bound(stages: Sequence[Stage], workers: int, machine: Machine) -> str:
    """Return what the whole waits for: `READING`, or the longest of the other stages.

    >>> stages = Stage("decode", 0.004, in_worker=True), Stage("box", 0.001), Stage("write", 0.002)
    >>> [find_bound(stages, workers, Machine(8, shared=False)) for workers in (1, 2)]
    ['reading', 'write']
    """
    reading, rest = _parts(stages, machine)
    others = [stage for stage in stages if not stage.in_worker]
    longest = max(others, key=lambda stage: stage.seconds)
    if workers:
        return READING if reading / min(workers, machine.cores) > rest else longest.name
    return READING if reading > longest.seconds else longest.name


def _parts(stages: Sequence[Stage], machine: Machine) -> tuple[float, float]:
    """Return the seconds of reading, and of all else with what reading takes of its cores."""
    reading = sum(stage.seconds for stage in stages if stage.in_worker)
    rest = sum(stage.seconds for stage in stages if not stage.in_worker)
    return reading, rest + (reading / machine.cores if machine.shared else 0)
