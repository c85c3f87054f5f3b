"""The main path, with few failures: what is sent, in which order, and what is committed when."""

import asyncio
import random

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.coalescer import Order
from connector.delivery.counters import Done
from tests.support.bench import Bench, quiet
from tests.support.fakes import Applied, Behaviour, FakeLog, FakeSender, event, event_at, names
from tests.support.virtual_time import run

(P0,) = names(1)
FINE = Answer(Verdict.ACCEPTED)
DOWN = Answer(Verdict.UNAVAILABLE, "HTTP 500")


def test_the_linger_turns_a_hundred_events_into_one_request() -> None:
    """Changes within the linger are sent once, with the newest values; a request per event would use up the quota."""

    async def main() -> None:
        log = FakeLog()
        for number in range(100):
            log.append(event("v", points=number, **{f"a{number % 10}": number}))
        async with Bench(log, batch=10) as bench:
            await bench.settle(5)
        assert len(bench.sender.sent) == 1
        assert bench.sender.profiles["v"] == {"points": "99", **{f"a{n}": str(90 + n) for n in range(10)}}
        tally = bench.pipeline.state.counters
        assert (bench.done(Done.ACCEPTED), tally.updates_accepted, tally.requests[Verdict.ACCEPTED]) == (100, 1, 1)
        assert log.committed == {P0: 100}

    run(main())


def test_tombstones_and_nulls_are_skipped_and_committed() -> None:
    """A record without a change is done at once; it must neither be sent nor hold the watermark."""

    async def main() -> None:
        log = FakeLog()
        for value in (None, event("v", a=None), event("w", a=1), None):
            log.append(value)
        async with Bench(log) as bench:
            await bench.settle(5)
        assert bench.done(Done.SKIPPED) == 3
        assert bench.sender.profiles == {"w": {"a": "1"}}
        assert log.committed == {P0: 4}

    run(main())


def test_a_commit_never_passes_a_failed_visitor_while_others_continue() -> None:
    """One visitor's failure holds the offset and no other visitor; committing the highest done offset would lose it."""
    broken = True

    def behave(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (DOWN if visitor == "bad" and broken else FINE), 0.01

    async def main() -> None:
        nonlocal broken
        log = FakeLog()
        log.append(event("first", a=1))
        log.append(event("bad", a=1))
        for number in range(50):
            log.append(event(f"v{number}", a=number))
        async with Bench(log, FakeSender(behave), commit_interval=0.5) as bench:
            await asyncio.sleep(5)
            assert len(bench.sender.profiles) == 51
            assert log.committed == {P0: 1}
            assert bench.pending == 1
            broken = False
            await bench.settle(120)
            await asyncio.sleep(1)
            assert log.committed == {P0: 52}

    run(main())


def test_newer_values_merge_over_a_waiting_retry() -> None:
    """A retry sends the newest values and never its old ones; a queue would send the old value last."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (Answer(Verdict.THROTTLED, "HTTP 429", retry_after=10.0) if number == 1 else FINE), 0.01

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="old", b="kept"))
        async with Bench(log, FakeSender(behave)) as bench:
            await asyncio.sleep(3)
            log.append(event("v", a="new"))
            bench.source.feed()
            await bench.settle(60)
        assert [attributes for _, _, attributes in bench.sender.sent] == [
            {"a": "old", "b": "kept"},
            {"a": "new", "b": "kept"},
        ]
        tally = bench.pipeline.state.counters
        assert (bench.done(Done.ACCEPTED), tally.updates_accepted, tally.requests[Verdict.THROTTLED]) == (2, 1, 1)
        assert log.committed == {P0: 2}

    run(main())


@pytest.mark.parametrize("first", [FINE, DOWN, Applied(Verdict.TIMEOUT, "no answer")])
def test_a_change_during_a_request_waits_for_it(first: Answer) -> None:
    """One request in flight a visitor: newer values follow its end; a second one beside it might land first."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (first, 5.0) if number == 1 else (FINE, 0.01)

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="old"))
        async with Bench(log, FakeSender(behave), linger=0.1) as bench:
            await asyncio.sleep(1)
            log.append(event("v", a="new"))
            bench.source.feed()
            await asyncio.sleep(1)
            assert len(bench.sender.sent) == 1
            assert log.committed == {P0: 0}
            await bench.settle(60)
        assert bench.sender.overlaps == 0
        assert [attributes["a"] for _, _, attributes in bench.sender.sent] == ["old", "new"]
        assert bench.sender.profiles == {"v": {"a": "new"}}

    run(main())


def test_an_update_is_open_for_newer_values_while_it_waits_for_the_rate() -> None:
    """Waiting for the rate coalesces more; an update closed when it comes due is stale and needs another one."""

    async def main() -> None:
        log = FakeLog()
        for number in range(20):
            log.append(event(f"v{number}", a="old"))
        async with Bench(log, linger=0.0, updates_per_second=2.0) as bench:
            await asyncio.sleep(1.2)
            sent = {visitor for _, visitor, _ in bench.sender.sent}
            assert 0 < len(sent) < 5
            for number in range(20):
                log.append(event(f"v{number}", a="new"))
            bench.source.feed()
            await bench.settle(60)
        assert len(bench.sender.sent) == 20 + len(sent)
        assert all(profile == {"a": "new"} for profile in bench.sender.profiles.values())

    run(main())


def test_the_rate_holds_for_every_attempt() -> None:
    """Retries count like first attempts; a limit outside of the retry doubles the rate when the endpoint fails."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (DOWN if number % 3 == 0 else FINE), 0.05

    async def main() -> None:
        log = FakeLog()
        for number in range(600):
            log.append(event(f"v{number}", a=1))
        async with Bench(log, FakeSender(behave), linger=0.0, updates_per_second=50.0) as bench:
            await bench.settle(120)
        times = [at for at, _, _ in bench.sender.sent]
        for first, at in enumerate(times):
            in_a_second = sum(at <= other < at + 1 for other in times[first : first + 60])
            assert in_a_second <= 1 + 50 * 1.01
        assert len(times) / (times[500] - times[0]) > 49

    with quiet():
        run(main())


@pytest.mark.parametrize("share", [1, 3])
def test_a_member_takes_the_share_of_its_partitions(share: int) -> None:
    """The rate is the group's: with 1 of 4 partitions a quarter of it; replicas at the full rate would exceed it."""

    async def main() -> None:
        log = FakeLog()
        for partition in range(4):
            for number in range(400):
                log.append(event(f"v{partition}.{number}", a=1), partition=partition)
        async with Bench(log, linger=0.0, updates_per_second=40.0, assign=False) as bench:
            bench.source.assign(*names(share))
            await asyncio.sleep(20)
            assert len(bench.sender.sent) == pytest.approx(10 * share * 20, rel=0.02)

    run(main())


def _accepted_of_the_good(behaviour: Behaviour) -> int:
    """Run 2,000 visitors at the rate's limit for two minutes; how many updates of the healthy 1,980 were sent."""

    async def main() -> int:
        log = FakeLog()
        async with Bench(
            log, FakeSender(behaviour), assign=False, updates_per_second=40.0, shutdown_grace=0.0
        ) as bench:
            log.append(event("1", a=0))
            bench.source.assign(P0)
            for second in range(10):
                for number in range(2_000):
                    log.append(event(str(number), a=second))
                bench.source.feed()
                await asyncio.sleep(12)
            return sum(int(visitor) >= 20 for _, visitor, _ in bench.sender.sent)

    with quiet():
        return run(main())


@pytest.mark.no_cover
def test_one_visitor_in_a_hundred_who_always_fails_costs_the_others_little() -> None:
    """The rest keep 95 % of their rate; without a queue of their own, retries of poison would use what all share."""

    def poisoned(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (DOWN if int(visitor) < 20 else FINE), 0.05

    well = _accepted_of_the_good(lambda _visitor, _attributes, _number: (FINE, 0.05))
    assert well > 4_000
    assert _accepted_of_the_good(poisoned) >= 0.95 * well


@pytest.mark.no_cover
def test_one_visitor_in_a_hundred_who_always_fails_ends_as_a_dead_letter_and_no_other_does() -> None:
    """Also while one request in ten is reset at random: permanent failures are told from random ones."""
    rng = random.Random(1)

    def poisoned(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (DOWN if int(visitor) % 100 == 0 or rng.random() < 0.1 else FINE), 0.05

    async def main() -> None:
        log = FakeLog()
        for number in range(5_000):
            log.append(event(str(number), a=number))
        async with Bench(log, FakeSender(poisoned), updates_per_second=200.0) as bench:
            second = 0
            while len(bench.letters.letters) < 50:
                second += 1
                assert second < 900, f"{len(bench.letters.letters)} letters in 15 minutes"
                log.append(event(str(100_001 + 100 * second), a=0))
                bench.source.feed()
                await asyncio.sleep(1)
            await bench.settle(60)
        assert {letter.error for letter in bench.letters.letters} == {"RetriesExhausted"}
        assert {letter.offset % 100 for letter in bench.letters.letters} == {0}

    with quiet():
        run(main())


@pytest.mark.no_cover
def test_many_bad_updates_in_front_block_the_rest_for_seconds_only() -> None:
    """They look like an outage; probing them in order would stop all visitors for minutes."""

    async def main() -> None:
        log = FakeLog()
        for number in range(2_000):
            log.append(event(str(number), a=0))
        sender = FakeSender(lambda visitor, *_: ((DOWN if int(visitor) < 300 else FINE), 0.05))
        async with Bench(log, sender, linger=0.0, batch=1_000, shutdown_grace=0.0):
            await asyncio.sleep(60)
            assert len(sender.profiles) == 1_700

    with quiet():
        run(main())


def test_back_pressure_bounds_pending_updates_and_ends_with_its_cause() -> None:
    """With a dead endpoint pending stays near the bound and no credit is granted; else an outage fills the memory."""
    down = True

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (DOWN if down else FINE), 0.01

    async def main() -> None:
        nonlocal down
        log = FakeLog()
        for number in range(3_000):
            log.append(event(f"v{number}", a=number))
        async with Bench(log, FakeSender(behave), batch=10, max_visitors=100) as bench:
            for _ in range(60):
                await asyncio.sleep(10)
                assert len(bench.pipeline.state.coalescer) <= 100 + 2 * 10
                assert bench.pipeline.state.is_starved
                assert bench.source.credits == 0
            down = False
            await bench.settle(120)
            assert not bench.pipeline.state.is_starved
            assert bench.source.credits == 2
        assert len(bench.sender.profiles) == 3_000
        assert bench.done(Done.ACCEPTED) == 3_000

    with quiet():
        run(main())


def test_coalescing_visitors_never_starve() -> None:
    """The bound is on visitors, not on records: an endless stream of few visitors is no reason to pause."""

    async def main() -> None:
        log = FakeLog()
        for number in range(5_000):
            log.append(event(f"v{number % 5}", a=number))
        async with Bench(log, batch=50, max_visitors=6) as bench:
            await asyncio.sleep(0.5)
            assert bench.pending == 5_000
            assert not bench.pipeline.state.is_starved
            await bench.settle(10)
        assert len(bench.sender.sent) == 5

    run(main())


@pytest.mark.parametrize("accept", [True, False])
def test_an_unconfirmed_success_is_what_the_setting_says(*, accept: bool) -> None:
    """A 2xx in no known form is accepted or retried by choice, and counted as unconfirmed either way."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (Applied(Verdict.UNCONFIRMED, "an empty body") if number < 3 else FINE), 0.01

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        async with Bench(log, FakeSender(behave), accept_unconfirmed=accept) as bench:
            await bench.settle(60)
        tally = bench.pipeline.state.counters
        assert tally.requests[Verdict.UNCONFIRMED] == (1 if accept else 2)
        assert tally.requests[Verdict.ACCEPTED] == (0 if accept else 1)
        assert bench.done(Done.ACCEPTED) == 1

    run(main())


def test_a_failed_commit_is_repeated() -> None:
    """A failed commit is unknown, not done: the next one has the current offsets; else the group stalls."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        async with Bench(log, commit_interval=1.0) as bench:
            bench.source.fail_commits = 3
            await asyncio.sleep(3.9)
            assert log.committed == {P0: 0}
            await asyncio.sleep(2)
            assert log.committed == {P0: 1}
            assert bench.source.commits == [{P0: 0}, {P0: 1}], "the start, and the current watermark"

    run(main())


def test_by_event_time_a_late_event_does_not_overwrite() -> None:
    """The newest `occurredAt` wins among pending values, also over a retried update; log order would regress."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (DOWN if number == 1 else FINE), 1.0

    async def main() -> None:
        log = FakeLog()
        log.append(event_at("v", "2026-01-01T00:00:20Z", a="new"))
        log.append(event_at("v", "2026-01-01T00:00:10Z", a="late", b="only"))
        log.append(event("w", a="stamped"), timestamp_ms=50_000)
        log.append(event_at("w", "1970-01-01T00:00:40Z", a="before"))
        async with Bench(log, FakeSender(behave), order=Order.EVENT_TIME) as bench:
            await asyncio.sleep(1.5)
            log.append(event_at("v", "2026-01-01T00:00:15Z", a="late too", c="more"))
            bench.source.feed()
            await bench.settle(60)
        assert bench.sender.profiles == {"v": {"a": "new", "b": "only", "c": "more"}, "w": {"a": "stamped"}}
        assert bench.done(Done.ACCEPTED) == 5

    run(main())


def test_by_event_time_a_late_event_during_a_request_does_not_overwrite_it() -> None:
    """A late event that comes while the newer value is in flight loses to it; else the result depends on timing."""

    async def main() -> None:
        log = FakeLog()
        log.append(event_at("v", "2026-01-01T00:00:20Z", a="new"))
        sender = FakeSender(lambda _visitor, _attributes, _number: (FINE, 2.0))
        async with Bench(log, sender, order=Order.EVENT_TIME) as bench:
            await asyncio.sleep(2)
            log.append(event_at("v", "2026-01-01T00:00:10Z", a="late"))
            bench.source.feed()
            await bench.settle(60)
        assert bench.sender.profiles == {"v": {"a": "new"}}

    run(main())
