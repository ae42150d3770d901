"""Label Studio tasks with predictions, and a labeling configuration for them."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from wsol._utils.names import escape_name
from wsol.formats._files import FolderWriter, JsonList, attributes, write_lists
from wsol.results.localization import Localization, PredictionInfo, box_rows


class LabelStudioWriter(FolderWriter):
    """Writes ``labelstudio/tasks.json`` and ``labelstudio/config.xml``.

    The ``image`` of a task is the URL at which Label Studio serves the image as a local file, with
    the folder of the images as document root. Boxes are ``x y width height`` in percent of the
    image as displayed.
    """

    name = "labelstudio"

    def __init__(self, folder: Path, info: PredictionInfo) -> None:
        """Check the output folder."""
        super().__init__(folder, info)
        self.tasks = JsonList(folder)

    def write(self, result: Localization) -> str:
        """Add an image to the tasks."""
        name = escape_name(result.image_id)
        prediction = {
            "model_version": escape_name(self.info.model),
            "score": max(result.box_scores.tolist(), default=0.0),
            "result": regions(result, self.info),
        }
        data = {"image": f"/data/local-files/?d={quote(name)}", "image_id": name}
        self.tasks.add({"data": data, "predictions": [prediction]})
        return "tasks.json"

    def close(self) -> None:
        """Write the files, and rename their folder to the final name."""
        write_lists(self.folder.path("tasks.json"), self.tasks)
        config = labelling_config(self.info)
        self.folder.path("config.xml").write_text(config, encoding="utf-8")
        super().close()


def regions(result: Localization, info: PredictionInfo) -> list[dict[str, Any]]:
    """Return the boxes of an image as the ``result`` of a Label Studio prediction.

    Args:
        result: localization of an image.
        info: information on the prediction, with the classes.

    >>> regions(Localization("a.jpg", (8, 6)), PredictionInfo(("cat",), Path("photos"), 0.2))
    []
    """
    width, height = result.original_size
    return [
        {
            "id": f"box{number}",
            "type": "rectanglelabels",
            "from_name": "label",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": score,
            "value": {
                "x": 100 * x0 / width,
                "y": 100 * y0 / height,
                "width": 100 * (x1 - x0) / width,
                "height": 100 * (y1 - y0) / height,
                "rotation": 0,
                "rectanglelabels": [escape_name(info.names[label])],
            },
        }
        for number, ((x0, y0, x1, y1), score, label) in enumerate(box_rows(result), start=1)
    ]


def labelling_config(info: PredictionInfo) -> str:
    """Return the labeling configuration for ``regions``, as XML.

    Args:
        info: information on the prediction, with the classes.

    >>> print(labelling_config(PredictionInfo(("<b>",), Path("photos"), 0.2)), end="")
    <View>
      <Image name="image" value="$image"/>
      <RectangleLabels name="label" toName="image">
        <Label value="&lt;b&gt;"/>
      </RectangleLabels>
    </View>
    """
    labels = "".join(f"    <Label{attributes(value=name)}/>\n" for name in info.names)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        '  <RectangleLabels name="label" toName="image">\n'
        f"{labels}  </RectangleLabels>\n</View>\n"
    )
