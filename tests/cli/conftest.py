"""What tests of the command line share."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _restore_log() -> Iterator[None]:
    """Take off what the command line adds to the log: it writes to this test's standard error."""
    logger = logging.getLogger("wsol")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
