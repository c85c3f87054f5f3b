"""A stream in which most events repeat what Target has, through a rebalance, a kill -9 and lost answers.

Two replicas, one log, one endpoint, on virtual time; `tests/unit` runs a small one, `benchmarks` the large one.
"""

import asyncio
import random
from collections.abc import Mapping
from typing import NamedTuple

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import TopicPartition
from tests.support.bench import Bench
from tests.support.fakes import Applied, FakeLog, FakeSender, event

PARTITIONS = 4
PER_SECOND = 200
CHANGES = 10
"""Of this number of events, one has a new value."""
FINE = Answer(Verdict.ACCEPTED)
LOST = 0.005
"""Share of the requests whose answer is lost; half of them were applied."""


class Outcome(NamedTuple):
    """What a run came to."""

    calls: int
    unchanged: int
    """Records that took none."""
    wrong: list[str]
    """Visitors whose profile is not that of their last events."""


async def repeats(events: int, visitors: int, *, seconds: float, seed: int = 0) -> Outcome:
    """Run it; `seconds` is COALESCE_UNCHANGED_SECONDS. Each visitor's events are further apart than the linger."""
    rng = random.Random(seed)

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        if rng.random() >= LOST:
            return FINE, 0.05
        return (Applied if rng.random() < 0.5 else Answer)(Verdict.TIMEOUT, "no whole answer in time"), 1.0

    log, sender = FakeLog(), FakeSender(behave)
    names = [TopicPartition("t", number) for number in range(PARTITIONS)]
    log.records = {name: [] for name in names}
    first = Bench(log, sender, seed=1, unchanged_seconds=seconds, linger=visitors / PER_SECOND / 4)
    second = Bench(log, sender, seed=2, unchanged_seconds=seconds, linger=visitors / PER_SECOND / 4, assign=False)
    expected: dict[str, Mapping[str, str]] = {}
    async with second:
        await first.start()
        for number in range(events):
            visitor = number % visitors
            values = {"tier": str(number // visitors // CHANGES), "branch": f"b{visitor}"}
            log.append(event(f"v{visitor}", **values), partition=visitor % PARTITIONS)
            expected[f"v{visitor}"] = values
            if number == events // 2:
                await first.source.revoke(*names[2:])
                second.source.assign(*names[2:])
            if number == events * 3 // 4:
                first.crash()
                second.source.assign(*names[:2])
            for bench in (first, second):
                if not bench.source.killed:
                    bench.source.feed()
            await asyncio.sleep(1 / PER_SECOND)
        await second.settle()
        await asyncio.sleep(10.0)
        unchanged = sum(bench.done(Done.UNCHANGED) for bench in (first, second))
    wrong = [visitor for visitor, values in expected.items() if sender.profiles.get(visitor) != values]
    return Outcome(len(sender.sent), unchanged, wrong)
