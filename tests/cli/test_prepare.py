"""``wsol prepare`` writes a data set and says what is in it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wsol.cli.main import main
from wsol.data.synthetic.toy import toy_images


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Return an archive of OpenImages30k with one image and one mask in each split."""
    path = tmp_path / "open.zip"
    image = tmp_path / "a.jpg"
    next(toy_images(1, seed=0)).image.save(image)
    with zipfile.ZipFile(path, "w") as file:
        for split in ("train", "val", "test"):
            file.write(image, f"{split}/0az/a.jpg")
            file.write(image, f"{split}/0az/a_m0az_1.png")
    return path


def test_prepare_and_verify(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line per split; what is wrong is a line on standard error and status 3."""
    out = str(tmp_path / "out")
    assert main(["prepare", "openimages", str(archive), "--out", out]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "test  1 images (published: 5,000), 1 classes of 1 to 1"
    assert len(lines) == 3
    assert main(["prepare", "openimages", "--out", out, "--verify"]) == 0
    (tmp_path / "out/masks/test/0az/a_m0az_1.png").unlink()
    capsys.readouterr()
    assert main(["prepare", "openimages", "--out", out, "--verify"]) == 3
    shown = capsys.readouterr()
    assert "1 without ground truth" in shown.out
    assert "wsol: test: 1 images have no mask\n" in shown.err


def test_a_refused_archive_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its member leads out of the folder: status 2, and nothing outside."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("../../train/0az/evil.jpg", b"")
    out = str(tmp_path / "deep/er/out")
    assert main(["prepare", "openimages", str(tmp_path / "evil.zip"), "--out", out]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("wsol: error:") == 1
    assert "leads out of the folder; refused" in shown.err
    assert not list(tmp_path.rglob("evil.jpg"))


def test_help_names_the_data_sets_and_loads_no_torch(capsys: pytest.CaptureFixture[str]) -> None:
    """Options are those of the dataclass of each data set."""
    assert main(["prepare", "--help"]) == 0
    assert "cub|imagenet|openimages" in capsys.readouterr().out
    code = (
        "import sys\nfrom wsol.cli.main import main\n"
        "try:\n    main(['prepare', 'imagenet', '--help'])\n"
        "except SystemExit:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--imagenetv2_boxes" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
