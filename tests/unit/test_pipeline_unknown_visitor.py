"""Visitors that Target does not know, yet or at all: kept, tried again twice, and never an outage or a wrong set-up."""

import asyncio
from typing import Any

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.unknown_visitor import next_attempt
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
UNKNOWN = Answer(Verdict.UNKNOWN_VISITOR, "HTTP 404")
FINE = Answer(Verdict.ACCEPTED)
WAIT = 5_400.0


@pytest.mark.parametrize(
    ("since", "now", "wait", "due"),
    [
        (None, 100.0, 1_000.0, 500.0),
        (100.0, 500.0, 1_000.0, 1_100.0),
        (100.0, 450.0, 1_000.0, 500.0),
        (100.0, 1_100.0, 1_000.0, None),
        (100.0, 9_999.0, 1_000.0, None),
        (None, 100.0, 0.0, None),
    ],
)
def test_it_is_tried_again_at_two_fifths_of_the_wait_and_at_its_end(
    since: float | None, now: float, wait: float, due: float | None
) -> None:
    """Each attempt spends quota; a wait of 0 is none."""
    assert next_attempt(since, now, wait) == due


def test_an_update_waits_open_for_newer_values_until_its_visitor_is_known() -> None:
    """Wrong designs: it is a dead letter at once; the older value is sent; it holds the circuit or the others."""

    async def main() -> None:
        log = FakeLog()
        loop = asyncio.get_running_loop()
        known_at = loop.time() + 2_000.0
        sender = FakeSender(
            lambda visitor, *_: (UNKNOWN if visitor == "new" and loop.time() < known_at else FINE, 0.01)
        )
        log.append(event("new", tier="old", city="Bern"))
        async with Bench(log, sender, linger=0.0, unknown_visitor_wait=WAIT) as bench:
            await asyncio.sleep(60.0)
            state = bench.pipeline.state
            assert (state.coalescer.unknown, state.gate.circuit.is_open, len(sender.sent)) == (1, False, 1)
            log.append(event("new", tier="gold"))
            log.append(event("other", tier="x"))
            bench.source.feed()
            await asyncio.sleep(60.0)
            assert sender.profiles == {"other": {"tier": "x"}}
            await bench.settle(WAIT)
            assert sender.profiles["new"] == {"tier": "gold", "city": "Bern"}
            assert [visitor for _, visitor, _ in sender.sent] == ["new", "other", "new"]
            assert state.coalescer.unknown == 0
        assert log.committed[P0] == 3
        assert bench.letters.letters == []

    run(main())


@pytest.mark.parametrize("skips", [False, True])
def test_a_visitor_that_never_becomes_known_ends_by_the_setting_outside_the_guard(skips: bool) -> None:  # noqa: FBT001
    """Many of these are no sign of a wrong set-up: a limit of two dead letters in a row does not end the process."""

    async def main() -> None:
        log = FakeLog()
        for number in range(50):
            log.append(event(f"n{number}", tier="x"))
        sender = FakeSender(lambda *_: (UNKNOWN, 0.01))
        limits: dict[str, Any] = {"max_dead_letters_in_a_row": 2, "skip_unknown_visitors": skips}
        with captured_logs() as logs:
            async with Bench(log, sender, linger=0.0, unknown_visitor_wait=WAIT, **limits) as bench:
                await bench.settle(2 * WAIT)
                ended = Done.SKIPPED if skips else Done.DEAD_LETTERED
                assert bench.done(ended) == 50
                assert {letter.error for letter in bench.letters.letters} == (set() if skips else {"UnknownVisitor"})
                assert len(sender.sent) == 150
                assert bench.pipeline.state.counters.requests[Verdict.UNKNOWN_VISITOR] == 150
        assert log.committed[P0] == 50
        assert any(line["event"] == "unknown_visitor_skipped" for line in logs.lines) == skips

    run(main())


def test_an_answer_that_is_heard_after_the_wait_is_not_the_last_one() -> None:
    """Wrong design: a process that was frozen hears the second answer too late, and gives up without the third."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("new", tier="x"))

        def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
            return (FINE, 0.01) if number == 3 else (UNKNOWN, 0.01 if number == 1 else WAIT)

        sender = FakeSender(behave)
        async with Bench(log, sender, linger=0.0, unknown_visitor_wait=WAIT) as bench:
            await bench.settle(3 * WAIT)
            assert bench.letters.letters == []
        assert sender.profiles == {"new": {"tier": "x"}}

    run(main())


def test_those_that_wait_never_fill_what_may_be_pending() -> None:
    """Past half of it they end at once: else they would stop the intake for hours, for all."""

    async def main() -> None:
        log = FakeLog()
        for number in range(40):
            log.append(event(f"n{number}", tier="x"))
        sender = FakeSender(lambda visitor, *_: (UNKNOWN if visitor.startswith("n") else FINE, 0.01))
        config: dict[str, Any] = {"max_visitors": 20, "unknown_visitor_wait": WAIT, "linger": 0.0}
        with captured_logs() as logs:
            async with Bench(log, sender, batch=5, **config) as bench:
                await asyncio.sleep(120.0)
                assert bench.pipeline.state.coalescer.unknown == 10
                assert bench.done(Done.DEAD_LETTERED) == 30
                log.append(event("known", tier="x"))
                bench.source.feed()
                await asyncio.sleep(10.0)
                assert sender.profiles == {"known": {"tier": "x"}}
                bench.source.lose(P0)
                assert bench.pipeline.state.coalescer.unknown == 0
        assert any(line["event"] == "unknown_visitors_full" for line in logs.lines)

    run(main())


@pytest.mark.no_cover
def test_one_in_ten_unknown_for_up_to_an_hour_costs_the_others_nothing() -> None:
    """Under load: all are delivered, none is a dead letter, the others go at 95 % of their rate, the quota holds."""
    seconds, rate = 600, 10

    async def main() -> None:
        log, loop = FakeLog({P0: []}), asyncio.get_running_loop()
        first: dict[str, float] = {}

        def answer(visitor: str, *_: object) -> tuple[Answer, float]:
            number = int(visitor)
            asked = first.setdefault(visitor, loop.time())
            is_known = number % 10 or loop.time() >= asked + 1_800 + 180 * (number % 11)
            return (FINE if is_known else UNKNOWN), 0.05

        sender = FakeSender(answer)
        async with Bench(log, sender, linger=0.0, unknown_visitor_wait=WAIT, updates_per_second=1.2 * rate) as bench:
            began = loop.time()
            for second in range(seconds):
                for number in range(second * rate, (second + 1) * rate):
                    log.append(event(str(number), tier="x"))
                bench.source.feed()
                await asyncio.sleep(1.0)
            sent = sum(int(visitor) % 10 > 0 for _, visitor, _ in sender.sent)
            assert sent >= 0.95 * 0.9 * rate * (loop.time() - began)
            await bench.settle(3 * WAIT)
            assert len(sender.profiles) == seconds * rate
            assert bench.letters.letters == []
            assert len(sender.sent) <= seconds * rate * 1.2
        assert log.committed[P0] == seconds * rate

    run(main())
