"""What the Makefile does when nobody says what to make."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MAKEFILE = Path(__file__).parents[1] / "Makefile"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("targets", [[], ["help"]])
def test_bare_make_shows_what_there_is_and_starts_nothing(
    tmp_path: Path, targets: list[str]
) -> None:
    """Each target with a line of its own, and no folder is made."""
    shutil.copy(MAKEFILE, tmp_path)
    # The suite itself may have been started by make, which tells its children so.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    done = subprocess.run(
        ["make", *targets],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE.read_text(), re.MULTILINE)
    assert phony is not None
    assert sorted(listed) == sorted(phony[1].split())
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
