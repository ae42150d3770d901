"""Command ``wsol predict``."""

import shlex
import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.prediction.config import PredictConfig


def run(argv: Sequence[str]) -> int:
    """Predict boxes, and print how many images have one."""
    config = read_options("predict", PredictConfig, argv, positional="images")
    from wsol._utils.names import is_uri, shown, uri_of
    from wsol.prediction.predict import predict
    from wsol.results.store import is_finished

    statuses = predict(config)
    counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    out = shown(uri_of(config.out)) if is_uri(config.out) else config.out
    sys.stdout.write(f"wrote {out}: {counts}\n")
    if is_uri(config.out):
        pass
    elif not is_finished(config.out):
        sys.stdout.write("other shards are not done; the last one writes formats and report\n")
    elif config.report and (page := config.out / "report" / "index.html").exists():
        sys.stdout.write(f"report: {page}\n")
    if not is_uri(config.out) and is_finished(config.out):
        out = shlex.quote(str(config.out))
        sys.stdout.write(f"next, wsol convert {out} --format yolo (or voc, cvat, csv ...)\n")
    return SOME_IN_ERROR if statuses["error"] else OK
