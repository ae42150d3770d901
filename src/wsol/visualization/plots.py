"""Plots with matplotlib: overlays of boxes and heat maps, metric curves and comparisons."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from wsol.data.images import load_image
from wsol.errors import ConfigError, DataError, not_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from wsol.results.localization import Localization

PREDICTED, TRUE = (255, 64, 0), (0, 230, 64)
HEAT_SHARE = 0.45
PEN = 3

STOPS = (0, 50, 102, 128, 153, 204, 255)
RAMP = (
    (40, 20, 90),
    (30, 90, 230),
    (20, 220, 220),
    (152, 240, 112),
    (240, 220, 40),
    (240, 80, 20),
    (128, 10, 10),
)
"""RGB colours at some grey levels, interpolated in between."""


def draw(
    image: Image.Image,
    heat_map: NDArray[np.floating],
    boxes: NDArray[np.floating],
    true_boxes: NDArray[np.floating] | None = None,
    *,
    side: int = 480,
) -> Image.Image:
    """Return an image with its heat map, predicted boxes (orange) and ground truth (green).

    The heat map is ``(H, W)`` in [0, 1]; an empty one is not drawn. ``side`` is the longest side of
    the result in pixels; smaller images keep their size.

    >>> draw(Image.new("RGB", (960, 480)), np.eye(4), np.array([[0.0, 0, 9, 9]])).size
    (480, 240)
    """
    scale = min(side / max(image.size), 1.0)
    size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    canvas = image.resize(size, Image.Resampling.BILINEAR)
    if heat_map.size:
        grey = Image.fromarray((np.clip(heat_map, 0, 1) * 255).astype(np.uint8))
        heat = colours()[np.asarray(grey.resize(size, Image.Resampling.BILINEAR))]
        canvas = Image.blend(canvas, Image.fromarray(heat), HEAT_SHARE)
    pen = ImageDraw.Draw(canvas)
    known = () if true_boxes is None else true_boxes
    for colour, group in ((TRUE, known), (PREDICTED, boxes)):
        for x0, y0, x1, y1 in np.asarray(group, np.float64).reshape(-1, 4) * scale:
            edges = (x0, y0, max(x1 - 1, x0), max(y1 - 1, y0))
            if min(x1 - x0, y1 - y0) < 2 * PEN:
                # The lines would meet, and exceed the box.
                pen.rectangle(edges, fill=colour)
            else:
                pen.rectangle(edges, outline=colour, width=PEN)
    return canvas


def colours() -> NDArray[np.uint8]:
    """Return the colour of each grey level, ``(256, 3)``: dark blue, cyan, yellow, dark red.

    >>> colours()[[0, 128, 255]].tolist()
    [[40, 20, 90], [152, 240, 112], [128, 10, 10]]
    """
    levels = np.arange(256)
    channels = [np.interp(levels, STOPS, values) for values in zip(*RAMP, strict=True)]
    return np.stack(channels, 1).round().astype(np.uint8)


def grid(rows: Sequence[Sequence[Image.Image]], gap: int = 6) -> Image.Image:
    """Arrange images in rows and columns on white; cells have the size of the largest image.

    >>> grid([[Image.new("RGB", (10, 10)), Image.new("RGB", (20, 10))]], gap=2).size
    (44, 12)
    """
    width = max(image.width for row in rows for image in row) + gap
    height = max(image.height for row in rows for image in row) + gap
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)), "white")
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            sheet.paste(image, (x * width + gap // 2, y * height + gap // 2))
    return sheet


ImageLike = Path | str | Image.Image | NDArray[np.uint8]
"""Image file, or its decoded content."""


def plot_localization(
    result: Localization,
    image: ImageLike | None = None,
    *,
    true_boxes: ArrayLike | None = None,
    classes: Sequence[str] = (),
    heat: float = HEAT_SHARE,
    axes: Axes | None = None,
) -> Axes:
    """Draw an image with its heat map, predicted boxes (orange) and ground truth (green).

    The axes are in pixels of the image.

    Args:
        result: result of the image.
        image: image; default: the file of the result's id.
        true_boxes: ground-truth boxes, ``(N, 4)``, x0 y0 x1 y1 in pixels of the image.
        classes: class names, for boxes whose class differs from the image's.
        heat: opacity of the heat map, in [0, 1].
        axes: axes to draw on; default: axes of a new figure.

    Raises:
        ImageError: the image cannot be read.
        ConfigError: matplotlib is not installed.

    >>> from wsol import Localization
    >>> result = Localization("a.jpg", (8, 6), "cat", 0, 0.5, boxes=np.array([[1.0, 2, 5, 6]]),
    ...     box_scores=np.array([0.5]), box_labels=np.array([0]))
    >>> axes = plot_localization(result, Image.new("RGB", (8, 6)))
    >>> axes.get_title(), axes.patches[0].get_xy()
    ('cat 50%', (1.0, 2.0))
    """
    axes = new_axes() if axes is None else axes
    axes.axis("off")
    if result.error is not None:
        axes.set_title(result.error.reason, fontsize="small", wrap=True)
        return axes
    pixels = _pixels(result.image_id if image is None else image)
    width, height = result.original_size
    # From edge to edge, so that boxes are at their pixel coordinates.
    whole = (0.0, float(width), float(height), 0.0)
    axes.imshow(pixels, extent=whole)
    if result.heat_map.size and heat > 0:
        grey = (np.clip(result.heat_map, 0, 1) * 255).astype(np.uint8)
        axes.imshow(colours()[grey], extent=whole, alpha=heat, interpolation="bilinear")
    if true_boxes is not None:
        for box in np.asarray(true_boxes, np.float64).reshape(-1, 4).tolist():
            _add_box(axes, box, TRUE, "")
    for box, score, label in zip(
        result.boxes.tolist(), result.box_scores.tolist(), result.box_labels.tolist(), strict=True
    ):
        known = classes[label] if label < len(classes) else ""
        name = result.label if label == result.class_index else known
        text = f"{name} {score:.0%}" if len(result.boxes) > 1 else ""
        _add_box(axes, box, PREDICTED, text)
    axes.set_title(f"{result.label} {result.score:.0%}", parse_math=False)
    return axes


def plot_grid(
    results: Sequence[Localization],
    images: Sequence[ImageLike] | None = None,
    *,
    columns: int = 4,
    true_boxes: Sequence[ArrayLike] | None = None,
    classes: Sequence[str] = (),
) -> Figure:
    """Draw multiple images, each as ``plot_localization``.

    Args:
        results: results of the images.
        images: images; default: the files of the results' ids.
        columns: images per row.
        true_boxes: ground-truth boxes of each image.
        classes: class names.

    Raises:
        ImageError: an image cannot be read.
        ConfigError: matplotlib is not installed, or ``columns`` is below 1.

    >>> from wsol import Localization
    >>> results = [Localization(name, (8, 6)) for name in "abc"]
    >>> figure = plot_grid(results, [Image.new("RGB", (8, 6))] * 3, columns=2)
    >>> len(figure.axes)
    3
    """
    if columns < 1:
        raise ConfigError(f"columns is {columns}; use at least 1")
    rows = -(-len(results) // columns)
    figure = new_figure(3 * columns, 3 * max(rows, 1))
    for number, result in enumerate(results):
        plot_localization(
            result,
            None if images is None else images[number],
            true_boxes=None if true_boxes is None else true_boxes[number],
            classes=classes,
            axes=figure.add_subplot(rows, columns, number + 1),
        )
    return figure


def plot_curves(
    curves: Mapping[str, Mapping[str, ArrayLike]],
    names: Sequence[str] = (),
    *,
    axes: Axes | None = None,
) -> Axes:
    """Draw metrics over thresholds, of one or more evaluations.

    Args:
        curves: name of an evaluation to its columns in percent, including ``threshold``;
            ``read_curve`` reads them from a file.
        names: columns to draw; default: all.
        axes: axes to draw on; default: new ones.

    Raises:
        ConfigError: a column does not exist, or matplotlib is not installed.

    >>> curve = {"threshold": [0.0, 0.5], "max_box_acc_50": [10.0, 90.0]}
    >>> axes = plot_curves({"CAM": curve, "ADL": curve}, ["max_box_acc_50"])
    >>> [line.get_label() for line in axes.lines]
    ['CAM', 'ADL']
    """
    axes = new_axes() if axes is None else axes
    for evaluation, columns in curves.items():
        shown = names or [name for name in columns if name != "threshold"]
        for name in shown:
            if name not in columns or "threshold" not in columns:
                raise ConfigError(f"{evaluation}: no column {name!r} over threshold")
            parts = (evaluation if len(curves) > 1 else "", name if len(shown) > 1 else "")
            label = ", ".join(part for part in parts if part) or name
            # Lines for all contours are dashed, those for the largest are solid.
            style = "--" if "_v2_" in name else "-"
            axes.plot(
                np.asarray(columns["threshold"]), np.asarray(columns[name]), style, label=label
            )
    axes.set(xlabel="threshold", ylabel="percent", xlim=(0, 1), ylim=(0, 100))
    axes.grid(alpha=0.3)
    _add_legend(axes)
    return axes


def plot_methods(
    figures: Mapping[str, Mapping[str, float | None]],
    names: Sequence[str] = (),
    *,
    axes: Axes | None = None,
) -> Axes:
    """Draw metrics of multiple methods as grouped bars, one group per metric.

    Args:
        figures: name of a method to its metrics in percent, such as ``Evaluation.metrics``.
        names: metrics to draw; default: all that every method has.
        axes: axes to draw on; default: new ones.

    Raises:
        ConfigError: a metric is missing for a method, or matplotlib is not installed.

    >>> axes = plot_methods({"CAM": {"gt_known": 60.0}, "ADL": {"gt_known": 75.0}})
    >>> [float(bar.get_height()) for bars in axes.containers for bar in bars]
    [60.0, 75.0]
    """
    first = next(iter(figures.values()), {})
    everywhere = [
        name for name in first if all(each.get(name) is not None for each in figures.values())
    ]
    shown = list(names) or everywhere
    bars_wide = 0.7 * len(shown) * len(figures) + 2
    axes = new_axes(max(5.0, bars_wide)) if axes is None else axes
    share = 0.8 / max(len(figures), 1)
    for number, (method, each) in enumerate(figures.items()):
        heights = []
        for name in shown:
            height = each.get(name)
            if height is None:
                raise ConfigError(f"{method}: no metric {name!r}")
            heights.append(height)
        places = np.arange(len(shown)) + (number - (len(figures) - 1) / 2) * share
        bars = axes.bar(places, heights, share * 0.92, label=method)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize="small")
    axes.set(ylabel="percent", ylim=(0, 105))
    axes.set_xticks(np.arange(len(shown)), shown, parse_math=False)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    _add_legend(axes)
    return axes


def read_curve(path: Path | str) -> dict[str, NDArray[np.float64]]:
    r"""Return the columns of a ``curve.csv`` written by ``wsol evaluate --maps``.

    Args:
        path: CSV file.

    Raises:
        DataError: the file is unreadable, or a cell is not a number.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "curve.csv").write_text("threshold,iou\n0.0,10\n0.5,90\n")
    ...     read_curve(Path(folder, "curve.csv"))["iou"].tolist()
    [10.0, 90.0]
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file))
        table = np.array(rows, np.float64).reshape(-1, len(header))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a curve file: {error}") from error
    return {name: table[:, number] for number, name in enumerate(header)}


def new_figure(width: float = 7.0, height: float = 4.5) -> Figure:
    """Return a figure in inches without a window or global state.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise not_installed("matplotlib", "wsol[plot]") from error
    return Figure(figsize=(width, height), layout="constrained")


def new_axes(width: float = 7.0, height: float = 4.5) -> Axes:
    """Return the only axes of a new figure."""
    axes: Axes = new_figure(width, height).add_subplot()
    return axes


def _add_legend(axes: Axes) -> None:
    for text in axes.legend().get_texts():
        # Names are data: a dollar sign is not a formula.
        text.set_parse_math(False)


def _pixels(image: ImageLike) -> NDArray[Any]:
    return np.asarray(load_image(image) if isinstance(image, Path | str) else image)


def _add_box(axes: Axes, box: list[float], colour: tuple[int, int, int], text: str) -> None:
    from matplotlib.patches import Rectangle

    x0, y0, x1, y1 = box
    shade = tuple(part / 255 for part in colour)
    axes.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=shade, linewidth=2))
    if text:
        axes.text(
            x0,
            y0,
            text,
            color="white",
            fontsize="x-small",
            verticalalignment="top",
            backgroundcolor=shade,
            parse_math=False,
            clip_on=True,
        )
