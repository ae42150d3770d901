"""Command ``wsol pack``."""

import shlex
import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import read_options
from wsol.data.config import PackConfig


def run(argv: Sequence[str]) -> int:
    """Pack a data set into tar files, and print the next command."""
    config = read_options("pack", PackConfig, argv, positional="data")
    from wsol.data.shards.pack import pack

    packed = pack(config)
    data = shlex.quote(str(config.out))
    sys.stdout.write(
        f"wrote {config.out}: {packed.images:,} images, {packed.size:,} bytes, in "
        f"{packed.shards:,} tar files: next, wsol train {data} --out RUN --config boxes\n"
    )
    return OK
