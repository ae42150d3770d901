"""The list of checks is of the code as it is."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Return the tool that removes checks."""
    spec = importlib.util.spec_from_file_location(
        "remove_safety_checks", ROOT / "tools/remove_safety_checks.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_safety_check_is_found_once(tool: ModuleType) -> None:
    """And the code is still code without it."""
    checks = tool.read_checks()
    assert len(checks) > 100
    for check in checks:
        assert check.removed(ROOT / "src/wsol")
        assert check.code != check.without
    assert len({(check.file, check.check) for check in checks}) == len(checks)


def test_every_safety_check_has_tests_that_there_are(tool: ModuleType) -> None:
    """By file and name."""
    for check in tool.read_checks():
        assert check.tests
        for test in check.tests:
            file, _, name = test.partition("::")
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {name.partition('[')[0]}(" in text or not name


def test_every_promise_is_in_the_documentation(tool: ModuleType) -> None:
    """The page names the tests and how many checks each promise has."""
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    checks = tool.read_checks()
    for promise in dict.fromkeys(check.promise for check in checks):
        number = sum(check.promise == promise for check in checks)
        assert f"| {promise} | {number} |" in page
