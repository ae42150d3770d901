"""PASCAL VOC, with one XML file per image."""

from pathlib import Path

from wsol.formats._files import AtomicFolder, element, pixels
from wsol.results.localization import Localization, PredictionInfo


class VocWriter:
    """Writes ``voc/Annotations/``, with an XML file for each readable image.

    ``xmin ymin xmax ymax`` are the edges of the box as in the rest of wsol: from 0 to the width and
    height of the image, with decimals. Each object has an additional ``score``.

    Args:
        folder: existing output folder.
        info: information on the prediction, with the classes.

    Raises:
        ConfigError: an existing folder ``voc`` was not written by wsol.
    """

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Check the output folder."""
        self.info = info
        self.folder = AtomicFolder(folder, "voc")

    def add(self, result: Localization) -> None:
        """Add an image."""
        if result.error is not None:
            self.folder.note(result)
            return
        file = f"Annotations/{self.folder.stem('Annotations', result, '.xml')}.xml"
        self.folder.note(result, file)
        objects = "".join(
            _object(self.info.names[label], score, box)
            for box, score, label in zip(
                result.boxes.tolist(),
                result.box_scores.tolist(),
                result.box_labels.tolist(),
                strict=True,
            )
        )
        width, height = result.original_size
        self.folder.path(file).write_text(
            "<annotation>\n"
            + element("folder", self.info.images.name, 2)
            + element("filename", result.image_id, 2)
            + "  <source>\n"
            + element("database", "wsol", 4)
            + "  </source>\n  <size>\n"
            + element("width", width, 4)
            + element("height", height, 4)
            + element("depth", 3, 4)
            + "  </size>\n"
            + element("segmented", 0, 2)
            + objects
            + "</annotation>\n",
            encoding="utf-8",
        )

    def close(self) -> None:
        """Rename the folder to its final name."""
        (self.folder.chunk / "Annotations").mkdir(exist_ok=True)
        self.folder.close()


def _object(name: str, score: float, box: list[float]) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    return (
        "  <object>\n"
        + element("name", name, 4)
        + element("pose", "Unspecified", 4)
        + element("truncated", 0, 4)
        + element("difficult", 0, 4)
        + element("score", score, 4)
        + "    <bndbox>\n"
        + "".join(element(corner, pixels(value), 6) for corner, value in corners)
        + "    </bndbox>\n  </object>\n"
    )
