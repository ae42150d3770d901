"""Write the tables of options in docs/*.md from the dataclasses of the commands.

    python tools/write_option_tables.py

A table is between ``<!-- options of MODULE.CLASS -->`` and ``<!-- end of options -->``. A test
checks that the tables equal the generated ones.
"""

import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from wsol.cli.help import GROUPS, descriptions, shown_default
from wsol.options import is_required, option_types, without_none

DOCS = Path(__file__).parents[1] / "docs"

TABLE = re.compile(
    r"(<!-- options of ([\w.]+)\.(\w+) -->\n).*?(<!-- end of options -->\n)", re.DOTALL
)

DEFAULT = re.compile(r"[;.] default: (.+?)(?:\.(?= [A-Z])|\.?$)", re.IGNORECASE)

LINKS = {
    "affinity": "localizers.md#several-at-once",
    "backbone": "backbones.md",
    "boxes": "data.md#boxes",
    "cache_features": "train.md#cached-features",
    "class_map": "predict.md#known-labels",
    "compile": "scale.md#compiled-networks",
    "data": "data.md",
    "engine": "scale.md#prediction-on-a-cluster",
    "frozen_bn": "train.md#batch-normalization",
    "gradient_accumulation_steps": "scale.md#less-memory",
    "keep_best": "train.md#the-best-epoch",
    "labels_from": "predict.md#known-labels",
    "layers": "localizers.md#layers",
    "localizer": "localizers.md#what-a-run-keeps",
    "localizers": "localizers.md",
    "method": "methods.md",
    "precision": "train.md#precision",
    "protocol": "evaluate.md#the-protocol-of-adls-authors",
    "run": "hub.md",
    "shifted_head": "train.md#initialization-of-the-head",
    "split_folders": "data.md#which-folders-are-splits",
    "splits": "data.md#published-splits",
    "threshold": "localizers.md#the-threshold",
}
"""Section of the docs about an option."""


def table(config: type) -> str:
    """Return the table of the options of a command, required ones first."""
    texts, types = descriptions(config), option_types(config)
    by_name: dict[str, Field[Any]] = {field.name: field for field in fields(config)}
    order = [name for names in GROUPS.values() for name in names.split() if name in by_name]
    order.sort(key=lambda name: not is_required(by_name[name]))
    rows = (f"| {' | '.join(_row(by_name[name], types[name], texts[name]))} |\n" for name in order)
    return "| option | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _row(field: Field[Any], kind: Any, text: str) -> Iterator[str]:
    default = DEFAULT.search(text)
    meaning = DEFAULT.sub(".", text).rstrip(".")
    kind = without_none(kind)
    choices = [str(choice) for choice in get_args(kind)] if get_origin(kind) is Literal else []
    if not all(re.search(rf"\b{choice}\b", meaning) for choice in choices):
        meaning += f" ({', '.join(choices)})"
    link = LINKS.get(field.name)
    yield f"[`{field.name}`]({link})" if link else f"`{field.name}`"
    if is_required(field):
        yield "required"
    elif default:
        yield _marked(default[1])
    else:
        shown = "none" if field.default is MISSING else shown_default(field.default)
        yield "none" if shown in ("None", "") else f"`{shown}`"
    yield _marked(meaning)


def _marked(text: str) -> str:
    """Return a text with options as code, and without special characters of Markdown."""
    text = re.sub(r"``(.+?)``", r"\1", text).replace("|", r"\|").replace("*", r"\*")
    return re.sub(r"--\w+", r"`\g<0>`", text)


def page(text: str) -> str:
    """Return a page with its tables written anew."""

    def written(found: re.Match[str]) -> str:
        begin, module, name, end = found.groups()
        return begin + "\n" + table(getattr(import_module(module), name)) + "\n" + end

    return TABLE.sub(written, text)


if __name__ == "__main__":
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")
