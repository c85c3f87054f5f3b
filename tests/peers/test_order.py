"""How a peer wrote older values over newer ones, as a test."""

import asyncio
import random

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.retry import RetryPolicy
from tests.peers.judge import P0, Judge
from tests.support.bench import Bench, quiet
from tests.support.fakes import Applied, FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)
VISITORS = 20


def _in_order(sender: FakeSender) -> None:
    """No attribute was ever sent with an older value than before."""
    newest: dict[tuple[str, str], int] = {}
    for at, visitor, attributes in sender.sent:
        for name, value in attributes.items():
            before = newest.get((visitor, name), -1)
            assert int(value) >= before, f"{visitor} got {value} after {before} at {at}"
            newest[visitor, name] = int(value)


@pytest.mark.parametrize("seed", range(8))
def test_connect_4387_a_block_that_is_sent_again_does_not_end_behind_the_next_one(seed: int) -> None:
    """Thread redpanda-data/connect #4387: of three blocks for the same keys the third came out in another order.

    Catches a design that retries with the values of the first attempt, or that has two requests of a visitor in
    flight: a block whose answers were lost would be written again over the block after it.
    """
    rng = random.Random(seed)

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        if rng.random() < 0.4:
            return rng.choice(
                [
                    (Applied(Verdict.TIMEOUT, "no answer"), 9.5),
                    (Answer(Verdict.TIMEOUT, "no answer"), 9.5),
                    (Applied(Verdict.UNAVAILABLE, "the connection broke off"), rng.uniform(0.0, 2.0)),
                    (Answer(Verdict.THROTTLED, "HTTP 429", retry_after=rng.choice([None, 3.0])), 0.05),
                    (Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True), 0.05),
                ]
            )
        return FINE, rng.uniform(0.0, 3.0)

    async def main() -> None:
        log, sender, letters = FakeLog(), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        serial = 0
        policy = RetryPolicy(0.5, 10.0, 1_000_000)
        async with Bench(log, sender, letters, seed=seed, retry=policy, linger=0.2, assign=False) as bench:
            for block in range(3):
                for step in range(40):
                    visitor = f"v{step % VISITORS}"
                    log.append(event(visitor, **{f"a{step % 3}": serial, "all": serial}))
                    serial += 1
                (bench.source.assign(P0) if block == 0 else bench.source.feed())
                await asyncio.sleep(rng.uniform(0.0, 12.0))
            await bench.settle()
        assert sender.overlaps == 0
        _in_order(sender)
        assert letters.letters == []
        last = {f"v{number}": str(serial - VISITORS + number) for number in range(VISITORS)}
        assert {visitor: profile["all"] for visitor, profile in sender.profiles.items()} == last

    with quiet():
        run(main())


def test_connect_4387_a_lost_answer_is_followed_by_the_newest_values_alone() -> None:
    """Thread redpanda-data/connect #4387, in its smallest form: the first write was applied, its answer was lost.

    Catches a design that sends the unanswered request again unchanged, after a newer value is known.
    """

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (Applied(Verdict.TIMEOUT, "no answer"), 9.5) if number == 1 else (FINE, 0.01)

    async def main() -> None:
        log, sender = FakeLog(), FakeSender(behave)
        Judge(log, sender)
        log.append(event("v", a=1, kept=1))
        async with Bench(log, sender, linger=0.0) as bench:
            await asyncio.sleep(5)
            log.append(event("v", a=2))
            bench.source.feed()
            await bench.settle(60)
        assert [attributes for _, _, attributes in sender.sent] == [{"a": "1", "kept": "1"}, {"a": "2", "kept": "1"}]
        assert log.committed == {P0: 2}

    run(main())
