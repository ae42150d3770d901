"""CVAT for images 1.1, a single XML file."""

from pathlib import Path

from wsol.formats._files import FolderWriter, TempTextFile, attributes, element, pixels
from wsol.results.localization import Localization, PredictionInfo, box_rows

_DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'

_SCORE = {
    "name": "score",
    "mutable": "False",
    "input_type": "text",
    "default_value": "",
    "values": "",
}


class CvatWriter(FolderWriter):
    """Writes ``cvat/annotations.xml``, which CVAT imports into a task with the same images.

    Boxes are ``xtl ytl xbr ybr`` in pixels, with the score as the attribute ``score``.
    """

    name = "cvat"

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Check the output folder."""
        super().__init__(folder, info)
        self.images = TempTextFile(folder)
        self.number = 0

    def write(self, result: Localization) -> str:
        """Add an image to the file."""
        width, height = result.original_size
        image = attributes(id=self.number, name=result.image_id, width=width, height=height)
        self.number += 1
        self.images.file.write(f"  <image{image}>\n")
        for corners, score, label in box_rows(result):
            edges = zip(("xtl", "ytl", "xbr", "ybr"), map(pixels, corners), strict=True)
            box = attributes(
                label=self.info.names[label], source="auto", occluded=0, **dict(edges), z_order=0
            )
            self.images.file.write(
                f'    <box{box}>\n      <attribute name="score">{score!r}</attribute>\n    </box>\n'
            )
        self.images.file.write("  </image>\n")
        return "annotations.xml"

    def close(self) -> None:
        """Write the file, and rename its folder to the final name."""
        labels = [
            {"name": name, "type": "rectangle", "attributes": {"attribute": _SCORE}}
            for name in self.info.names
        ]
        task = {
            "name": self.info.images.name,
            "size": self.number,
            "mode": "annotation",
            "labels": {"label": labels},
        }
        with self.folder.path("annotations.xml").open("w", encoding="utf-8") as file:
            file.write(f"{_DECLARATION}<annotations>\n")
            file.write(element("version", "1.1", 2) + element("meta", {"task": task}, 2))
            self.images.copy_to(file)
            file.write("</annotations>\n")
        super().close()
