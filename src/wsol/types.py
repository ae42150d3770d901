"""Choices of options and names of classes, in a module that is fast to import."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from wsol.errors import ConfigError, did_you_mean, shortened

ContourRule = Literal["all", "largest"]
"""Contours of a map that boxes are made of."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""Precision of the computation; ``auto`` depends on the hardware."""

Schedule = Literal["step", "onecycle"]
"""Learning rate schedule."""

Normalization = Literal["minmax", "max", "pas", "ivr", "otsu"]
"""Scaling of a score map to [0, 1], see ``wsol.maps.normalize``."""

Instances = Literal["single", "multiple"]
"""Boxes of a class in an image: one around the largest contour, or one per object of the map."""

Student = Literal["pixels", "psol", "instances"]
"""Localizers that ``wsol distill`` trains; they are only available in distilled runs."""

Reference = Literal["ground_truth", "pseudo_boxes"]
"""Boxes that score maps are compared with to select among them."""

SelectBy = Literal["auto", "ground_truth", "pseudo_boxes"]
"""Reference as an option; ``auto`` uses ground truth if the val split has any."""

FOREGROUND = "foreground"
"""Localizer of runs whose head was trained to predict a foreground map."""

ExportFormat = Literal["onnx", "torch"]
"""Format of the files that ``wsol export`` writes."""

EXPORT_SUFFIXES: dict[ExportFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""File name suffix of each export format."""


def distilled_part(localizer: str) -> str | None:
    """Return the first name in a localizer that is a student, or None.

    >>> distilled_part("cam * pixels"), distilled_part("cam")
    ('pixels', None)
    """
    return next((name for name in _parts(localizer) if name in get_args(Student)), None)


def is_distilled(localizer: str) -> bool:
    """Return whether a head of the run predicts one of a localizer's maps.

    >>> is_distilled("foreground"), is_distilled("cam * pixels"), is_distilled("cam")
    (True, True, False)
    """
    return distilled_part(localizer) is not None or FOREGROUND in _parts(localizer)


def _parts(localizer: str) -> list[str]:
    return [name.strip() for name in localizer.split("*")]


BUNDLED_BACKBONE = "tf_efficientnet_lite0"
"""Default backbone. An installed package contains its ImageNet weights, so it needs no download."""


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return unique class names: names that occur more than once get their index appended.

    >>> unique_names(("crane", "crow", "crane"))
    ('crane#0', 'crow', 'crane#2')
    """
    counts = Counter(names)
    unique = tuple(
        f"{name}#{index}" if counts[name] > 1 else name for index, name in enumerate(names)
    )
    return unique if len(set(unique)) == len(unique) else unique_names(unique)


def without_index(name: str) -> str:
    """Return a class name without the index that ``unique_names`` appended.

    >>> without_index("crane#517"), without_index("crow")
    ('crane', 'crow')
    """
    return re.sub("#[0-9]+$", "", name)


def class_index(name: str, classes: Sequence[str]) -> int:
    """Return the index of a class.

    Args:
        name: name of the class, such as ``crane`` or ``crane#517``, or its index; if a class is
            named like an index, the name takes precedence.
        classes: names of all classes, see ``unique_names``.

    Raises:
        ConfigError: no class or more than one class has this name.

    >>> class_index("dog", ("cat", "dog")), class_index("0", ("cat", "dog"))
    (1, 0)
    """
    if name in classes:
        return classes.index(name)
    if re.fullmatch("[0-9]{1,9}", name) and int(name) < len(classes):
        return int(name)
    equal = [each for each in classes if re.fullmatch(re.escape(name) + "#[0-9]+", each)]
    if equal:
        raise ConfigError(
            f"labels: {shortened(name)!r} is the name of {len(equal)} classes; use one of: "
            + ", ".join(equal[:5])
        )
    synonyms = [each for each in classes if name in map(str.strip, each.split(","))]
    raise ConfigError(
        f"labels: no class {shortened(name)!r}; "
        + (f"did you mean {synonyms[0]!r}?" if synonyms else did_you_mean(name, classes))
    )


def class_indices(labels: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the indices of classes, without duplicates.

    Args:
        labels: names or indices, see ``class_index``. A string may contain several, separated by
            commas; as names may contain commas too, the longest known name is matched first.
        classes: names of all classes, see ``unique_names``.

    Raises:
        ConfigError: no class or more than one class has one of the names.

    >>> class_indices(["hen, cock,crow"], ("crow", "cock", "hen, cock"))
    [2, 0]
    """
    known = set(classes)
    found: list[int] = []
    for label in labels:
        parts = label.split(",")
        while parts:
            joined = ((",".join(parts[:end]).strip(), end) for end in range(len(parts), 0, -1))
            name, end = next((each for each in joined if each[0] in known), (parts[0].strip(), 1))
            found.append(class_index(name, classes))
            parts = parts[end:]
    return list(dict.fromkeys(found))
