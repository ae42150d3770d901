"""The files in the root folder agree with the package."""

import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_versions_agree(capsys: pytest.CaptureFixture[str]) -> None:
    """A tag is accepted if it is the version with a leading v."""
    tool = runpy.run_path(str(ROOT / "tools/check_version.py"))
    version = tool["versions"]()["pyproject.toml"]
    assert tool["main"]([]) == 0, capsys.readouterr().out
    assert tool["main"]([f"v{version}"]) == 0
    assert tool["main"](["v0.0.0"]) == 1
    assert "v0.0.0" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "llms.txt"])
def test_linked_files_exist(page: str) -> None:
    """Relative links of a page in the root folder."""
    text = (ROOT / page).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_llms_lists_all_pages() -> None:
    """Except the index, which links the same pages."""
    text = (ROOT / "llms.txt").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert set(re.findall(r"\]\(docs/([^)]+)\)", text)) == pages


@pytest.mark.parametrize(
    "path",
    [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / "CITATION.cff"],
    ids=lambda path: path.name,
)
def test_files_are_yaml(path: Path) -> None:
    """And hold keys and values."""
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_workflows_make_targets_that_exist() -> None:
    """Each ``make`` of a workflow names a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    workflows = (ROOT / ".github/workflows").glob("*.yml")
    text = "\n".join(path.read_text(encoding="utf-8") for path in workflows)
    targets = re.findall(r"\bmake ([a-z]+)$", text, re.MULTILINE)
    assert targets
    assert [name for name in targets if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
