"""Demonstration on toy images, whose objects class activation maps cover only in part."""

import logging
from collections.abc import Mapping
from pathlib import Path

from wsol.data.images import load_image
from wsol.data.open import open_data
from wsol.data.samples import Samples
from wsol.data.synthetic.toy import write_toy
from wsol.errors import ConfigError
from wsol.evaluation.config import EvaluateConfig
from wsol.evaluation.evaluate import Evaluation, evaluate
from wsol.inference.localizer import Localizer
from wsol.methods import MethodConfig
from wsol.methods.adl import Config as ADLConfig
from wsol.methods.none import Config as NoMethod
from wsol.prediction.config import PredictConfig
from wsol.prediction.predict import predict
from wsol.reports.config import ReportConfig
from wsol.reports.report import report
from wsol.training.config import DemoConfig, TrainConfig
from wsol.training.trainer import train
from wsol.visualization.plots import draw, grid

log = logging.getLogger("wsol")

MAX_IMAGES = 12


def demo(config: DemoConfig) -> dict[str, Evaluation]:
    """Train CAM and ADL on toy images, evaluate both, predict boxes and write a report.

    Args:
        config: the options.

    Returns:
        Evaluation on the test split, by method: ``CAM`` and ``ADL``.

    Raises:
        ConfigError: the output folder is not empty.
    """
    if config.out.exists() and any(config.out.iterdir()):
        raise ConfigError(f"{config.out}: not empty; remove it, or use another --out")
    data = config.out / "data"
    log.info("writing toy images to %s", data)
    write_toy(data, seed=config.seed)
    methods: dict[str, MethodConfig] = {"CAM": NoMethod(), "ADL": demo_adl()}
    results, runs = {}, {}
    for name, method in methods.items():
        log.info("training %s", name)
        runs[name] = train(demo_training(data, config.out / name.lower(), method, config.seed))
        results[name] = evaluate(EvaluateConfig(run=runs[name], report=0))
    boxes = config.out / "boxes"
    predict(
        PredictConfig(
            images=[data / "test"], out=boxes, run=runs["ADL"], report=0, precision="fp32"
        )
    )
    report(ReportConfig(boxes, config.out / "report", boxes=data / "boxes.csv"))
    _draw_comparison(open_data(data)["test"], runs, config.out / "overlays")
    return results


def demo_adl() -> ADLConfig:
    """Return the options of ADL in the demonstration: three layers, as in the paper's networks.

    The layers were chosen on toy images of another seed than those in ``docs/results.md``.
    """
    return ADLConfig(layers=("blocks.4.2.bn2", "blocks.6.0.bn2", "bn2"))


def demo_training(data: Path, out: Path, method: MethodConfig, seed: int) -> TrainConfig:
    """Return the training options that both methods share."""
    return TrainConfig(
        data=data,
        out=out,
        method=method,
        seed=seed,
        epochs=4,
        val_every=4,
        resize=240,
        output_stride=32,
        lr=0.02,
        # Reproduces the table on every processor.
        precision="fp32",
        # Original class activation maps, and batch normalization statistics that adapt to ADL.
        shifted_head=False,
        frozen_bn=False,
    )


def _draw_comparison(samples: Samples, runs: Mapping[str, Path], folder: Path) -> None:
    """Write one row of heat maps for each of some images, and all rows as one overview."""
    folder.mkdir()
    chosen = samples.select(range(0, len(samples), max(len(samples) // MAX_IMAGES, 1)))
    paths = [chosen.path(index) for index in range(len(chosen))]
    columns = [list(Localizer(run, precision="fp32")(paths, chosen.ids)) for run in runs.values()]
    rows = []
    for index, path in enumerate(paths):
        image = load_image(path)
        ground_truth = None if chosen.boxes is None else chosen.boxes[index]
        found = [column[index] for column in columns]
        rows.append([draw(image, result.heat_map, result.boxes, ground_truth) for result in found])
        name = chosen.ids[index].replace("/", "_")
        grid(rows[-1:]).save((folder / name).with_suffix(".jpg"))
    half = (len(rows) + 1) // 2
    sheet = [left + right for left, right in zip(rows[:half], rows[half:], strict=False)]
    grid(sheet).save(folder / "overview.jpg")
