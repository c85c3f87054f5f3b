"""After a crash, a freeze or an outage: little is sent again, and nothing by a replica that may not own it any more."""

import asyncio
from collections.abc import Mapping

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.offset_mark import rest_of
from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.delivery.retry import RetryPolicy
from connector.errors import CommitFailed
from connector.pipeline.state import COMMIT_UPDATES
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeLog, FakeSender, FakeSource, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
FINE = Answer(Verdict.ACCEPTED)
OWN = Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True)
SESSION_SECONDS = 45.0
FOREVER = RetryPolicy(0.5, 60.0, 1_000_000)


def _stuck(visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
    return (OWN if visitor == "stuck" else FINE), 0.05


def _now() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.no_cover
@pytest.mark.parametrize("partitions", [1, 2])
def test_a_crash_with_one_visitor_stuck_repeats_only_what_no_commit_covers(partitions: int) -> None:
    """The stuck one holds the offset by all 10,000; without the owed set a restart would send them all again."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("stuck", a=0))
        for number in range(10_000):
            log.append(event(f"v{number}", a=number), partition=number % partitions)
        sender = FakeSender(_stuck)
        first = Bench(log, sender, linger=0.0, batch=1_000, retry=FOREVER)
        await first.start()
        await asyncio.sleep(7)
        assert first.done(Done.ACCEPTED) > 7_000
        assert log.committed[P0] == 0
        known = first.pipeline.state.counters.updates_accepted
        await asyncio.sleep(1.3)
        on_the_wire = first.pipeline.state.gate.in_flight
        since = first.pipeline.state.counters.updates_accepted - known + COMMIT_UPDATES
        first.crash()
        before = {visitor for _, visitor, _ in sender.sent}
        second = Bench(log, sender, linger=0.0, batch=1_000, retry=FOREVER)
        await second.start()
        await asyncio.sleep(30)
        again = [visitor for _, visitor, _ in sender.sent[len(before) :] if visitor in before and visitor != "stuck"]
        assert len(again) <= on_the_wire + since
        assert second.done(Done.ALREADY_DONE) > 5_000 / partitions
        assert len(sender.profiles) == 10_000
        sender.behaviour = lambda *_: (FINE, 0.05)
        await second.settle()
        await second.stop()
        assert log.committed[P0] == len(log.records[P0])
        assert rest_of(log.metadata[P0]) == ""

    with quiet():
        run(main())


def test_after_a_crash_a_value_older_than_an_accepted_one_is_not_sent() -> None:
    """Only the visitor's unsettled records are read again: from its oldest record on, old values would go first."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("stuck", a=0))
        log.append(event("v", a=1))
        log.append(event("v", a=2))
        sender = FakeSender(_stuck)
        first = Bench(log, sender, linger=1.0, commit_interval=0.5)
        await first.start()
        await asyncio.sleep(3)
        sender.behaviour = lambda visitor, *_: ((OWN if visitor in {"stuck", "v"} else FINE), 0.05)
        log.append(event("v", b=3))
        first.source.feed()
        await asyncio.sleep(3)
        first.crash()
        sent = len(sender.sent)
        sender.behaviour = lambda *_: (FINE, 0.05)
        second = Bench(log, sender, linger=0.0, batch=1)
        await second.start()
        await second.settle()
        await second.stop()
        assert [attributes for _, visitor, attributes in sender.sent[sent:] if visitor == "v"] == [{"b": "3"}]
        assert sender.profiles["v"] == {"a": "2", "b": "3"}

    run(main())


def test_a_malformed_record_with_a_letter_gets_no_second_one() -> None:
    """Its letter was acknowledged before the commit said so: a second one would be a false alarm."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("stuck", a=0))
        log.append(b"{")
        first = Bench(log, FakeSender(_stuck), commit_interval=0.5)
        await first.start()
        await asyncio.sleep(3)
        assert len(first.letters.letters) == 1
        first.crash()
        async with Bench(log, letters=first.letters) as second:
            await second.settle()
            assert second.done(Done.ALREADY_DONE) == 1
        assert len(first.letters.letters) == 1

    run(main())


def test_many_settled_updates_are_committed_before_the_interval() -> None:
    """At full speed an interval is thousands of updates; a crash would repeat all of them."""

    async def main() -> None:
        log = FakeLog()
        for number in range(5 * COMMIT_UPDATES):
            log.append(event(f"v{number}", a=1))
        async with Bench(log, linger=0.0, commit_interval=3_600.0, batch=1_000) as bench:
            await bench.settle()
            assert len(bench.source.commits) >= 5

    with quiet():
        run(main())


class _Narrow(FakeSource):
    """A broker with a limit on the metadata's characters."""

    limit = 100

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        if any(len(metadata) > self.limit for _, metadata in offsets.values()):
            msg = "the metadata is too large"
            raise CommitFailed(msg, metadata_refused=True)
        return await super().commit(offsets)


@pytest.mark.parametrize("limit", [0, 100])
def test_a_broker_that_takes_less_metadata_gets_less(limit: int) -> None:
    """`offset.metadata.max.bytes` may be set lower: commits that always fail would repeat everything at a restart."""

    async def main() -> None:
        log = FakeLog()
        for number in range(400):
            log.append(event(f"v{number}", a=1))
        source = _Narrow(log)
        source.limit = limit
        sender = FakeSender(lambda visitor, *_: ((OWN if int(visitor[1:]) % 2 else FINE), 0.05))
        async with Bench(log, sender, source=source, commit_interval=1.0, retry=FOREVER):
            await asyncio.sleep(30)
            assert log.committed[P0] >= 1
            assert bool(log.metadata[P0]) == (limit > 0)

    with quiet():
        run(main())


def test_a_member_without_answers_of_the_group_stops_sending_in_time() -> None:
    """It may have been removed from the group: its last request must end within the session."""

    async def main() -> None:
        log = FakeLog()
        async with Bench(log, linger=0.0, assign=False) as bench:
            log.append(event("v", a=0))
            bench.source.assign(P0)
            await asyncio.sleep(1)
            bench.source.fail_commits = 1_000_000
            silent = _now()
            for number in range(100):
                log.append(event("v", a=number))
                bench.source.feed()
                await asyncio.sleep(1)
            last = bench.sender.sent[-1][0]
            assert silent + 20 < last <= silent + SESSION_SECONDS - bench.sender.longest
            bench.source.fail_commits = 0
            await bench.settle(5)
            assert bench.sender.profiles == {"v": {"a": "99"}}

    run(main())


def test_nothing_is_sent_before_the_group_has_answered() -> None:
    """An assignment may arrive long after it was made: the first request waits for the first commit."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=0))
        async with Bench(log, linger=0.0, assign=False) as bench:
            bench.source.fail_commits = 5
            bench.source.assign(P0)
            await asyncio.sleep(3)
            assert bench.sender.sent == []
            await bench.settle(10)

    run(main())


def test_a_static_member_waits_for_its_predecessors_requests_in_flight() -> None:
    """After kill -9 the group gives it the same partitions at once: a request of the old one may land last."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=0))
        async with Bench(log, linger=0.0, static_member=True, request_timeout=8.0) as bench:
            began = _now()
            await bench.settle(20)
            assert bench.sender.sent[0][0] == pytest.approx(began + 8.0, abs=0.2)
            await bench.source.revoke(P0)
            bench.source.assign(P0)
            log.append(event("v", a=1))
            bench.source.feed()
            await bench.settle(1)

    run(main())


def test_a_short_session_makes_requests_short() -> None:
    """A request that outlives the session would land after a successor's; with 6 s none may last longer than 3.6."""

    async def main() -> None:
        async with Bench(FakeLog()) as bench:
            bench.pipeline.session(6.0)
            assert bench.sender.longest == pytest.approx(3.6)
            assert 2.0 < bench.pipeline.state.gate.lease.seconds < 2.2

    run(main())


def test_memory_is_bounded_in_bytes() -> None:
    """A few thousand visitors with large values fill a pod long before 200,000 visitors do."""

    async def main() -> None:
        log = FakeLog()
        for number in range(2_000):
            log.append(event(f"v{number}", a="x" * 10_000))
        sender = FakeSender(lambda *_: (Answer(Verdict.THROTTLED, "HTTP 503"), 0.05))
        async with Bench(log, sender, max_bytes=2 << 20, batch=50) as bench:
            for _ in range(60):
                await asyncio.sleep(1)
                assert bench.pipeline.state.coalescer.size <= (2 << 20) + 2 * 50 * 12_000
            assert bench.pipeline.state.is_starved
            assert bench.source.credits == 0
            sender.behaviour = lambda *_: (FINE, 0.05)
            await bench.settle()
            assert bench.pipeline.state.coalescer.size == 0

    run(main())


OUTAGES = {
    "errors": (OWN, 0.05),
    "overload": (Answer(Verdict.THROTTLED, "HTTP 503"), 0.05),
    "resets": (Answer(Verdict.UNAVAILABLE, "the connection broke off"), 0.01),
    "hangs": (Answer(Verdict.TIMEOUT, "no whole answer"), 10.0),
}


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", OUTAGES)
def test_a_minute_of_outage_under_load_loses_nothing_and_ends_at_full_speed(kind: str) -> None:
    """Recovery is noticed within 2 s, also with hanging probes, and the slots are back within another few."""

    async def main() -> None:
        began = _now()
        down, up = began + 10, began + 70

        def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
            return OUTAGES[kind] if down <= _now() < up else (FINE, 0.05)

        log = FakeLog({P0: []})
        sender = FakeSender(behave)
        accepted: dict[int, int] = {}
        async with Bench(log, sender, linger=0.2, batch=1_000) as bench:
            for tick in range(900):
                for number in range(20):
                    log.append(event(f"v{(tick * 20 + number) % 8_000}", a=tick))
                bench.source.feed()
                accepted[tick] = bench.pipeline.state.counters.updates_accepted
                await asyncio.sleep(0.1)
            during = [at for at, *_ in sender.sent if down + 15 <= at < up]
            assert len(during) <= 45 / 2 + 2, "nothing but probes"
            first = min(at for at, *_ in sender.sent if at >= up)
            assert first - up <= 2.05
            assert accepted[770] - accepted[750] >= 0.95 * (accepted[99] - accepted[79])
            await bench.settle()
            assert bench.letters.letters == []
            assert bench.done(Done.HANDED_OVER) == 0

    with quiet():
        run(main())
