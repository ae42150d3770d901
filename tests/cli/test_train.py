"""``wsol train``: how it leaves."""

import json
import shlex
from pathlib import Path

import pytest

from wsol.cli.main import main
from wsol.cli.train import _better
from wsol.data.synthetic.toy import write_toy
from wsol.training.config import TrainConfig

NETWORK = ("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "1", "--device", "cpu")
SIZES = ("--image_size", "32", "--resize", "36", "--batch_size", "8", "--precision", "fp32")


def test_how_many_images_have_ground_truth_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that boxes of other splits than val have no effect."""
    data = tmp_path / "data"
    write_toy(data, train=8, val=4, test=4)
    header, *rows = (data / "boxes.csv").read_text().splitlines()
    (data / "boxes.csv").unlink()
    argv = ["train", str(data), *NETWORK, *SIZES, "--num_workers", "0"]
    said = {}
    for split in ("test", "val"):
        boxes = tmp_path / f"{split}.csv"
        boxes.write_text("\n".join([header, *(row for row in rows if row.startswith(split))]))
        assert main([*argv, "--boxes", str(boxes), "--out", str(tmp_path / split)]) == 0
        said[split] = capsys.readouterr().err.splitlines()
    assert [line for line in said["test"] if "test.csv" in line and "val split" in line]
    assert not [line for line in said["val"] if "val.csv" in line]
    assert [line for line in said["val"] if "4 of 4 in val" in line and "0 of 4 in test" in line]
    row = json.loads((tmp_path / "val/metrics.jsonl").read_text().splitlines()[-1])
    assert row["val_num_with_ground_truth"] == 4
    row = json.loads((tmp_path / "test/metrics.jsonl").read_text().splitlines()[-1])
    assert (row["val_num_with_ground_truth"], row["val_gt_known"]) == (0, None)


def test_images_of_val_that_cannot_be_read_leave_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is written, they count as wrong, and a program learns of them."""
    write_toy(tmp_path / "data", train=8, val=4, test=4)
    image = tmp_path / "data/val/disc/0001.jpg"
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    network = (
        "--backbone",
        "test_resnet",
        "--pretrained",
        "false",
        "--epochs",
        "2",
        "--device",
        "cpu",
    )
    sizes = ("--image_size", "32", "--resize", "36", "--batch_size", "8", "--precision", "fp32")
    argv = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *network, *sizes]
    argv += ["--num_workers", "0"]
    assert main(argv) == 3
    out, err = capsys.readouterr()
    assert f"wrote {tmp_path / 'run'}" in out
    assert "disc/0001.jpg" in err
    assert (tmp_path / "run/model.safetensors").is_file()
    assert main([*argv, "--resume"]) == 3
    image.write_bytes(whole)
    assert main([*argv, "--resume"]) == 0


def test_each_command_names_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it can be typed, in a folder with a blank in its name, up to other formats."""
    monkeypatch.chdir(tmp_path)
    write_toy(Path("data"), train=8, val=4, test=4)
    network = ("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "1")
    sizes = ("--image_size", "32", "--resize", "36", "--batch_size", "8", "--num_workers", "0")
    here = ("--precision", "fp32", "--device", "cpu")

    def said(command: str) -> list[str]:
        line = next(
            line for line in capsys.readouterr().out.splitlines() if f"wsol {command}" in line
        )
        words = line[line.index(f"wsol {command}") + 5 :].partition(", or ")[0]
        return shlex.split(words.partition("(")[0].replace("IMAGES", "data/test"))

    assert main(["train", "data", "--out", "my run", *network, *sizes, *here]) == 0
    assert main([*said("evaluate"), "--num_workers", "0", "--device", "cpu", "--report", "0"]) == 0
    assert main([*said("predict"), "--num_workers", "0", "--device", "cpu", "--report", "0"]) == 0
    assert main(said("convert")) == 0
    assert Path("boxes/yolo").is_dir()


def test_without_a_test_split_the_next_command_measures_val(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As folders of classes alone have none; a command for test names the option."""
    monkeypatch.chdir(tmp_path)
    write_toy(Path("data"), train=8, val=0, test=0)
    options = ("--val_fraction", "0.5", "--out", "run", *NETWORK, *SIZES, "--num_workers", "0")
    assert main(["train", "data/train", *options]) == 0
    words = shlex.split(capsys.readouterr().out.partition("next, wsol ")[2].partition(", or ")[0])
    assert main([*words, "--num_workers", "0", "--device", "cpu", "--report", "0"]) == 0
    assert main(["evaluate", "run", "--device", "cpu"]) == 2
    assert "--split val" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "better"),
    [
        ({}, "train with --config boxes"),
        ({"localizer": "prototypes"}, "wsol distill 'my run' --out 'my run-distilled'"),
    ],
)
def test_what_gives_better_boxes_is_named(options: dict, better: str) -> None:
    """One path: the settings for boxes, then distilling."""
    config = TrainConfig(data=Path("data"), out=Path("my run"), **options)
    assert _better(config).endswith(better)
