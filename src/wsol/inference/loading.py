"""From whatever is a classifier to one that is ready to be read."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Annotated

import torch
from torch import nn

from wsol.errors import ConfigError
from wsol.inference.device import Compute, choose_compute, choose_precision
from wsol.inference.exported import GraphMaps, is_graph, open_graph
from wsol.localizers._forward import TwoOutcomes, find_logits, has_classes
from wsol.localizers._layers import probe
from wsol.localizers.base import ScoreMaps
from wsol.localizers.config import BEST, Cutting, chosen_cutting
from wsol.methods.network import create_pretrained_network
from wsol.models.batch_norm import fold_batch_norms
from wsol.models.create import check_size, published_classes
from wsol.models.utils import (
    class_names,
    device_of,
    first_weight,
    follows_autocast,
    input_spec,
    unwrapped,
)
from wsol.options import (
    Fraction,
    ImageSize,
    Name,
    Options,
    Range,
    Scale,
    Threshold,
    Unsplit,
    checked,
    refusal,
)
from wsol.runs.hub import is_on_hub
from wsol.runs.run import load_fitted, load_run
from wsol.types import Normalization, Precision, class_indices, unique_names

SIZE = 448
"""Side in pixels of the input of a network without a run."""

LEAST_PROBE = 224
"""Side in pixels of an image in which each stage of a network has maps of several pixels."""

OBJECT = "object"
"""Class of all boxes of a network without classes."""


Std = Annotated[float, Range(above=0, at_most=1)]


@dataclass(frozen=True, kw_only=True)
class Asked(Options):
    """What is asked for, as ``Localizer`` has it; the rest is the classifier's own."""

    localizer: Name | None = None
    tap: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    labels: Annotated[tuple[Name, ...], Unsplit()] = ()
    classes: tuple[str, ...] | None = None
    size: ImageSize | None = None
    precision: Precision = "auto"
    cpu: bool = False
    mean: tuple[Fraction, Fraction, Fraction] | None = None
    std: tuple[Std, Std, Std] | None = None

    def __post_init__(self) -> None:
        """Refuse what no classifier could be asked for."""
        super().__post_init__()
        if self.classes is not None and unique_names(self.classes) != self.classes:
            raise refusal("classes", self.classes, "use names that differ")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A classifier that is ready to be read.

    Attributes:
        model: in evaluation mode and on the best device if it is nobody else's.
        compute: has that device and its precision.
        localizer: makes score maps of it.
        is_fitted: whether the localizer has seen the pictures that it wants to see.
        cutting: what the localizer is made of, and where its maps are cut.
        classes: names, in the order of the logits.
        labels: numbers of the classes that are asked for.
        size: side of the input in pixels.
        mean: of the normalised input, per colour, on the scale of [0, 1].
        std: the same for the standard deviation.
        several_labels: whether each logit is a question of its own.
        description: what it is, in words.
        num_known: number of classes, from the first, that are those of the logits; the others are
            names of labels that are given.
    """

    model: nn.Module
    compute: Compute
    localizer: ScoreMaps
    is_fitted: bool
    cutting: Cutting
    classes: tuple[str, ...]
    labels: list[int]
    size: int
    mean: Sequence[float]
    std: Sequence[float]
    several_labels: bool
    description: str
    num_known: int


def open_model(model: object, backbone: str, asked: Asked) -> Opened:
    """Return what ``Localizer`` is given, ready to localize.

    Args:
        model: a run, an exported model, a classifier, or None for a pretrained network.
        backbone: name of that network.
        asked: the options.

    Raises:
        ConfigError: neither of these, or an option does not fit.
        RunError: not a finished run, nor an exported model.
    """
    if isinstance(model, nn.Module):
        return open_classifier(model, asked)
    if model is not None and not isinstance(model, str | PathLike):
        raise refusal("model", type(model), "use a torch.nn.Module, a path or None")
    path: Path | None = checked("model", model, Path | None)
    if path is None:
        return open_backbone(backbone, asked)
    return open_graph_file(path, asked) if is_graph(path) else open_run(path, asked)


def open_backbone(name: str, asked: Asked) -> Opened:
    """Return a network with its published classifier, or with none where none was published.

    Args:
        name: of the network.
        asked: the options; their classes are names of labels that are given.

    Raises:
        ConfigError: no such network, or an option does not fit.
    """
    size = asked.size or SIZE
    network = create_pretrained_network(name, size)
    cutting = chosen_cutting(BEST, asked=asked)
    classes = published_classes(network.body.pretrained_cfg) or None
    if asked.classes is None or (classes is None and len(asked.classes) == 1):
        return _open(network, asked, cutting, name, size=size, classes=classes)
    own = replace(asked, classes=None, labels=())
    opened = _open(network, own, cutting, name, size=size, classes=classes)
    labels = class_indices(asked.labels, asked.classes)
    return replace(opened, classes=asked.classes, labels=labels, num_known=0)


def open_classifier(model: nn.Module, asked: Asked) -> Opened:
    """Return a classifier that belongs to somebody else; it is left as it is.

    Args:
        model: any; it is read on its own device.
        asked: the options.

    Raises:
        ConfigError: an option does not fit.
    """
    model = unwrapped(model)
    name = type(model).__name__
    _, height, width = input_spec(model).size
    if asked.size is None and height != width:
        raise ConfigError(
            f"{name} takes images of {width} x {height} pixels, but only square input is read: set "
            "size if it takes other sizes too"
        )
    size = asked.size or height
    cutting = chosen_cutting(BEST, asked=asked)
    if _count_classes(model, size) == 1:
        model, asked = TwoOutcomes(model), _two_outcomes(model, asked)
    return _open(model, asked, cutting, name, size=size, own=False)


def _two_outcomes(model: nn.Module, asked: Asked) -> Asked:
    """Return what is asked of a classifier of one logit, with names for both of its outcomes.

    One name is the positive outcome's, which is then looked for unless the options say otherwise.
    """
    classes = asked.classes
    if classes is None and class_names(model, 1) != ("0",):
        classes = class_names(model, 1)
    if classes is not None and len(classes) not in (1, 2):
        raise ConfigError(
            f"{len(classes)} classes, but {type(model).__name__} has one logit: give one name, of "
            "its positive outcome, or the names of both outcomes"
        )
    if classes is None or len(classes) == 2:
        return replace(asked, classes=("0", "1") if classes is None else classes)
    (name,) = classes
    return replace(asked, classes=(f"not {name}", name), labels=asked.labels or (name,))


def open_run(folder: Path, asked: Asked) -> Opened:
    """Return the network of a run, read as the run says but for what is asked.

    Args:
        folder: of the run, or its name on the Hub.
        asked: the options.

    Raises:
        RunError: not a finished run.
        ConfigError: an option does not fit.
    """
    network, run = load_run(folder)
    cutting = run.cutting(asked)
    opened = _open(
        network,
        asked,
        cutting,
        # A path would tell whoever gets the report how this machine is laid out.
        str(folder) if is_on_hub(folder) else folder.absolute().name,
        size=asked.size or run.size,
        classes=run.classes,
        several_labels=run.several_labels,
        precision=run.precision,
        run=folder if cutting.reading.shares_state(run.reading) else None,
    )
    parts = filter(None, (opened.description, run.choice))
    return replace(opened, description=", ".join(parts))


def open_graph_file(path: Path, asked: Asked) -> Opened:
    """Return an exported graph as a classifier.

    Args:
        path: of the file.
        asked: the options; those that the graph leaves no choice of must not be there.

    Raises:
        RunError: the file is no such graph.
        ConfigError: an option cannot be changed any more.
    """
    precision = asked.precision not in ("auto", "fp32")
    free = ("threshold", "normalization", "cpu", "precision")
    fixed = {name: value for name, value in vars(asked).items() if name not in free}
    for name, value in (fixed | {"precision": precision}).items():
        if value:
            raise ConfigError(
                f"{name} cannot be changed in {path}, an exported graph: "
                "give --run the run folder, or export it again"
            )
    graph = open_graph(path)
    info = graph.info
    return Opened(
        model=graph,
        compute=choose_compute("fp32", cpu=True),
        localizer=GraphMaps(graph),
        is_fitted=True,
        cutting=chosen_cutting(
            info.reading,
            info.chosen_threshold,
            asked,
            "pseudo_boxes" if info.threshold_from == "pseudo_boxes" else "val",
        ),
        classes=unique_names(info.classes),
        labels=[],
        size=info.size,
        # The graph normalizes by itself.
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        several_labels=info.several_labels,
        description=f"{path.name}, {info.reading.localizer}, {info.size} pixels, fp32",
        num_known=len(info.classes),
    )


def prepare_to_localize(model: nn.Module, size: int) -> None:
    """Make a network ready to localize, and unfit for training: the same way for every command.

    In bfloat16 the rounding of folded weights moves boxes as much as the precision itself, so
    figures and thresholds are measured with a network that is folded as that of a prediction.

    Args:
        model: of our own, on the CPU; changed in place.
        size: side of the input in pixels.
    """
    fold_batch_norms(model.eval(), probe(model, size))


def _open(
    model: nn.Module,
    asked: Asked,
    cutting: Cutting,
    source: str,
    *,
    size: int,
    classes: Sequence[str] | None = None,
    several_labels: bool = False,
    precision: Precision | None = None,
    run: Path | None = None,
    own: bool = True,
) -> Opened:
    """Return a classifier, put on its device.

    Args:
        model: the classifier.
        asked: the options.
        cutting: how it is read.
        source: where it comes from, in words.
        size: side of the input in pixels.
        classes: names; default: those that are asked for, or that it knows.
        several_labels: whether each logit is a question of its own.
        precision: that the run's threshold was chosen in; None if unknown.
        run: has what the localizer has learnt.
        own: whether nobody else has the classifier.
    """
    if own:
        compute = choose_compute(asked.precision, asked.cpu, precision)
    else:
        compute = _own_compute(model, asked)
    spec = input_spec(model.model if isinstance(model, TwoOutcomes) else model)
    count = _count_classes(model, size)
    if classes is None:
        own_names = class_names(model, count) if count else (OBJECT,)
        classes = own_names if asked.classes is None else asked.classes
        if len(classes) != len(own_names):
            raise ConfigError(
                f"{len(classes)} classes, but {source} has {count} logits: give a name for each"
            )
    classes = unique_names(classes)
    if asked.labels and not count:
        raise ConfigError(
            f"labels: {source} has no classes, it finds objects of any kind; leave labels out, or "
            "use a run that was trained with it"
        )
    labels = class_indices(asked.labels, classes)
    if own:
        prepare_to_localize(model, size)
        model.to(compute.device)
        model.to(memory_format=torch.channels_last)
    # Only a network of somebody else's may take one size alone; others show their stages at the
    # published size too, which may be large.
    tap_size = min(spec.size[1], max(size, LEAST_PROBE)) if own else size
    localizer = cutting.reading.create(
        model, several=several_labels or len(labels) > 1, size=tap_size
    )
    has_state = run is not None and load_fitted(run, localizer)
    return Opened(
        model=model,
        compute=compute,
        localizer=localizer,
        is_fitted=has_state or not localizer.needs_fit,
        cutting=cutting,
        classes=classes,
        labels=labels,
        size=size,
        mean=asked.mean or spec.mean,
        std=asked.std or spec.std,
        several_labels=several_labels,
        description=f"{source}, {cutting.reading.localizer}, {size} pixels, {compute.precision}",
        num_known=len(classes),
    )


def _count_classes(model: nn.Module, size: int) -> int:
    """Return the number of logits of an image of a size, 0 for a network without classes."""
    output = check_size(model, size)
    return find_logits(output, model).shape[1] if has_classes(model) else 0


_PRECISIONS: dict[torch.dtype, Precision] = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def _own_compute(model: nn.Module, asked: Asked) -> Compute:
    """Return the device and the precision that somebody else's classifier is read in: its own.

    Args:
        model: the classifier; one with float32 weights is read in the precision that is asked for.
        asked: the options.

    Raises:
        ConfigError: the options ask for another device or precision.
    """
    device, weight = device_of(model), first_weight(model)
    if asked.cpu and device.type != "cpu":
        raise ConfigError(f"cpu is set, but the network is on {device}: move it by .cpu() first")
    if follows_autocast(model):
        return Compute(device, choose_precision(asked.precision, device.type == "cpu"))
    dtype = torch.float32 if weight is None else weight.dtype
    own = _PRECISIONS.get(dtype, "fp32")
    if asked.precision not in ("auto", own):
        kind = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"precision is {asked.precision}, but the network computes in {kind}: set precision "
            "to auto, or convert the network first"
        )
    return Compute(device, own)
