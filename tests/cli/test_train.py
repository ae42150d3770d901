"""``wsol train``: how it leaves."""

from pathlib import Path

import pytest

from wsol.cli.main import main
from wsol.data.toy import write_toy


def test_pictures_of_val_that_cannot_be_read_leave_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run is written, they count as wrong, and a program learns of them."""
    write_toy(tmp_path / "data", train=8, val=4, test=4)
    picture = tmp_path / "data/val/disc/0001.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:100])
    network = ("--backbone", "test_resnet", "--pretrained", "false", "--epochs", "2", "--cpu")
    sizes = ("--size", "32", "--resize", "36", "--batch_size", "8", "--precision", "fp32")
    argv = ["train", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *network, *sizes]
    argv += ["--workers", "0"]
    assert main(argv) == 3
    out, err = capsys.readouterr()
    assert f"wrote {tmp_path / 'run'}" in out
    assert "disc/0001.jpg" in err
    assert (tmp_path / "run/model.safetensors").is_file()
    assert main([*argv, "--resume"]) == 3
    picture.write_bytes(whole)
    assert main([*argv, "--resume"]) == 0
