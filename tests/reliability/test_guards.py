"""The list of guards is of the code as it is."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """Return the tool that removes guards."""
    spec = importlib.util.spec_from_file_location("remove_guards", ROOT / "tools/remove_guards.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_guard_is_found_once(tool: ModuleType) -> None:
    """And the code is still code without it."""
    guards = tool.read_guards()
    assert len(guards) > 100
    for guard in guards:
        assert guard.removed(ROOT / "src/wsol")
        assert guard.code != guard.without
    assert len({(guard.file, guard.guard) for guard in guards}) == len(guards)


def test_every_guard_has_tests_that_there_are(tool: ModuleType) -> None:
    """By file and name."""
    for guard in tool.read_guards():
        assert guard.tests
        for test in guard.tests:
            file, _, name = test.partition("::")
            text = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {name.partition('[')[0]}(" in text or not name


def test_every_promise_is_in_the_documentation(tool: ModuleType) -> None:
    """The page names the tests and how many guards each promise has."""
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    guards = tool.read_guards()
    for promise in dict.fromkeys(guard.promise for guard in guards):
        number = sum(guard.promise == promise for guard in guards)
        assert f"| {promise} | {number} |" in page
