"""Formats of XML files: CVAT for images 1.1, and PASCAL VOC."""

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


class VocWriter(FolderWriter):
    """Writes ``voc/Annotations/``, with an XML file for each readable image.

    ``xmin ymin xmax ymax`` are the edges of the box as in the rest of wsol: from 0 to the width and
    height of the image, with decimals. Each object has an additional ``score``.
    """

    name = "voc"

    def write(self, result: Localization) -> str:
        """Write the file of an image."""
        width, height = result.original_size
        objects = [
            {
                "name": self.info.names[label],
                "pose": "Unspecified",
                "truncated": 0,
                "difficult": 0,
                "score": score,
                "bndbox": dict(
                    zip(("xmin", "ymin", "xmax", "ymax"), map(pixels, box), strict=True)
                ),
            }
            for box, score, label in box_rows(result)
        ]
        annotation = {
            "folder": self.info.images.name,
            "filename": result.image_id,
            "source": {"database": "wsol"},
            "size": {"width": width, "height": height, "depth": 3},
            "segmented": 0,
            "object": objects,
        }
        file = f"Annotations/{self.folder.stem('Annotations', result, '.xml')}.xml"
        self.folder.path(file).write_text(element("annotation", annotation), encoding="utf-8")
        return file

    def close(self) -> None:
        """Rename the folder to its final name."""
        (self.folder.chunk / "Annotations").mkdir(exist_ok=True)
        super().close()
