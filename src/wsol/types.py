"""What an option chooses from, apart from the code that does it, which takes long to import."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, get_args

from wsol.errors import ConfigError, did_you_mean, shortened

ContourRule = Literal["all", "largest"]
"""Which contours of a map give boxes."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""What networks compute in; auto: what the hardware has."""

Schedule = Literal["step", "onecycle"]
"""Of the learning rate."""

Normalization = Literal["minmax", "max", "pas", "ivr", "otsu"]
"""How a score map is scaled to [0, 1], see ``wsol.maps.normalize``."""

Instances = Literal["single", "multiple"]
"""Boxes of a class in an image: around the largest contour, or of each object of the map."""

Student = Literal["pixels", "psol", "instances"]
"""Localizers that learn in ``wsol distill``, and belong to the runs that it makes alone."""

Reference = Literal["ground_truth", "pseudo_boxes"]
"""Boxes that score maps are compared with in order to choose among them."""

SelectBy = Literal["auto", "ground_truth", "pseudo_boxes"]
"""The reference as an option; ``auto`` takes ground truth where the val split has some."""

FOREGROUND = "foreground"
"""The localizer of runs whose head was trained to make a foreground map."""

ExportFormat = Literal["onnx", "torch"]
"""Of the files that ``wsol export`` writes."""

EXPORT_SUFFIXES: dict[ExportFormat, str] = {"onnx": ".onnx", "torch": ".pt2"}
"""How their names end."""


def distilled_part(localizer: str) -> str | None:
    """Return the first of a localizer's names that is a student's; None where there is none.

    >>> distilled_part("cam * pixels"), distilled_part("cam")
    ('pixels', None)
    """
    return next((name for name in _parts(localizer) if name in get_args(Student)), None)


def is_distilled(localizer: str) -> bool:
    """Return whether a head of the run makes one of a localizer's maps.

    >>> is_distilled("foreground"), is_distilled("cam * pixels"), is_distilled("cam")
    (True, True, False)
    """
    return distilled_part(localizer) is not None or FOREGROUND in _parts(localizer)


def _parts(localizer: str) -> list[str]:
    return [name.strip() for name in localizer.split("*")]


BUNDLED_BACKBONE = "tf_efficientnet_lite0"
"""Its ImageNet weights come with an installed package, so it needs no download."""


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes with their indices added where two are equal.

    Args:
        names: in the order of the logits.

    >>> unique_names(("crane", "crow", "crane"))
    ('crane#0', 'crow', 'crane#2')
    """
    counts = Counter(names)
    unique = tuple(
        f"{name}#{index}" if counts[name] > 1 else name for index, name in enumerate(names)
    )
    return unique if len(set(unique)) == len(unique) else unique_names(unique)


def without_index(name: str) -> str:
    """Return a class's name as it was before ``unique_names``.

    >>> without_index("crane#517"), without_index("crow")
    ('crane', 'crow')
    """
    return re.sub("#[0-9]+$", "", name)


def class_index(name: str, classes: Sequence[str]) -> int:
    """Return the index of a class.

    Args:
        name: of the class, as ``crane`` or ``crane#517``; or its index, unless a class is so named.
        classes: all names, see ``unique_names``.

    Raises:
        ConfigError: there is no such class, or there are several.

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
    """Return the indices of classes, without repetition.

    Args:
        labels: names or indices, as ``class_index`` has them; one text may hold several with commas
            between them, although names may have commas too: the longest name counts.
        classes: all names, see ``unique_names``.

    Raises:
        ConfigError: there is no such class, or there are several.

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
