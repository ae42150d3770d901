"""Command ``wsol push``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import predict_step, read_options
from wsol.runs.config import PushConfig


def run(argv: Sequence[str]) -> int:
    """Upload a run to the Hub, and print its address."""
    given = list(argv)
    if len(given) > 1 and not given[0].startswith("-") and not given[1].startswith("-"):
        given[1] = f"--name={given[1]}"
    config = read_options("push", PushConfig, given, positional="run")
    from wsol.runs.push import push

    pushed = push(config)
    sys.stdout.write(
        f"pushed to {pushed.url}: commit {pushed.commit}; next, {predict_step(pushed.name)}\n"
    )
    return OK
