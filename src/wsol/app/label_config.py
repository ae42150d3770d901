"""What a Label Studio project labels: its configuration, as far as boxes in pictures go."""

from dataclasses import dataclass
from xml.etree import ElementTree

from wsol.errors import ConfigError
from wsol.names import without_index


@dataclass(frozen=True)
class LabelConfig:
    """Where boxes belong in a project.

    Attributes:
        from_name: of the tag that has the labels.
        to_name: of the tag that shows the picture.
        value: key of the picture in a task's data.
        labels: name of a class, as it is written and in small letters, to the label that means it.
    """

    from_name: str
    to_name: str
    value: str
    labels: dict[str, str]

    def label_of(self, class_name: str) -> str | None:
        """Return the label of a class, or None where the project has none.

        Args:
            class_name: as the network has it; small and capital letters are the same, unless the
                project has labels of both. Where two classes have one name, a label of that name
                means both.
        """
        name = class_name.casefold()
        return (
            self.labels.get(class_name)
            or self.labels.get(name)
            or self.labels.get(without_index(name))
        )


def read_label_config(text: object) -> LabelConfig:
    """Return what a labelling configuration says of boxes.

    A label means the class of its own name, and those of its attribute ``predicted_values``, with
    commas between them, as Label Studio's own backends have it.

    Args:
        text: XML, with ``RectangleLabels`` for an ``Image``.

    Raises:
        ConfigError: it is none, or has a document type, which may hold entities without end.

    >>> config = read_label_config(
    ...     '<View><Image name="photo" value="$image"/><RectangleLabels name="box" toName="photo">'
    ...     '<Label value="Bird" predicted_values="jay, magpie"/></RectangleLabels></View>'
    ... )
    >>> config.value, config.label_of("bird"), config.label_of("magpie"), config.label_of("cat")
    ('image', 'Bird', 'Bird', None)
    """
    if not isinstance(text, str) or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ConfigError("the labelling configuration must be XML without a document type")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise ConfigError(f"the labelling configuration cannot be read: {error}") from error
    pictures = {tag.get("name"): tag for tag in root.iter("Image")}
    for tag in root.iter("RectangleLabels"):
        to_name = tag.get("toName", "").split(",")[0].strip()
        value = pictures[to_name].get("value", "") if to_name in pictures else ""
        if value.startswith("$") and tag.get("name"):
            return LabelConfig(tag.get("name", ""), to_name, value[1:], _labels(tag))
    raise ConfigError("the labelling configuration has no RectangleLabels for an Image")


def _labels(tag: ElementTree.Element) -> dict[str, str]:
    labels: dict[str, str] = {}
    own = {each.get("value", ""): each for each in tag.iter("Label")}
    own.pop("", None)
    # Where a label has an alias, annotations are kept under it.
    kept = {value: each.get("alias") or value for value, each in own.items()}
    pairs = [
        (name.strip(), kept[value])
        for value, each in own.items()
        for name in each.get("predicted_values", "").split(",")
    ]
    pairs += [(value, kept[value]) for value in own]
    # A label of the same letters comes before one of other capitals.
    for name, label in pairs:
        labels.setdefault(name, label)
    for name, label in pairs:
        labels.setdefault(name.casefold(), label)
    labels.pop("", None)
    return labels
