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
from wsol.inference.exported import ExportedScoreMaps, is_exported, load_exported
from wsol.localizers._forward import TwoOutcomes, find_logits, has_classes
from wsol.localizers._layers import probe
from wsol.localizers.base import ScoreMaps
from wsol.localizers.config import BEST, Thresholding, resolve_threshold
from wsol.methods.network import create_pretrained_network
from wsol.models.batch_norm import fuse_batch_norms
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
    Device,
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
class LocalizerOptions(Options):
    """What is asked for, as ``Localizer`` has it; the rest is the classifier's own."""

    localizer: Name | None = None
    layers: tuple[Name, ...] = ()
    affinity: str = ""
    flip: bool = False
    scales: tuple[Scale, ...] = ()
    normalization: Normalization | None = None
    threshold: Threshold | None = None
    labels: Annotated[tuple[Name, ...], Unsplit()] = ()
    classes: tuple[str, ...] | None = None
    image_size: ImageSize | None = None
    precision: Precision = "auto"
    device: Device = "auto"
    mean: tuple[Fraction, Fraction, Fraction] | None = None
    std: tuple[Std, Std, Std] | None = None

    def __post_init__(self) -> None:
        """Refuse what no classifier could be asked for."""
        super().__post_init__()
        if self.classes is not None and unique_names(self.classes) != self.classes:
            raise refusal("classes", self.classes, "use names that differ")


@dataclass(frozen=True, kw_only=True)
class LoadedClassifier:
    """A classifier that is ready to be read.

    Attributes:
        model: in evaluation mode and on the best device if it is nobody else's.
        compute: has that device and its precision.
        localizer: makes score maps of it.
        is_fitted: whether the localizer has seen the images that it wants to see.
        thresholding: what the localizer is made of, and where its maps are cut.
        classes: names, in the order of the logits.
        labels: numbers of the classes that are asked for.
        image_size: side of the input in pixels.
        mean: of the normalised input, per colour, on the scale of [0, 1].
        std: the same for the standard deviation.
        is_multi_label: whether each logit is a question of its own.
        description: what it is, in words.
        num_known: number of classes, from the first, that are those of the logits; the others are
            names of labels that are given.
    """

    model: nn.Module
    compute: Compute
    localizer: ScoreMaps
    is_fitted: bool
    thresholding: Thresholding
    classes: tuple[str, ...]
    labels: list[int]
    image_size: int
    mean: Sequence[float]
    std: Sequence[float]
    is_multi_label: bool
    description: str
    num_known: int


def open_model(model: object, backbone: str, options: LocalizerOptions) -> LoadedClassifier:
    """Return what ``Localizer`` is given, ready to localize.

    Args:
        model: a run, an exported model, a classifier, or None for a pretrained network.
        backbone: name of that network.
        options: the options.

    Raises:
        ConfigError: neither of these, or an option does not fit.
        RunError: not a finished run, nor an exported model.
    """
    if isinstance(model, nn.Module):
        return open_classifier(model, options)
    if model is not None and not isinstance(model, str | PathLike):
        raise refusal("model", type(model), "use a torch.nn.Module, a path or None")
    path: Path | None = checked("model", model, Path | None)
    if path is None:
        return open_backbone(backbone, options)
    return open_exported(path, options) if is_exported(path) else open_run(path, options)


def open_backbone(name: str, options: LocalizerOptions) -> LoadedClassifier:
    """Return a network with its published classifier, or with none where none was published.

    Args:
        name: of the network.
        options: the options; their classes are names of labels that are given.

    Raises:
        ConfigError: no such network, or an option does not fit.
    """
    image_size = options.image_size or SIZE
    network = create_pretrained_network(name, image_size)
    thresholding = resolve_threshold(BEST, options=options)
    classes = published_classes(network.body.pretrained_cfg) or None
    if options.classes is None or (classes is None and len(options.classes) == 1):
        return _open(network, options, thresholding, name, image_size=image_size, classes=classes)
    own = replace(options, classes=None, labels=())
    loaded = _open(network, own, thresholding, name, image_size=image_size, classes=classes)
    labels = class_indices(options.labels, options.classes)
    return replace(loaded, classes=options.classes, labels=labels, num_known=0)


def open_classifier(model: nn.Module, options: LocalizerOptions) -> LoadedClassifier:
    """Return a classifier that belongs to somebody else; it is left as it is.

    Args:
        model: any; it is read on its own device.
        options: the options.

    Raises:
        ConfigError: an option does not fit.
    """
    model = unwrapped(model)
    name = type(model).__name__
    _, height, width = input_spec(model).size
    if options.image_size is None and height != width:
        raise ConfigError(
            f"{name} takes images of {width} x {height} pixels, but only square input is read: set "
            "size if it takes other sizes too"
        )
    image_size = options.image_size or height
    thresholding = resolve_threshold(BEST, options=options)
    if _count_classes(model, image_size) == 1:
        model, options = TwoOutcomes(model), _two_outcomes(model, options)
    return _open(model, options, thresholding, name, image_size=image_size, own=False)


def _two_outcomes(model: nn.Module, options: LocalizerOptions) -> LocalizerOptions:
    """Return what is asked of a classifier of one logit, with names for both of its outcomes.

    One name is the positive outcome's, which is then looked for unless the options say otherwise.
    """
    classes = options.classes
    if classes is None and class_names(model, 1) != ("0",):
        classes = class_names(model, 1)
    if classes is not None and len(classes) not in (1, 2):
        raise ConfigError(
            f"{len(classes)} classes, but {type(model).__name__} has one logit: give one name, of "
            "its positive outcome, or the names of both outcomes"
        )
    if classes is None or len(classes) == 2:
        return replace(options, classes=("0", "1") if classes is None else classes)
    (name,) = classes
    return replace(options, classes=(f"not {name}", name), labels=options.labels or (name,))


def open_run(folder: Path, options: LocalizerOptions) -> LoadedClassifier:
    """Return the network of a run, read as the run says but for what is asked.

    Args:
        folder: of the run, or its name on the Hub.
        options: the options.

    Raises:
        RunError: not a finished run.
        ConfigError: an option does not fit.
    """
    network, run = load_run(folder)
    thresholding = run.thresholding(options)
    loaded = _open(
        network,
        options,
        thresholding,
        # A path would tell whoever gets the report how this machine is laid out.
        str(folder) if is_on_hub(folder) else folder.absolute().name,
        image_size=options.image_size or run.image_size,
        classes=run.classes,
        is_multi_label=run.is_multi_label,
        precision=run.precision,
        run=folder if thresholding.localizer_config.shares_state(run.localizer_config) else None,
    )
    parts = filter(None, (loaded.description, run.choice))
    return replace(loaded, description=", ".join(parts))


def open_exported(path: Path, options: LocalizerOptions) -> LoadedClassifier:
    """Return an exported graph as a classifier.

    Args:
        path: of the file.
        options: the options; those that the graph leaves no choice of must not be there.

    Raises:
        RunError: the file is no such graph.
        ConfigError: an option cannot be changed any more.
    """
    precision = options.precision not in ("auto", "fp32")
    free = ("threshold", "normalization", "device", "precision")
    fixed = {name: value for name, value in vars(options).items() if name not in free}
    for name, value in (fixed | {"precision": precision}).items():
        if value:
            raise ConfigError(
                f"{name} cannot be changed in {path}, an exported graph: "
                "give --run the run folder, or export it again"
            )
    exported = load_exported(path)
    info = exported.info
    return LoadedClassifier(
        model=exported,
        compute=choose_compute("fp32", device="cpu"),
        localizer=ExportedScoreMaps(exported),
        is_fitted=True,
        thresholding=resolve_threshold(
            info.localizer_config,
            info.chosen_threshold,
            options,
            "pseudo_boxes" if info.threshold_from == "pseudo_boxes" else "val",
        ),
        classes=unique_names(info.classes),
        labels=[],
        image_size=info.image_size,
        # The graph normalizes by itself.
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        is_multi_label=info.is_multi_label,
        description=(
            f"{path.name}, {info.localizer_config.localizer}, {info.image_size} pixels, fp32"
        ),
        num_known=len(info.classes),
    )


def prepare_to_localize(model: nn.Module, image_size: int) -> None:
    """Make a network ready to localize, and unfit for training: the same way for every command.

    In bfloat16 the rounding of folded weights moves boxes as much as the precision itself, so
    figures and thresholds are measured with a network that is folded as that of a prediction.

    Args:
        model: of our own, on the CPU; changed in place.
        image_size: side of the input in pixels.
    """
    fuse_batch_norms(model.eval(), probe(model, image_size))


def _open(
    model: nn.Module,
    options: LocalizerOptions,
    thresholding: Thresholding,
    source: str,
    *,
    image_size: int,
    classes: Sequence[str] | None = None,
    is_multi_label: bool = False,
    precision: Precision | None = None,
    run: Path | None = None,
    own: bool = True,
) -> LoadedClassifier:
    """Return a classifier, put on its device.

    Args:
        model: the classifier.
        options: the options.
        thresholding: how it is read.
        source: where it comes from, in words.
        image_size: side of the input in pixels.
        classes: names; default: those that are asked for, or that it knows.
        is_multi_label: whether each logit is a question of its own.
        precision: that the run's threshold was chosen in; None if unknown.
        run: has what the localizer has learnt.
        own: whether nobody else has the classifier.
    """
    if own:
        compute = choose_compute(options.precision, options.device, precision)
    else:
        compute = _own_compute(model, options)
    spec = input_spec(model.model if isinstance(model, TwoOutcomes) else model)
    count = _count_classes(model, image_size)
    if classes is None:
        own_names = class_names(model, count) if count else (OBJECT,)
        classes = own_names if options.classes is None else options.classes
        if len(classes) != len(own_names):
            raise ConfigError(
                f"{len(classes)} classes, but {source} has {count} logits: give a name for each"
            )
    classes = unique_names(classes)
    if options.labels and not count:
        raise ConfigError(
            f"labels: {source} has no classes, it finds objects of any kind; leave labels out, or "
            "use a run that was trained with it"
        )
    labels = class_indices(options.labels, classes)
    if own:
        prepare_to_localize(model, image_size)
        model.to(compute.device)
        model.to(memory_format=torch.channels_last)
    # Only a network of somebody else's may take one size alone; others show their stages at the
    # published size too, which may be large.
    layer_size = min(spec.size[1], max(image_size, LEAST_PROBE)) if own else image_size
    localizer = thresholding.localizer_config.create(
        model, several=is_multi_label or len(labels) > 1, size=layer_size
    )
    has_state = run is not None and load_fitted(run, localizer)
    return LoadedClassifier(
        model=model,
        compute=compute,
        localizer=localizer,
        is_fitted=has_state or not localizer.needs_fit,
        thresholding=thresholding,
        classes=classes,
        labels=labels,
        image_size=image_size,
        mean=options.mean or spec.mean,
        std=options.std or spec.std,
        is_multi_label=is_multi_label,
        description=(
            f"{source}, {thresholding.localizer_config.localizer}, {image_size} pixels, "
            f"{compute.precision}"
        ),
        num_known=len(classes),
    )


def _count_classes(model: nn.Module, image_size: int) -> int:
    """Return the number of logits of an image of a size, 0 for a network without classes."""
    output = check_size(model, image_size)
    return find_logits(output, model).shape[1] if has_classes(model) else 0


_PRECISIONS: dict[torch.dtype, Precision] = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def _own_compute(model: nn.Module, options: LocalizerOptions) -> Compute:
    """Return the device and the precision that somebody else's classifier is read in: its own.

    Args:
        model: the classifier; one with float32 weights is read in the precision that is asked for.
        options: the options.

    Raises:
        ConfigError: the options ask for another device or precision.
    """
    device, weight = device_of(model), first_weight(model)
    if options.device not in ("auto", device.type, str(device)):
        raise ConfigError(
            f"device is {options.device}, but the network is on {device}: leave device out, or "
            f"move "
            "the network first"
        )
    if follows_autocast(model):
        return Compute(device, choose_precision(options.precision, str(device)))
    dtype = torch.float32 if weight is None else weight.dtype
    own = _PRECISIONS.get(dtype, "fp32")
    if options.precision not in ("auto", own):
        kind = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"precision is {options.precision}, but the network computes in {kind}: set precision "
            "to auto, or convert the network first"
        )
    return Compute(device, own)
