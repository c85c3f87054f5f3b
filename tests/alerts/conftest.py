"""The real promtool for these tests; they are skipped with a reason where it is missing."""

import os
from collections.abc import Callable

import pytest

from tests.support.promql import NoPromtool, promtool


@pytest.fixture(scope="session")
def run_promtool() -> Callable[..., str]:
    """Prometheus' own checker; without it the test is skipped, and in CI the run fails."""
    try:
        promtool("--version")
    except NoPromtool as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN, no promtool: {problem}")
    return promtool
