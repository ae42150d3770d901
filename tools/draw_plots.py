"""Draw the image of docs/plots.md from the output of ``wsol demo``.

wsol demo --out demo
python tools/draw_plots.py demo docs/images/plots.jpg
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from wsol import Localizer
from wsol.data.open import open_data
from wsol.evaluation.config import EvaluateMapsConfig
from wsol.evaluation.score_maps import evaluate_maps
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.visualization.plots import (
    new_figure,
    plot_curves,
    plot_localization,
    plot_methods,
    read_curve,
)

MAX_IMAGES = (3, 40)
FIGURES = ("gt_known", "top1_loc", "max_box_acc_v2")


def main(demo: Path, out: Path) -> None:
    """Draw two images with both runs, their curves and their metrics."""
    runs = {"CAM": demo / "cam", "ADL": demo / "adl"}
    test = open_data(demo / "data")["test"]
    figure = new_figure(12, 6)
    left, right = figure.subfigures(1, 2)
    cells = left.subplots(len(MAX_IMAGES), len(runs), squeeze=False)
    for column, (name, run) in enumerate(runs.items()):
        paths = [test.path(number) for number in MAX_IMAGES]
        for row, result in enumerate(Localizer(run, device="cpu")(paths)):
            boxes = test.boxes[MAX_IMAGES[row]]
            axes = plot_localization(result, true_boxes=boxes, axes=cells[row, column])
            axes.set_title(f"{name}: {axes.get_title()}")
    above, below = right.subplots(2, 1)
    plot_curves(
        {name: curve_of(demo, run) for name, run in runs.items()}, ["max_box_acc_50"], axes=above
    )
    above.set_title("boxes with IoU of at least 0.5")
    plot_methods(
        {name: json.loads((run / "metrics.json").read_text()) for name, run in runs.items()},
        FIGURES,
        axes=below,
    )
    figure.savefig(out, dpi=80, pil_kwargs={"quality": 85})


def curve_of(demo: Path, run: Path) -> dict:
    """Return the curve of a run's score maps on the test images."""
    with TemporaryDirectory() as work:
        boxes = Path(work, "boxes.csv")
        header, *rows = (demo / "data/boxes.csv").read_text().splitlines(keepends=True)
        boxes.write_text(
            header + "".join(row.removeprefix("test/") for row in rows if row.startswith("test/"))
        )
        predict(
            PredictConfig(
                images=[demo / "data/test"],
                out=Path(work),
                run=run,
                format=("heatmaps",),
                device="cpu",
            )
        )
        evaluate_maps(
            EvaluateMapsConfig(
                Path(work, "heatmaps"),
                boxes,
                out=Path(work, "curve"),
                images=demo / "data/test",
            )
        )
        return read_curve(Path(work, "curve/curve.csv"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
