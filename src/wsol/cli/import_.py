"""Command ``wsol import``."""

import shlex
import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import predict_step, read_options
from wsol.errors import ConfigError, did_you_mean
from wsol.runs.config import ImportConfig

FAMILIES = ("tensorpack", "wsolevaluation")


def run(argv: Sequence[str]) -> int:
    """Import weights, and print the folder of the run."""
    family, rest = (argv[0], argv[1:]) if argv else ("", argv)
    if family in ("-h", "--help", ""):
        sys.stdout.write(f"usage: wsol import {'|'.join(FAMILIES)} FILE --out RUN [--help]\n")
        return OK
    if family not in FAMILIES:
        raise ConfigError(f"wsol import: {family!r} is not valid; {did_you_mean(family, FAMILIES)}")
    config = read_options("import", ImportConfig, [f"--family={family}", *rest], positional="file")
    from wsol.runs.import_weights import import_run

    folder = import_run(config)
    sys.stdout.write(
        f"wrote {folder}: next, {predict_step(folder)}, or "
        f"wsol evaluate {shlex.quote(str(folder))} --data DATA\n"
    )
    return OK
