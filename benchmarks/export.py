"""Exported models compared with their networks: supported combinations, and differences.

    python benchmarks/export.py
    python benchmarks/export.py --networks resnet18 test_vit --localizers cam
    python benchmarks/export.py --boxes ../shared/data/cats ...

For each network (random weights, as differences come from operations) and each localizer one model
is exported, loaded from its file, and compared on new images. The table has the differences of
logits and maps, relative to the largest value, and the file size, or the reason why the export is
not possible.

``--boxes`` instead counts how many of 24 images of a folder have the same boxes with ONNX as with
the network, with the default localizer fitted to that folder.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from wsol import Localizer
from wsol.data.images import find_images
from wsol.errors import WsolError
from wsol.inference.export import export_localizer
from wsol.inference.exported import READERS
from wsol.localizers import list_localizers
from wsol.localizers.distilled import DistilledLocalizer
from wsol.localizers.distilled_heads import BoxHead, PixelHead
from wsol.models import create_network
from wsol.models.published import published_names
from wsol.types import BUNDLED_BACKBONE, EXPORT_SUFFIXES

NETWORKS = (
    BUNDLED_BACKBONE,
    *published_names(),
    "resnet18",
    "convnext_atto",
    "mobilenetv3_small_100",
    "regnety_002",
    "densenet121",
    "test_vit",
    "deit_tiny_patch16_224",
    "swin_tiny_patch4_window7_224",
)
ALL_LOCALIZERS = (*list_localizers(), "feature_norm*ddt")
FIRST = "test_resnet"
"""Network for all localizers; the others use the first few."""


def make(network: str, localizer: str, size: int) -> Localizer:
    """Return a fitted localizer of a new network."""
    torch.manual_seed(0)
    options = {"affinity": "auto"} if "*" in localizer else {}
    learnt = localizer in ("pixels", "psol")
    model = create_network(network, num_classes=10, pretrained=False, size=size).eval()
    locate = Localizer(
        model,
        localizer=localizer,
        image_size=size,
        device="cpu",
        precision="fp32",
        layers="layer4" if learnt else (),
        **options,
    )
    own = locate.localizer
    if isinstance(own, DistilledLocalizer):
        own.head = (PixelHead if localizer == "pixels" else BoxHead)(channels=96)
    elif own.needs_fit:
        own.fit([torch.randn(4, 3, size, size)])
    locate.is_fitted = True
    return locate


def compare(locate: Localizer, form: str, folder: Path) -> str:
    """Return the cells of a row: differences and size, or the export error."""
    path = folder / f"graph{EXPORT_SUFFIXES[form]}"
    started = time.perf_counter()
    try:
        export_localizer(locate, path, form)
    except WsolError as error:
        return f"| | | | {error} |"
    seconds = time.perf_counter() - started
    images = torch.rand(3, 3, locate.image_size, locate.image_size)
    mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in (locate.mean, locate.std))
    own = locate.localizer.locate((images - mean) / std)
    found = READERS[form](path)(images)
    shares = [
        float((a - b).abs().max() / b.abs().max())
        for a, b in ((found.logits, own.logits), (found.maps, own.maps))
    ]
    megabytes = path.stat().st_size / 1e6
    return f"| {shares[0]:.1e} | {shares[1]:.1e} | {megabytes:.1f} | in {seconds:.0f} s |"


def count_equal_boxes(folder: Path, count: int = 24) -> str:
    """Return how many images have the same boxes by ONNX and the network, and the largest step.

    The step is the largest difference between boxes, relative to the image's longer side.
    """
    paths = [folder / name for name in find_images(folder)]
    chosen = [paths[index * len(paths) // count] for index in range(count)]
    locate = Localizer(device="cpu", precision="fp32", scaled_decoding=False)
    locate.fit(paths)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.onnx"
        export_localizer(locate, path)
        exported = Localizer(path, scaled_decoding=False)
        pairs = list(zip(locate(chosen), exported(chosen), strict=True))
    equal = [np.array_equal(own.boxes, other.boxes) for own, other in pairs]
    steps = [
        float(np.abs(own.boxes - other.boxes).max(initial=0)) / max(own.original_size)
        for own, other in pairs
        if own.boxes.shape == other.boxes.shape
    ]
    return f"| {folder.name} | {sum(equal)} of {count} | {max(steps):.4f} |"


def main() -> None:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", help="names of networks; default: all of the list")
    parser.add_argument("--localizers", nargs="+", default=["cam", "feature_norm*ddt"])
    parser.add_argument(
        "--forms", nargs="+", choices=EXPORT_SUFFIXES, default=list(EXPORT_SUFFIXES)
    )
    parser.add_argument("--image_size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--boxes", type=Path, nargs="+", default=[], help="folders of images")
    given = parser.parse_args()
    if given.boxes:
        print("| images | same boxes | largest difference |\n|---|---|---|")
        for folder in given.boxes:
            print(count_equal_boxes(folder), flush=True)
        return
    rows = [(FIRST, name, 64) for name in ALL_LOCALIZERS] if given.networks is None else []
    rows += [
        (network, name, 160 if network == "test_vit" else given.size)
        for network in given.networks or NETWORKS
        for name in given.localizers
    ]
    print("| network | localizer | format | logits | maps | MB | |\n|---|---|---|---|---|---|---|")
    for network, name, size in rows:
        for form in given.forms:
            try:
                locate = make(network, name, size)
                with tempfile.TemporaryDirectory() as folder:
                    cells = compare(locate, form, Path(folder))
            except WsolError as error:
                cells = f"| | | | {error} |"
            print(f"| {network} | {name} | {form} {cells}", flush=True)


if __name__ == "__main__":
    main()
