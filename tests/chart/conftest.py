"""The real tools and the chart, for all tests of this folder; `make test-chart` runs them, `make test` does not."""

import os
from pathlib import Path

import pytest

from tests.support.chart import Chart
from tests.support.chart_tools import Tools, Unavailable, installed


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Without them the test is skipped, and in CI the run fails."""
    try:
        return installed()
    except Unavailable as problem:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN, the chart's tools: {problem}")


@pytest.fixture
def chart(tools: Tools, tmp_path: Path) -> Chart:
    """The chart of this tree."""
    return Chart(tools, tmp_path)
