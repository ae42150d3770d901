"""CVAT for images 1.1, a single XML file."""

from pathlib import Path

from wsol.formats._files import AtomicFolder, TempTextFile, attributes, element, pixels
from wsol.results.localization import Localization, PredictionInfo

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'


class CvatWriter:
    """Writes ``cvat/annotations.xml``, which CVAT imports into a task with the same images.

    Boxes are ``xtl ytl xbr ybr`` in pixels, with the score as the attribute ``score``.

    Args:
        folder: existing output folder.
        info: information on the prediction, with the classes.

    Raises:
        ConfigError: an existing folder ``cvat`` was not written by wsol.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Check the output folder."""
        self.info = info
        self.folder = AtomicFolder(folder, "cvat")
        self.images = TempTextFile(folder)
        self.number = 0

    def add(self, result: Localization) -> None:
        """Add an image."""
        if result.error is not None:
            self.folder.note(result)
            return
        self.folder.note(result, "annotations.xml")
        width, height = result.original_size
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
                label=self.info.names[label],
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
        """Write the file, and rename its folder to the final name."""
        with self.folder.path("annotations.xml").open("w", encoding="utf-8") as file:
            file.write(f"{_DECLARATION}<annotations>\n  <version>1.1</version>\n")
            file.write("  <meta>\n    <task>\n")
            file.write(element("name", self.info.images.name, 6))
            file.write(element("size", self.number, 6))
            file.write(element("mode", "annotation", 6))
            file.write("      <labels>\n")
            file.writelines(map(_label, self.info.names))
            file.write("      </labels>\n    </task>\n  </meta>\n")
            self.images.copy_to(file)
            file.write("</annotations>\n")
        self.folder.close()


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
