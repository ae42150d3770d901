"""Check that the versions of the package agree, and that a tag names them.

    python tools/check_version.py [v0.1.0]

The version is in `pyproject.toml`; `wsol.__version__` and `CITATION.cff` repeat it. Exit status 1
if they differ. Needs the standard library only.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

REPEATED = {
    "src/wsol/__init__.py": r'^__version__ = "(.+)"$',
    "CITATION.cff": r'^version: "?([^"\n]+)"?$',
}
"""Files that repeat the version, and a regular expression whose group is the version."""


def versions() -> dict[str, str | None]:
    """Return the version in each file; None where a file has none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found: dict[str, str | None] = {"pyproject.toml": project["version"]}
    for name, pattern in REPEATED.items():
        match = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = match[1] if match else None
    return found


def main(tags: list[str]) -> int:
    """Print each version that differs from the one of `pyproject.toml`.

    Args:
        tags: names of tags, as `v0.1.0`.
    """
    found = versions()
    version = found["pyproject.toml"]
    found |= {f"tag {tag}": tag.removeprefix("v") if tag.startswith("v") else tag for tag in tags}
    different = {place: other for place, other in found.items() if other != version}
    for place, other in different.items():
        print(f"{place}: version {other}; pyproject.toml has {version}; use the same")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
