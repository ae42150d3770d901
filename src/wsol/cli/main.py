"""The ``wsol`` command: finds the subcommand, and turns errors into one line and a status."""

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from keyword import iskeyword
from typing import TextIO

import wsol
from wsol.errors import (
    ConfigError,
    ErrorLimitError,
    WsolError,
    did_you_mean,
    is_out_of_memory,
    shortened,
)

COMMANDS = {
    "demo": "train CAM and ADL on toy images and compare them",
    "prepare": "create a data set from the archives of CUB, ImageNet or OpenImages30k",
    "pack": "write a data set as tar shards",
    "annotate": "create boxes for a folder of labeled images, to train a detector",
    "train": "train a classifier on image-level labels",
    "evaluate": "compute the metrics of a run, or of score maps from files",
    "compare": "choose the best localizer, size and threshold for a data set",
    "distill": "train a second head on the score maps of a run",
    "predict": "localize objects in images",
    "app": "start the web app, or a backend of Label Studio",
    "report": "write an offline page to review a prediction",
    "convert": "convert predictions to other formats",
    "export": "export a run to ONNX or torch.export",
    "push": "upload a run to the Hugging Face Hub",
    "import": "create a run from published weights",
    "benchmark": "measure training and prediction throughput of this machine",
    "list": "list methods, backbones, localizers, formats, recipes or settings",
}
"""Subcommand and its line in the help."""

LESS_MEMORY = {
    "annotate": "use a lower --batch_size, --chunk_size or --image_size",
    "benchmark": "use a lower --batch_size or --image_size",
    "compare": "use a lower --batch_size or lower --image_sizes",
    "distill": "use a lower --batch_size",
    "evaluate": "use a lower --batch_size",
    "predict": "use a lower --batch_size or --image_size",
    "train": "use a lower --batch_size or --image_size, or a higher --gradient_accumulation_steps",
}
"""What to do where a command needs more memory than there is."""

MAX_LINE = 1_500
"""Characters of a message; paths and names may be of any length."""

OK, REFUSED, SOME_IN_ERROR, TOO_MANY_IN_ERROR, INTERRUPTED = 0, 2, 3, 4, 130
"""Exit status: done; input refused, with one line on standard error; done, but some items are in
error; stopped, as more items are in error than the user accepts."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of this process, and return its exit status.

    >>> main(["--version"])
    wsol 0.1.0
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_help())
        return OK
    if arguments[0] == "--version":
        sys.stdout.write(f"wsol {wsol.__version__}\n")
        return OK
    _log_to_stderr()
    if isinstance(sys.stdout, TextIOWrapper):
        # Names need not be text.
        sys.stdout.reconfigure(errors="surrogateescape")
    name = arguments[0]
    try:
        if name not in COMMANDS:
            raise ConfigError(f"no command {name!r}: {did_you_mean(name, COMMANDS)}")
        status: int = import_module(module_of(name)).run(arguments[1:])
    except ErrorLimitError as error:
        _say(error)
        return TOO_MANY_IN_ERROR
    except WsolError as error:
        _say(error)
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("wsol: interrupted\n")
        return INTERRUPTED
    except Exception as error:
        if is_out_of_memory(error):
            _say(f"out of memory: {LESS_MEMORY.get(name, 'end other programs, and try again')}")
            return REFUSED
        if not isinstance(error, OSError):
            raise
        # A disk that is full, or gone: what is at stake is written whole or not at all.
        place = f"{error.filename}: " if error.filename else ""
        _say(f"{place}{error.strerror or error}")
        return REFUSED
    return status


def _say(error: object) -> None:
    sys.stderr.write(f"wsol: error: {_one_line(str(error))}\n")


def _one_line(text: str) -> str:
    r"""Return a message without line breaks and what a terminal obeys: names may hold both.

    >>> _one_line("日本\n\x1b[2J.jpg")
    '日本\\n\\x1b[2J.jpg'
    """
    line = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
    return shortened(line, MAX_LINE)


def module_of(command: str) -> str:
    """Return the module of a command; ``import`` is a word that Python keeps for itself.

    >>> module_of("train"), module_of("import")
    ('wsol.cli.train', 'wsol.cli.import_')
    """
    return f"wsol.cli.{command}_" if iskeyword(command) else f"wsol.cli.{command}"


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = "".join(f"  {name:{width}}  {text}\n" for name, text in COMMANDS.items())
    return (
        "usage: wsol COMMAND [...]\n\nBoxes and masks from image-level labels.\n\n"
        f"{lines}\nwsol COMMAND --help shows its options, wsol --version the version.\n"
    )


class _OneLine(logging.Formatter):
    """Keeps each message to its line."""

    def format(self, store: logging.LogRecord) -> str:
        """Return the message."""
        return _one_line(super().format(store))


class _ToStandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at that moment: a host program may change it."""

    def emit(self, store: logging.LogRecord) -> None:
        """Write one message."""
        self.stream = sys.stderr
        super().emit(store)


def _log_to_stderr() -> None:
    logger = logging.getLogger("wsol")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        handler = _ToStandardError()
        handler.setFormatter(_OneLine("%(message)s"))
        logger.addHandler(handler)
