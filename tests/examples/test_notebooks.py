"""The notebooks run from the first cell to the last, without a network, and keep their outputs."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]

MAX_BYTES = 300_000
"""Largest file, so that a copy of the project stays small."""

TIMEOUT = 300
"""Seconds for one cell."""


LESS = {
    "train_with_adl_and_compare": (
        ("train=128, val=40, test=60", "train=24, val=8, test=48"),
        ("epochs=4", "epochs=1"),
        ("val_every=4", "val_every=1"),
        ("resize=240", "resize=72, image_size=64"),
    ),
    "boxes_from_your_photos": (),
    "explain_any_classifier": (
        ("toy_scenes(120, seed=0)", "toy_scenes(12, seed=0)"),
        ("toy_scenes(60, seed=1)", "toy_scenes(6, seed=1)"),
    ),
}
"""Numbers that only make a notebook's results better, and smaller ones."""


def _cells(path: Path, kind: str) -> list[dict[str, Any]]:
    """Return the code or the Markdown cells of a file."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == kind]


def _outputs(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [output for cell in cells for output in cell["outputs"]]


def _images(cells: Sequence[dict[str, Any]]) -> int:
    """Return the number of images in the outputs of code cells."""
    kinds = {"image/jpeg", "image/png"}
    return sum(bool(kinds & set(output.get("data", {}))) for output in _outputs(cells))


def test_there_are_notebooks() -> None:
    """The tests below are not empty."""
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_saved_outputs_are_complete_and_small(path: Path) -> None:
    """All code cells were run, in order and without errors, and images are saved."""
    code = _cells(path, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [each for each in _outputs(code) if each["output_type"] == "error"]
    assert _images(code) >= 1
    assert path.stat().st_size <= MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_links_of_notebooks_exist(path: Path) -> None:
    """Relative links in the text, from the folder of the notebook."""
    text = "\n".join("".join(cell["source"]) for cell in _cells(path, "markdown"))
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert links
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_notebooks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With less data, in a temporary folder; the same cells show images as in the saved file."""
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Inside, as notebooks make their folders below it.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    for given, less in LESS[path.stem]:
        (cell,) = (cell for cell in notebook.cells if given in cell.source)
        cell.source = cell.source.replace(given, less)
    # An error in a cell raises nbclient's CellExecutionError.
    nbclient.NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    ran = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert _images(ran) == _images(_cells(path, "code"))
