"""CVAT for images 1.1: one XML file."""

from pathlib import Path

from wsol.formats._files import Spool, Tree, attributes, element, pixels
from wsol.results.localization import About, Localization

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


class CvatWriter:
    """Writes ``cvat/annotations.xml``, which CVAT imports into a task with the same pictures.

    Boxes are ``xtl ytl xbr ybr`` in pixels; each has its score as the attribute ``score``.

    Args:
        folder: to write to; it exists.
        about: has the classes.

    Raises:
        ConfigError: a folder ``cvat`` is there that was not written by wsol.
    """

    def __init__(self, folder: Path, about: About) -> None:
        """Start with no pictures."""
        self.about = about
        self.tree = Tree(folder, "cvat")
        self.images = Spool(folder)
        self.number = 0

    def add(self, result: Localization) -> None:
        """Add one picture."""
        if result.error is not None:
            self.tree.note(result)
            return
        self.tree.note(result, "annotations.xml")
        width, height = result.image_size
        image = attributes(id=self.number, name=result.image_id, width=width, height=height)
        self.number += 1
        self.images.file.write(f"  <image{image}>\n")
        for (x0, y0, x1, y1), score, label in zip(
            result.boxes.tolist(),
            result.box_scores.tolist(),
            result.box_labels.tolist(),
            strict=True,
        ):
            corners = {"xtl": x0, "ytl": y0, "xbr": x1, "ybr": y1}
            box = attributes(
                label=self.about.names[label],
                source="auto",
                occluded=0,
                **{name: pixels(value) for name, value in corners.items()},
                z_order=0,
            )
            self.images.file.write(
                f'    <box{box}>\n      <attribute name="score">{score!r}</attribute>\n    </box>\n'
            )
        self.images.file.write("  </image>\n")

    def close(self) -> None:
        """Write the file, and move its folder to its place."""
        with self.tree.path("annotations.xml").open("w", encoding="utf-8") as file:
            file.write(f"{_DECLARATION}<annotations>\n  <version>1.1</version>\n")
            file.write("  <meta>\n    <task>\n")
            file.write(element("name", self.about.images.name, 6))
            file.write(element("size", self.number, 6))
            file.write(element("mode", "annotation", 6))
            file.write("      <labels>\n")
            file.writelines(map(_label, self.about.names))
            file.write("      </labels>\n    </task>\n  </meta>\n")
            self.images.copy_to(file)
            file.write("</annotations>\n")
        self.tree.close()


def _label(name: str) -> str:
    return (
        "        <label>\n"
        + element("name", name, 10)
        + element("type", "rectangle", 10)
        + "          <attributes>\n            <attribute>\n"
        + element("name", "score", 14)
        + element("mutable", "False", 14)
        + element("input_type", "text", 14)
        + element("default_value", "", 14)
        + element("values", "", 14)
        + "            </attribute>\n          </attributes>\n        </label>\n"
    )
