"""Two ways in which updates that always fail block the others: they fill the memory, or look like an outage."""

import asyncio
import random

from connector.delivery.answer import Answer, Verdict
from connector.target.classify import classify
from tests.peers.judge import P0, Judge
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeDeadLetters, FakeLog, FakeSender, event
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)


def test_parallel_consumer_857_a_memory_full_of_failing_records_lets_new_ones_in() -> None:
    """Thread confluentinc/parallel-consumer #857: records that always failed filled the buffer; intake stopped.

    Catches a design in which failing visitors fill the bound on pending updates: no visitor is left that could
    succeed, so the circuit stays open, no attempt counts, no dead letter is written, and intake stops for ever.
    """

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(500, b"", None, 0.0) if visitor.startswith("bad") else FINE), 0.05

    async def main() -> None:
        log, sender, letters = FakeLog(), FakeSender(behave), FakeDeadLetters()
        Judge(log, sender, letters)
        for number in range(2_000):
            log.append(event(f"{'bad' if number % 5 == 0 else 'good'}{number}", a=number))
        async with Bench(
            log,
            sender,
            letters,
            batch=10,
            max_visitors=50,
            max_dead_letters_in_a_row=0,
            max_dead_letter_ratio=0.0,
            shutdown_grace=0.0,
        ) as bench:
            before = -1
            while bench.pipeline.state.partitions[P0].position < 2_000:
                taken = bench.pipeline.state.counters.events_consumed
                assert taken > before, f"nothing was consumed in an hour, at {taken} of 2,000"
                before = taken
                await asyncio.sleep(3_600)

    with quiet():
        run(main())


SECONDS = 100
"""Virtual ones, of each of the two runs."""


def _good_a_second(bad: int) -> float:
    """Updates of healthy visitors a second, at 150 events/s, while a firewall answers 403 to the first `bad`."""

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(403, b"", None, 0.0) if int(visitor) < bad else FINE), 0.05

    async def main() -> float:
        log, sender, rng = FakeLog(), FakeSender(behave), random.Random(1)
        log.append(event("0", a=0))
        async with Bench(log, sender, updates_per_second=200.0, shutdown_grace=0.0) as bench:
            for second in range(SECONDS):
                for _ in range(150):
                    log.append(event(str(rng.randrange(10_000)), a=second))
                bench.source.feed()
                await asyncio.sleep(1)
            return sum(int(visitor) >= bad for _, visitor, _ in sender.sent) / SECONDS

    with quiet():
        return run(main())


def test_one_visitor_in_a_thousand_whose_values_a_firewall_refuses_costs_the_others_little() -> None:
    """A 403 for single visitors, as a web application firewall gives, must not stop everyone repeatedly.

    Catches a design in which each such update is due again at once, and reopens the circuit each time.
    """
    assert _good_a_second(10) >= 0.95 * _good_a_second(0)
