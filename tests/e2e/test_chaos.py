"""The promise of the product under everything at once; `make chaos` is the same for longer."""

import asyncio
from pathlib import Path

from tests.chaos.world import Plan, run
from tests.support.kafka.fetch import Distribution


def test_a_short_chaos_run_loses_nothing_and_leaves_nothing_stale(distribution: Distribution, tmp_path: Path) -> None:
    """Kills, freezes, cut-offs, broker crashes and a sick endpoint in one run: no test of one fault sees their sum."""
    told: list[str] = []
    verdict = asyncio.run(run(Plan(seconds=30, seed=20_261_122), distribution, tmp_path, told.append))
    assert verdict.reasons == [], "\n".join(told)
    assert verdict.counts["actions: kill -9"]
    assert verdict.counts["actions: freeze past the session"]
    assert verdict.counts["updates taken"] > 500
