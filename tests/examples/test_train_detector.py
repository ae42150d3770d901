"""The example trains on what ``wsol predict`` wrote."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from wsol.data.synthetic.toy import toy_images
from wsol.errors import ImageError
from wsol.formats import PredictionInfo, create_writer
from wsol.results.localization import Localization

EXAMPLE = Path(__file__).parents[2] / "examples/train_detector.py"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of photos and boxes: six images, one turned, one without box, one bad."""
    (tmp_path / "photos").mkdir()
    writer = create_writer(
        "coco", tmp_path, PredictionInfo(("disc", "square"), tmp_path / "photos", 0.2)
    )
    writer.add(Localization("bad.jpg", error=ImageError("bad.jpg", "the file is empty")))
    for number, drawn in enumerate(toy_images(6, seed=0)):
        name, image, exif = f"{number} 日本.png", drawn.image, Image.Exif()
        image.paste((255, 0, 0), (4, 8, 14, 38))
        if number == 1:
            exif[0x0112] = 6
            image.rotate(90, expand=True).save(tmp_path / "photos" / name, exif=exif)
        else:
            image.save(tmp_path / "photos" / name)
        boxes = np.array([[4.0, 8, 14, 38], [0, 0, 10, 10]])[: 0 if number == 5 else 2]
        writer.add(
            Localization(
                name,
                image.size,
                boxes=boxes,
                box_scores=np.array([0.9, 0.1])[: len(boxes)],
                box_labels=np.array([1, 0])[: len(boxes)],
            )
        )
    writer.close()
    return tmp_path


def test_it_sees_boxes_where_they_are(folder: Path) -> None:
    """Of every image that has one of the asked score, the turned one as it is displayed."""
    example: dict[str, Any] = runpy.run_path(str(EXAMPLE))
    data = example["PredictedBoxes"](folder, folder / "photos", min_score=0.5, by_class=True)
    assert len(data) == 5
    assert data.num_classes == 3
    for index in range(len(data)):
        image, target = data[index]
        assert target["boxes"].tolist() == [[4, 8, 14, 38]]
        assert target["labels"].tolist() == [2]
        inside = image[:, 8:38, 4:14]
        assert inside.dtype == torch.float32
        assert (inside.amax((1, 2)) - torch.tensor([1.0, 0, 0])).abs().max() == 0


def test_it_trains_and_says_where_the_weights_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loss for each step, and weights that the detector takes."""
    weights = folder / "detector.pt"
    arguments = [str(folder), str(folder / "photos"), "--out", str(weights)]
    monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *arguments])
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert "5 images with boxes" in lines
    assert sum("left out: 1 " in line for line in lines) == 1
    losses = [float(line.rpartition(" ")[2]) for line in lines if ", step " in line]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert lines[-1] == f"wrote {weights}"
    detector = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2)
    detector.load_state_dict(torch.load(weights, weights_only=True))
