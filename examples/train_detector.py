"""Train a detector on predicted boxes: torchvision's smallest, for one epoch, on the CPU.

    wsol annotate photos/ --out boxes/
    python examples/train_detector.py boxes/ photos/ --out detector.pt

Boxes of all classes have one class, ``object``, unless ``--classes`` is given. The detector starts
from random weights, so that nothing is downloaded: one epoch shows that the boxes are usable and
that the loss decreases. In practice, use ``weights_backbone="DEFAULT"`` and train for many epochs.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import faster_coco_eval
import torch
from PIL import ImageOps
from torch.utils.data import DataLoader
from torchvision.datasets import CocoDetection
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.transforms.v2.functional import pil_to_tensor

Target = dict[str, torch.Tensor]


class PredictedBoxes(CocoDetection):
    """Images and boxes of a folder written by ``wsol predict --format coco``.

    Args:
        predictions: prediction folder.
        photos: image folder.
        min_score: minimum box score; images without boxes are skipped, as their content is
            unknown.
        by_class: keep the boxes' classes.
    """

    def __init__(self, predictions: Path, photos: Path, min_score: float, by_class: bool) -> None:
        """Read the file."""
        faster_coco_eval.init_as_pycocotools()  # torchvision imports pycocotools.
        super().__init__(photos, predictions / "annotations.json")
        self.min_score, self.by_class = min_score, by_class
        kept = [index for index in self.ids if self._boxes(index)]
        self.num_left_out = len(self.ids) - len(kept)
        self.ids = kept
        # 0 is background, and category ids have gaps.
        self.label_of = {number: place for place, number in enumerate(sorted(self.coco.cats), 1)}
        self.num_classes = 1 + (len(self.label_of) if by_class else 1)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, Target]:
        """Return an image, float (3, H, W) in [0, 1], and its boxes, x0 y0 x1 y1 in pixels."""
        number = self.ids[index]
        # Boxes are in coordinates of the displayed image.
        image = ImageOps.exif_transpose(self._load_image(number))
        rows = self._boxes(number)
        corners = torch.tensor([row["bbox"] for row in rows])
        corners[:, 2:] += corners[:, :2]
        labels = [self.label_of[row["category_id"]] if self.by_class else 1 for row in rows]
        return pil_to_tensor(image) / 255, {"boxes": corners, "labels": torch.tensor(labels)}

    def _boxes(self, number: int) -> list[dict]:
        return [row for row in self._load_target(number) if row["score"] >= self.min_score]


def collate(pairs: list[tuple[torch.Tensor, Target]]) -> tuple[list[torch.Tensor], list[Target]]:
    """Return images and boxes as lists, as sizes differ."""
    images, targets = zip(*pairs, strict=True)
    return list(images), list(targets)


def train_epoch(
    detector: torch.nn.Module, batches: DataLoader, optimizer: torch.optim.Optimizer
) -> Iterator[float]:
    """Train for one epoch, and yield the loss of each step."""
    detector.train()
    for images, targets in batches:
        loss = sum(detector(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        yield loss.item()


def main() -> None:
    """Train, and print the losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("predictions", type=Path, help="folder written by wsol predict")
    parser.add_argument("photos", type=Path, help="folder of the images")
    parser.add_argument("--out", type=Path, default=Path("detector.pt"), help="weights file")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--min-score", type=float, default=0.0)
    parser.add_argument("--classes", action="store_true", help="keep the boxes' classes")
    options = parser.parse_args()

    torch.manual_seed(0)
    data = PredictedBoxes(
        options.predictions, options.photos, options.min_score, by_class=options.classes
    )
    if not len(data):
        raise SystemExit(
            f"{options.predictions}: no box with a score of at least {options.min_score}; "
            "use a lower --min-score"
        )
    print(f"{len(data)} images with boxes")
    if data.num_left_out:
        print(f"left out: {data.num_left_out} images without a box of that score")
    batches = DataLoader(
        data, options.batch_size, shuffle=True, drop_last=len(data) > 1, collate_fn=collate
    )
    detector = ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=data.num_classes
    )
    optimizer = torch.optim.AdamW(detector.parameters(), lr=1e-3)
    for epoch in range(1, options.epochs + 1):
        losses = []
        for loss in train_epoch(detector, batches, optimizer):
            losses.append(loss)
            print(f"epoch {epoch}, step {len(losses)} of {len(batches)}: loss {loss:.2f}")
        share = max(1, len(losses) // 4)
        first, last = sum(losses[:share]) / share, sum(losses[-share:]) / share
        print(f"epoch {epoch}: loss {first:.2f} in its first quarter, {last:.2f} in its last")
    torch.save(detector.state_dict(), options.out)
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
