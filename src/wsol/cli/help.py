"""The help of a command: its options in groups, with ranges and defaults in words."""

import re
from argparse import ArgumentParser, HelpFormatter
from dataclasses import MISSING, Field, fields
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from wsol.options import bounds, is_required, item_kind, option_types, without_none

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

GROUPS = {
    "data": """
        data images boxes annotations maps masks splits split_folders split labels labels_from
        class_map val_fraction on_bad_annotation ignore_value ignore_extra normalize predictions
        archive archives url train val val_labels checksum verify shard_size cubv2 imagenetv2
        imagenetv2_boxes imagenetv2_names max_pixels scaled_decoding resize max_images dataset
        """,
    "model": """
        run file family network classes large_feature_map backbone output_stride pretrained
        init_from name revision license card private
        """,
    "training": """
        method student head_layers distill epochs lr backbone_lr momentum weight_decay schedule
        milestones cache_features shifted_head frozen_bn keep_best select_by val_every seed
        max_skipped resume save_every
        """,
    "localizer": """
        localizer localizers layers affinity affinities flip scales normalization normalizations
        threshold instances image_size image_sizes protocol
        """,
    "compute": """
        device precision batch_size gradient_accumulation_steps num_workers compile sync_bn engine
        actors gpus chunk_size shard seconds
        """,
    "output": """
        out format min_score copy_images save_overlays num_overlays report side worst tensorboard
        save overwrite max_errors
        """,
    "server": """
        host port names files open label_studio label_studio_url max_file max_request max_kept
        """,
}
"""Groups of the help, and the names of the options in each; a name means the same everywhere."""


def format_help(
    command: str,
    config: type["DataclassInstance"],
    method: type["DataclassInstance"] | None,
    positional: str | None,
) -> str:
    """Return the help of a command.

    >>> from wsol.reports.config import ReportConfig
    >>> text = format_help("report", ReportConfig, None, "predictions")
    >>> text.splitlines()[0]
    'usage: wsol report PREDICTIONS [--OPTION VALUE ...]'
    """
    required = "".join(f" --{f.name} {f.name.upper()}" for f in fields(config) if is_required(f))
    where = f" {positional.upper()}" if positional else required
    parser = ArgumentParser(
        prog=f"wsol {command}",
        usage=f"wsol {command}{where} [--OPTION VALUE ...]",
        description=cleandoc(config.__doc__ or "").splitlines()[0],
        formatter_class=lambda prog: HelpFormatter(prog, max_help_position=28),
        add_help=False,
    )
    texts, types = descriptions(config), option_types(config)
    by_name = {field.name: field for field in fields(config)}
    for title, names in GROUPS.items():
        group = parser.add_argument_group(title)
        for name in names.split():
            if name in by_name and name != "method":
                _add(group, f"--{name}", by_name[name], types[name], texts.get(name, ""))
    if method is not None:
        texts, types = descriptions(method), option_types(method)
        group = parser.add_argument_group("method")
        about = "training method; wsol list methods shows all (default: none)"
        group.add_argument("--method", metavar="NAME", help=about)
        for field in fields(method):
            if field.name != "name":
                text = texts.get(field.name, "")
                _add(group, f"--method.{field.name}", field, types[field.name], text)
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config", metavar="FILE", help="YAML file with options, or a recipe's name"
    )
    group.add_argument("--print_config", action="store_true", help="print all options as YAML")
    group.add_argument("--help", action="store_true", help="show this help")
    return parser.format_help()


def descriptions(config: type) -> dict[str, str]:
    """Return what the Args sections of a dataclass and its bases say of each name.

    >>> from wsol.reports.config import ReportConfig
    >>> sorted(descriptions(ReportConfig))[:2]
    ['boxes', 'images']
    """
    found: dict[str, list[str]] = {}
    inside = False
    docs = [cleandoc(each.__doc__ or "") for each in reversed(config.__mro__)]
    for line in "\n".join(docs).splitlines():
        if not line.startswith(" "):
            inside = line == "Args:" or (inside and not line)
        elif inside and (entry := re.match(r" {4}(\w+): (.*)", line)):
            found[entry[1]] = text = [entry[2]]
        elif inside and found:
            text.append(line.strip())
    return {name: " ".join(lines) for name, lines in found.items()}


def _add(group: Any, option: str, field: Field[Any], kind: Any, text: str) -> None:
    """Add an option to a group, with its range and default."""
    facts: list[str] = []
    if limit := bounds(kind):
        facts.append(limit)
    if is_required(field):
        facts.append("required")
    elif field.default is not MISSING and not re.search(r"\bdefault\b", text, re.IGNORECASE):
        shown = shown_default(field.default)
        if shown not in ("None", ""):
            facts.append(f"default: {shown}")
    end = f" ({'; '.join(facts)})" if facts else ""
    text = text.rstrip(".") + end
    group.add_argument(option, metavar=_metavar(kind), help=text.replace("%", "%%"))


def shown_default(value: Any) -> str:
    """Return a value as it is written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(shown_default, value)) if isinstance(value, tuple | list) else str(value)


def _metavar(kind: Any) -> str:
    """Return what stands for the value of an option.

    >>> from wsol.options import PositiveInt, Threshold
    >>> [_metavar(each) for each in (bool, PositiveInt, Threshold, tuple[str, ...])]
    ['[true|false]', 'N', 'X', 'A,B,...']
    """
    kind = without_none(kind)
    if item_kind(kind) is not None:
        return "A,B,..."
    if get_origin(kind) is Literal:
        return f"{{{','.join(map(str, get_args(kind)))}}}"
    names = {"bool": "[true|false]", "float": "X", "int": "N", "Path": "PATH"}
    return next((shown for name, shown in names.items() if name in str(kind)), "NAME")
