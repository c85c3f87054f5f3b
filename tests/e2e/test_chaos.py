"""No loss under all faults at once; `make chaos` is the same for longer."""

import asyncio
from pathlib import Path

from tests.chaos.world import Plan, run
from tests.support.kafka.fetch import Distribution

SEED = 6_744
"""Its first faults: a freeze past the session, a kill, a cut-off past the session, a broker's kill and a rollout."""


def test_a_short_chaos_run_loses_nothing_and_leaves_nothing_stale(distribution: Distribution, tmp_path: Path) -> None:
    """Kills, freezes, cut-offs, broker crashes and a failing endpoint in one run: tests of one fault miss their sum."""
    told: list[str] = []
    verdict = asyncio.run(run(Plan(seconds=30, seed=SEED), distribution, tmp_path, told.append))
    assert verdict.reasons == [], "\n".join(told)
    for deed in ("freeze past the session", "kill -9", "cut off from Kafka past the session"):
        assert verdict.counts[f"actions: {deed}"], deed
    assert verdict.counts["updates taken"] > 500
