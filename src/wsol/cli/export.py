"""Command ``wsol export``."""

import sys
from collections.abc import Sequence

from wsol.cli.main import OK
from wsol.cli.options import predict_step, read_options
from wsol.inference.config import ExportConfig


def run(argv: Sequence[str]) -> int:
    """Export a run as a model file, and print its difference from the run."""
    config = read_options("export", ExportConfig, argv, positional="run")
    from wsol.inference.export import export

    logits, maps = export(config)
    after = f"; next, {predict_step(config.out)}" if config.format == "onnx" else ""
    sys.stdout.write(
        f"wrote {config.out}: equals the run within {logits:.1e} (logits) and {maps:.1e} (maps) "
        f"of the largest value{after}\n"
    )
    return OK
