"""PASCAL VOC, with one XML file per image."""

from wsol.formats._files import FolderWriter, element, pixels
from wsol.results.localization import Localization, box_rows


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
