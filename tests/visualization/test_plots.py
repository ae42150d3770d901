"""What is drawn is what the results say."""

import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure
from PIL import Image

from wsol.errors import ConfigError, DataError, ImageError
from wsol.results.localization import Localization
from wsol.visualization.plots import (
    colours,
    plot_curves,
    plot_grid,
    plot_localization,
    plot_methods,
    read_curve,
)

RESULT = Localization(
    "a.png",
    (40, 20),
    "cat",
    1,
    0.75,
    heat_map=np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10),
    boxes=np.array([[4.0, 2, 20, 18], [30, 1, 40, 5]]),
    box_scores=np.array([0.75, 0.25]),
    box_labels=np.array([1, 0]),
)
PIXELS = np.random.default_rng(0).integers(0, 255, (20, 40, 3), dtype=np.uint8)


def edges(patch: mpl.patches.Rectangle) -> list[float]:
    """Return x0 y0 x1 y1 of a drawn box."""
    x, y = patch.get_xy()
    return [x, y, x + patch.get_width(), y + patch.get_height()]


def test_image_heat_and_boxes_are_where_they_belong() -> None:
    """In pixels of the image, from edge to edge; true boxes have another colour."""
    axes = RESULT.plot(PIXELS, true_boxes=[[5, 3, 21, 19]], classes=("dog", "cat"))
    photo, heat = axes.images
    assert np.array_equal(photo.get_array(), PIXELS)
    assert np.array_equal(heat.get_array(), colours()[(RESULT.heat_map * 255).astype(np.uint8)])
    assert photo.get_extent() == heat.get_extent() == [0, 40, 20, 0]
    true, *predicted = axes.patches
    assert edges(true) == [5, 3, 21, 19]
    assert [edges(patch) for patch in predicted] == RESULT.boxes.tolist()
    assert true.get_edgecolor() != predicted[0].get_edgecolor() == predicted[1].get_edgecolor()
    assert axes.get_title() == "cat 75%"
    assert [text.get_text() for text in axes.texts] == ["cat 75%", "dog 25%"]


def test_the_image_is_read_where_the_result_says(tmp_path: Path) -> None:
    """Or at the given path; a missing file is a separate error."""
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    for axes in (
        replace(RESULT, image_id=str(tmp_path / "a.png")).plot(),
        RESULT.plot(tmp_path / "a.png"),
        RESULT.plot(Image.fromarray(PIXELS)),
    ):
        assert np.array_equal(axes.images[0].get_array(), PIXELS)
    with pytest.raises(ImageError, match="no such file"):
        RESULT.plot(tmp_path / "b.png")


def test_a_image_without_boxes_or_map_or_that_is_bad() -> None:
    """What is not there is not drawn; why an image is bad is written."""
    nothing = Localization("a.png", (40, 20), "cat", 0, 0.5)
    axes = nothing.plot(PIXELS)
    assert (len(axes.images), len(axes.patches)) == (1, 0)
    bad = Localization("a.png", error=ImageError("a.png", "the file is empty"))
    axes = bad.plot()
    assert (len(axes.images), axes.get_title()) == (0, "the file is empty")


def test_a_grid_has_each_image_in_its_place() -> None:
    """Row by row; true boxes belong to their own image."""
    results = [replace(RESULT, label=name) for name in "abc"]
    figure = plot_grid(
        results, [PIXELS] * 3, columns=2, true_boxes=[[[0, 0, 1, 1]], np.zeros((0, 4)), []]
    )
    assert [axes.get_title() for axes in figure.axes] == ["a 75%", "b 75%", "c 75%"]
    assert [len(axes.patches) for axes in figure.axes] == [3, 2, 2]
    figure.draw_without_rendering()
    first, second, third = (axes.get_position() for axes in figure.axes)
    assert first.x0 < second.x0
    assert first.x0 == pytest.approx(third.x0, abs=0.02)
    assert third.y1 < first.y0
    assert not plot_grid([]).axes
    with pytest.raises(ConfigError, match="columns is 0"):
        plot_grid(results, [PIXELS] * 3, columns=0)


def test_curves_are_their_columns(tmp_path: Path) -> None:
    """Of several evaluations, each line has its data and its name."""
    (tmp_path / "curve.csv").write_text(
        "threshold,max_box_acc_50,max_box_acc_v2_50\n0.0,10,5\n0.5,90,80\n"
    )
    curve = read_curve(tmp_path / "curve.csv")
    other = {"threshold": [0.0, 0.5], "max_box_acc_50": [20.0, 70.0]}
    axes = plot_curves({"CAM": curve, "$ADL": other}, ["max_box_acc_50"])
    assert [line.get_label() for line in axes.lines] == ["CAM", "$ADL"]
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[0, 10], [0.5, 90]],
        [[0, 20], [0.5, 70]],
    ]
    axes = plot_curves({"CAM": curve})
    assert [(line.get_label(), line.get_linestyle()) for line in axes.lines] == [
        ("max_box_acc_50", "-"),
        ("max_box_acc_v2_50", "--"),
    ]
    with pytest.raises(ConfigError, match="ADL: no column 'max_box_acc_v2_50'"):
        plot_curves({"CAM": curve, "ADL": other}, ["max_box_acc_v2_50"])


@pytest.mark.parametrize("content", ["", "threshold,a\n0,x\n", "threshold,a\n0\n"])
def test_what_is_no_curve_is_refused(tmp_path: Path, content: str) -> None:
    """In one line that names the file."""
    (tmp_path / "curve.csv").write_text(content)
    with pytest.raises(DataError, match=r"curve\.csv: not a curve file"):
        read_curve(tmp_path / "curve.csv")
    with pytest.raises(DataError, match="not a curve file"):
        read_curve(tmp_path)


def test_methods_are_bars_of_their_height() -> None:
    """A group for each figure; figures that a method lacks are left out unless asked for."""
    figures = {
        "CAM": {"gt_known": 60.0, "top1_loc": 50.0, "pxap": None, "num_images": 3},
        "ADL": {"gt_known": 75.0, "top1_loc": 55.0, "pxap": 40.0},
    }
    axes = plot_methods(figures)
    heights = [[bar.get_height() for bar in bars] for bars in axes.containers]
    assert heights == [[60, 50], [75, 55]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["gt_known", "top1_loc"]
    centres = [[bar.get_x() + bar.get_width() / 2 for bar in bars] for bars in axes.containers]
    assert np.allclose(np.mean(centres, 0), [0, 1])
    assert centres[0][0] < centres[1][0]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["CAM", "ADL"]
    with pytest.raises(ConfigError, match="CAM: no metric 'pxap'"):
        plot_methods(figures, ["pxap"])


def test_nothing_global_is_touched(tmp_path: Path) -> None:
    """No window, no state of pyplot, no settings; names with dollars can be drawn."""
    settings = dict(mpl.rcParams)
    curve = {"threshold": [0.0], "$a": [1.0], "b": [2.0]}
    for number, axes in enumerate(
        (
            replace(RESULT, label="a$b$\\frac").plot(PIXELS),
            plot_curves({"$x": curve, "y": curve}),
            plot_methods({"$\\frac": {"$\\frac": 1.0}}),
        )
    ):
        assert isinstance(axes.figure, Figure)
        axes.figure.savefig(tmp_path / f"{number}.png")
    assert dict(mpl.rcParams) == settings
    assert not Gcf.get_all_fig_managers()


def test_drawing_on_given_axes() -> None:
    """They are the ones that come back."""
    axes = Figure().add_subplot()
    assert plot_localization(RESULT, PIXELS, axes=axes) is axes
    assert plot_curves({"a": {"threshold": [0], "b": [1]}}, axes=axes) is axes
    assert plot_methods({"a": {"b": 1.0}}, axes=axes) is axes


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match=r"pip install .wsol\[plot\]"):
        RESULT.plot(PIXELS)
