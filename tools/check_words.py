"""Find words that code, documentation and help do not use, and print their replacements.

    python tools/check_words.py

The texts are those of `src`, `docs`, the pages in the root folder, and the names of tests. Options
that the changelog quotes may have their old names. Exit status 1 if anything is found.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

WORDS = {
    r"pictures?": "image",
    r"taps?": "layer",
    r"rooms?": "package, or space on a disk",
    r"(?<!\")house(?!\")": "package",
    r"guards?": "safety check",
    r"elsewhere": "remote, or other",
    r"several labels": "multi-label, or multiple labels",
    r"learnt": "learned",
    r"(?<!ground )(?<!ground[-_])truth": "ground truth",
    r"fair": "wsoleval",
    r"somebody('s)?|nobody('s)?": "the user, another, none",
    r"wants?|wanted": "needs, expects, requested",
    r"what is asked|is asked for|are asked for": "requested",
    r"desk|shelf|cargo|spool|lessons?|pupils?": "service, store, payload, temporary file, student",
    r"of (its|their) own|to itself": "separate",
    r"anew": "again",
    r"fold(s|ed|ing)?": "fuse",
    r"behind your back|way of the data|a death is": "plain words",
}
"""Regular expression of whole words to replacement."""

PATTERNS = {re.compile(rf"\b(?:{word})\b", re.IGNORECASE): use for word, use in WORDS.items()}

QUOTED_OPTION = re.compile(r"`--[^`\n]*`")
"""An option in the changelog, which names options that were renamed."""

TEXTS = ("src/**/*.py", "src/**/*.js", "src/**/*.html", "src/**/*.yaml", "docs/*.md", "*.md")


def found_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield line number, word and replacement."""
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, use in PATTERNS.items():
            for match in pattern.finditer(line.replace("_", " ")):
                yield number, match.group(), use


def main() -> int:
    """Print each word that is found."""
    count = 0
    for path in sorted(path for glob in TEXTS for path in ROOT.glob(glob)):
        text = path.read_text(encoding="utf-8")
        if path.name == "CHANGELOG.md":
            text = QUOTED_OPTION.sub("", text)
        for number, word, use in found_in(text):
            count += 1
            print(f"{path.relative_to(ROOT)}:{number}: {word!r}: use {use}")
    for path in sorted(ROOT.glob("tests/**/*.py")):
        names = re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.M)
        for name in names:
            for _, word, use in found_in(name):
                count += 1
                print(f"{path.relative_to(ROOT)}: {name}: {word!r}: use {use}")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
