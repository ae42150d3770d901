"""Command ``wsol convert``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK, SOME_IN_ERROR
from wsol.cli.options import read_options
from wsol.formats.config import ConvertConfig


def run(argv: Sequence[str]) -> int:
    """Write predictions in other formats, and print the output folder."""
    config = read_options("convert", ConvertConfig, argv, positional="predictions")
    from wsol._utils.files import make_folder
    from wsol.formats.config import format_options
    from wsol.formats.convert import convert
    from wsol.results.store import PredictionStore, count_statuses

    store = PredictionStore(config.predictions, config.images)
    out = config.predictions if config.out is None else config.out
    make_folder(out)
    done = convert(store, out, config.format, config.min_score, format_options(config))
    errors = count_statuses(config.predictions, range(store.chunks))["error"]
    note = f", {errors} of them unreadable" if errors else ""
    sys.stdout.write(f"wrote {out}: {len(store)} images{note}, as {', '.join(config.format)}\n")
    if done.boxes_left_out:
        sys.stdout.write(
            f"left out by min_score {config.min_score:g}: {done.boxes_left_out} of "
            f"{done.boxes + done.boxes_left_out} boxes; "
            f"{done.images_left_empty} images have no remaining box\n"
        )
    return SOME_IN_ERROR if errors else OK
