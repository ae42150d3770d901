"""Command ``wsol benchmark``."""

import sys
from collections.abc import Sequence

from wsol.benchmark.config import BenchmarkConfig
from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.cli.table import print_table


def run(argv: Sequence[str]) -> int:
    """Run the benchmark, and print a table of the stages and the bottleneck of each job."""
    config = read_options("benchmark", BenchmarkConfig, argv, positional="data")
    from wsol.benchmark.benchmark import benchmark

    jobs = benchmark(config)
    for job in jobs:
        rows = [
            (
                stage.name,
                "worker" if stage.in_worker else "main",
                f"{1000 * stage.seconds:.2f}",
                f"{1 / stage.seconds:.1f}" if stage.seconds else "",
            )
            for stage in job.stages
        ]
        title = f"{job.name}, {job.size} pixels, {job.precision}"
        print_table((title, "process", "ms/image", "images/s"), rows)
        sys.stdout.write(
            f"all stages with --num_workers {job.num_workers}: {job.measured:.1f} images/s "
            f"({job.expected:.1f} expected), bound by {job.bound}: {job.advice}\n\n"
        )
    if config.out is not None:
        sys.stdout.write(f"wrote {config.out}\n")
    return OK
