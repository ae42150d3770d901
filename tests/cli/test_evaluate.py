"""``wsol evaluate --maps``: what is printed, and the status."""

from pathlib import Path

import numpy as np
import pytest

from wsol.cli.main import main
from wsol.cli.table import print_metrics, print_rows

HEADER = "image,class,x0,y0,x1,y1,width,height\n"


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    """Write maps of three images that find their boxes, and return the command."""
    (tmp_path / "maps").mkdir()
    rows = []
    for i, name in enumerate("abc"):
        score_map = np.zeros((20, 20), np.float32)
        score_map[4 : 12 + i, 4 : 12 + i] = 1
        np.save(tmp_path / f"maps/{name}.npy", score_map)
        rows.append(f"{name}.jpg,crow,4,4,12,12,20,20\n")
    (tmp_path / "boxes.csv").write_text(HEADER + "".join(rows))
    maps, boxes = tmp_path / "maps", tmp_path / "boxes.csv"
    return ["evaluate", "--maps", str(maps), "--annotations", str(boxes)]


def test_all_is_well(argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the worst maps and where the files are; faults that are none are not named."""
    assert main([*argv, "--threshold", "0.5"]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert ["MaxBoxAcc,", "IoU", "50", "100.0", "100.0"] in lines
    assert ["Box", "right,", "IoU", "50", "100.0", "100.0"] in lines
    assert ["recall,", "small", "objects", "no", "boxes", "no", "boxes"] in lines
    assert ["images", "3", "3"] in lines
    assert "threshold 0.5" in out
    assert "no map" not in out
    worst = lines.index(["the", "worst", "maps"])
    assert [line[0] for line in lines[worst + 1 : worst + 4]] == ["c.jpg", "b.jpg", "a.jpg"]
    assert lines[-1][:2] == ["wrote", f"{tmp_path / 'maps-evaluation'}:"]
    assert "wrong" not in err


def test_a_fault_is_status_3(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing map, and a broken one, are counted in the table; the rest goes on."""
    (tmp_path / "maps/a.npy").unlink()
    assert main(argv) == 3
    assert ["of", "these:", "no", "map", "1"] in [
        line.split() for line in capsys.readouterr().out.splitlines()
    ]
    np.save(tmp_path / "maps/a.npy", np.zeros(3))
    assert main(argv) == 3
    out, err = capsys.readouterr()
    assert "of these: unreadable" in out
    assert "a.npy: has the shape (3,)" in err
    np.save(tmp_path / "maps/a.npy", np.zeros((3, 3)))
    assert main(argv) == 0
    assert "of these: map shows no object" in capsys.readouterr().out


@pytest.mark.parametrize("switch", ["--ignore-extra", "--ignore_extra", "--ignore-extra=true"])
def test_extra_maps(
    argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], switch: str
) -> None:
    """Refused with one line, or left out."""
    np.save(tmp_path / "maps/x.npy", np.eye(3))
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert err.startswith("wsol: error: ")
    assert "1 score maps are of no image" in err
    assert main([*argv, switch]) == 0


def test_a_file_of_options(argv: list[str], tmp_path: Path) -> None:
    """Whether it is maps or a run is seen in the file as well."""
    file = tmp_path / "c.yaml"
    file.write_text(f"maps: {argv[2]}\nannotations: {argv[4]}\nout: {tmp_path / 'here'}\n")
    assert main(["evaluate", "--config", str(file)]) == 0
    assert (tmp_path / "here/metrics.json").is_file()


def test_help_shows_both_forms(capsys: pytest.CaptureFixture[str]) -> None:
    """A run's options first, then those of maps."""
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.index("usage: wsol evaluate RUN ") < out.index("usage: wsol evaluate --maps MAPS ")
    assert "--ignore_extra" in out


def test_what_a_column_lacks_is_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """A figure that a column does not have is not the same as one without boxes."""
    print_metrics({"a": {"gt_known": None}, "b": {"threshold": 0.5}})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["a", "b"], ["GT-known", "Loc", "no", "boxes"], ["threshold", "0.500"]]


def test_without_ground_truth_no_figure_of_boxes_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """How many images have some is."""
    counts = {"num_images": 9, "num_with_ground_truth": 0}
    print_metrics({"": {"top1_cls": 50.0, "gt_known": None, "threshold": 0.2, **counts}})
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[-1] for line in printed] == ["50.0", "9", "0"]
    print_metrics({"": {"gt_known": 0.0, "threshold": 0.2, **counts, "num_with_ground_truth": 1}})
    printed = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert [line[-1] for line in printed] == ["0.0", "0.200", "9", "1"]


def test_odd_names_stay_on_their_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Line breaks and bytes that are not UTF-8 are shown by their codes."""
    print_rows("title", {"a\nb": "1", "日本\udcff": "2", "日本": "3"})
    assert capsys.readouterr().out == (
        "title\n  a\\nb                1\n  \\u65e5\\u672c\\udcff  2\n  日本                  3\n"
    )
    print_rows("title", {})
    assert capsys.readouterr().out == ""
