"""Command ``wsol annotate``."""

import shlex
import sys
from collections.abc import Sequence

from wsol.annotation.config import AnnotateConfig
from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options


def run(argv: Sequence[str]) -> int:
    """Annotate images, and print how many have a box and how many are new."""
    config = read_options("annotate", AnnotateConfig, argv, positional="images")
    from wsol.annotation.annotate import annotate

    done = annotate(config)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(done.statuses.items()))
    sys.stdout.write(f"wrote {config.out}: {counts}; {done.new} images were new\n")
    if config.report:
        page = config.out / "report" / "index.html"
        sys.stdout.write(f"report: {page}\n")
    out = shlex.quote(str(config.out))
    if "yolo" in config.format:
        sys.stdout.write(f"next, train a detector on {out}/yolo/data.yaml\n")
    else:
        sys.stdout.write(f"next, wsol convert {out} --format yolo (or voc, cvat, csv ...)\n")
    return SOME_IN_ERROR if done.statuses["error"] else OK
