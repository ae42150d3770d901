"""Loading of runs, exported models and any other classifier for localization."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import torch
from torch import nn

from wsol.errors import ConfigError
from wsol.inference.config import LocalizerOptions
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
    checked,
    refusal,
)
from wsol.runs.hub import is_on_hub
from wsol.runs.run import load_fitted, load_run
from wsol.types import Precision, class_indices, unique_names

SIZE = 448
"""Default input side in pixels, for networks without a run."""

LEAST_PROBE = 224
"""Input side in pixels at which every stage of a network has maps of several pixels."""

OBJECT = "object"
"""Class name of all boxes of a network without classes."""


@dataclass(kw_only=True, eq=False, repr=False)
class LoadedClassifier:
    """Classifier that is ready for localization.

    Unless passed in by the caller, the model is in evaluation mode on the best device. The classes
    are in the order of the logits; the first ``num_known`` have logits, the others are names of
    given labels. The labels are indices of the requested classes. Mean and standard deviation are
    per channel, for images in [0, 1].
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


def open_model(model: object, options: LocalizerOptions) -> LoadedClassifier:
    """Load the model argument of ``Localizer``.

    Raises:
        ConfigError: the model has another type, or an option is invalid.
        RunError: not a finished run or an exported model.
    """
    if isinstance(model, nn.Module):
        return open_classifier(model, options)
    if model is not None and not isinstance(model, str | PathLike):
        raise refusal("model", type(model), "use a torch.nn.Module, a path or None")
    path: Path | None = checked("model", model, Path | None)
    if path is None:
        return open_backbone(options)
    return open_exported(path, options) if is_exported(path) else open_run(path, options)


def open_backbone(options: LocalizerOptions) -> LoadedClassifier:
    """Load a network with its published classifier, or without classes if it has none.

    Raises:
        ConfigError: the backbone does not exist, or an option is invalid.
    """
    image_size = options.image_size or SIZE
    name = options.backbone
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
    """Prepare a classifier of the caller without modifying it.

    Raises:
        ConfigError: an option is invalid.
    """
    model = unwrapped(model)
    name = type(model).__name__
    _, height, width = input_spec(model).size
    if options.image_size is None and height != width:
        raise ConfigError(
            f"{name}: the input is {width} x {height} pixels, but only square input is supported; "
            "set image_size if the network accepts other sizes"
        )
    image_size = options.image_size or height
    thresholding = resolve_threshold(BEST, options=options)
    if _count_classes(model, image_size) == 1:
        model, options = TwoOutcomes(model), _two_outcomes(model, options)
    return _open(model, options, thresholding, name, image_size=image_size, own=False)


def _two_outcomes(model: nn.Module, options: LocalizerOptions) -> LocalizerOptions:
    """Return the options for a classifier with one logit, with names for both outcomes.

    A single name is that of the positive outcome, which is then the default label.
    """
    classes = options.classes
    if classes is None and class_names(model, 1) != ("0",):
        classes = class_names(model, 1)
    if classes is not None and len(classes) not in (1, 2):
        raise ConfigError(
            f"classes: {len(classes)} names, but {type(model).__name__} has one logit; use one "
            "name, for its positive outcome, or names for both outcomes"
        )
    if classes is None or len(classes) == 2:
        return replace(options, classes=("0", "1") if classes is None else classes)
    (name,) = classes
    return replace(options, classes=(f"not {name}", name), labels=options.labels or (name,))


def open_run(folder: Path, options: LocalizerOptions) -> LoadedClassifier:
    """Load the network of a run, with the run's localizer options overridden by the given ones.

    Raises:
        RunError: not a finished run.
        ConfigError: an option is invalid.
    """
    network, run = load_run(folder)
    thresholding = run.thresholding(options)
    loaded = _open(
        network,
        options,
        thresholding,
        # A full path would reveal the machine's folder layout in reports.
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
    """Load an exported model as a classifier.

    Raises:
        RunError: the file is not an exported model.
        ConfigError: an option is fixed by the export.
    """
    fixed = ("localizer", "layers", "affinity", "flip", "scales", "labels", "image_size")
    given = {name: getattr(options, name) for name in (*fixed, "mean", "std")}
    for name, is_set in {**given, "precision": options.precision not in ("auto", "fp32")}.items():
        if is_set:
            raise ConfigError(
                f"{name}: cannot be changed in {path}, an exported model; "
                "set --run to the run folder, or export it again"
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
        # The exported model normalizes its input.
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        is_multi_label=info.is_multi_label,
        description=(
            f"{path.name}, {info.localizer_config.localizer}, {info.image_size} pixels, fp32"
        ),
        num_known=len(info.classes),
    )


def prepare_to_localize(model: nn.Module, image_size: int) -> None:
    """Prepare a network for localization, after which it cannot be trained.

    All commands use this function: in bfloat16, fusing batch norm changes boxes as much as the
    precision does, so thresholds and metrics are computed with a fused network, as in prediction.
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
    """Return a classifier on its device, with its localizer, fitted if the run has its state.

    A classifier that is not ``own`` was passed in by the caller, and is not modified.
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
                f"classes: {len(classes)} names, but {source} has {count} logits; use one name each"
            )
    classes = unique_names(classes)
    if options.labels and not count:
        raise ConfigError(
            f"labels: {source} has no classes and localizes objects of any kind; leave labels out, "
            "or use a run trained with it"
        )
    labels = class_indices(options.labels, classes)
    if own:
        prepare_to_localize(model, image_size)
        model.to(compute.device)
        model.to(memory_format=torch.channels_last)
    # Only a caller's network may accept a single size; for others, layers can be found at the
    # published size, which may be large.
    layer_size = min(spec.size[1], max(image_size, LEAST_PROBE)) if own else image_size
    localizer = thresholding.localizer_config.create(
        model, several=is_multi_label or len(labels) > 1, image_size=layer_size
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
    """Return the number of logits for an input size, 0 for a network without classes."""
    output = check_size(model, image_size)
    return find_logits(output, model).shape[1] if has_classes(model) else 0


_PRECISIONS: dict[torch.dtype, Precision] = {torch.bfloat16: "bf16", torch.float16: "fp16"}


def _own_compute(model: nn.Module, options: LocalizerOptions) -> Compute:
    """Return the device and the precision of a caller's classifier; float32 weights allow others.

    Raises:
        ConfigError: the options request another device or precision.
    """
    device, weight = device_of(model), first_weight(model)
    if options.device not in ("auto", device.type, str(device)):
        raise ConfigError(
            f"device: {options.device} is set, but the network is on {device}; leave device out, "
            "or move the network first"
        )
    if follows_autocast(model):
        return Compute(device, choose_precision(options.precision, str(device)))
    dtype = torch.float32 if weight is None else weight.dtype
    own = _PRECISIONS.get(dtype, "fp32")
    if options.precision not in ("auto", own):
        kind = str(dtype).removeprefix("torch.")
        raise ConfigError(
            f"precision: {options.precision} is set, but the network computes in {kind}; set "
            "precision to auto, or convert the network first"
        )
    return Compute(device, own)
