"""When the group revokes or assigns partitions: nothing is lost, nothing old is sent."""

import asyncio
from typing import Any

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from tests.support.bench import Bench, unwritten_letter
from tests.support.fakes import FakeLog, FakeSender, event, names
from tests.support.virtual_time import run

P0, P1 = names(2)
FINE = Answer(Verdict.ACCEPTED)
DOWN = Answer(Verdict.UNAVAILABLE, "HTTP 500")
BIG = 40_000


def _slow(seconds: float, answer: Answer = FINE) -> FakeSender:
    return FakeSender(lambda _visitor, _attributes, _number: (answer, seconds))


def _two_partitions() -> FakeLog:
    log = FakeLog()
    log.append(event("zero", a=0), partition=0)
    log.append(event("one", a=1), partition=1)
    return log


def test_a_revoke_during_a_request_waits_for_it_and_commits_it() -> None:
    """Requests in flight are finished first; releasing at once would have two owners write the same visitor."""

    async def main() -> None:
        log = _two_partitions()
        async with Bench(log, _slow(4.0), linger=0.0) as bench:
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.source.revoke(P0)
            assert asyncio.get_running_loop().time() - began == pytest.approx(3.0, abs=0.01)
            assert log.committed == {P0: 1, P1: 0}
            assert bench.done(Done.HANDED_OVER) == 0
            await bench.settle(10)
        assert log.committed == {P0: 1, P1: 1}
        assert bench.done(Done.ACCEPTED) == 2

    run(main())


def test_a_revoke_waits_no_longer_than_a_request_may_take() -> None:
    """The group waits meanwhile, so the wait is bounded; a request that hangs longer is handed over, unsettled."""

    async def main() -> None:
        log = _two_partitions()
        async with Bench(log, _slow(60.0), linger=0.0, request_timeout=10.0) as bench:
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.source.revoke(P0)
            assert asyncio.get_running_loop().time() - began == pytest.approx(10.0, abs=0.01)
            assert log.committed.get(P0, 0) == 0
            assert bench.done(Done.HANDED_OVER) == 1
            await asyncio.sleep(60)
            assert bench.done(Done.ACCEPTED) == 1
        assert log.committed == {P0: 0, P1: 1}

    run(main())


def test_a_revoke_hands_over_waiting_updates_without_sending_them() -> None:
    """Lingering updates are the next owner's: sending them would delay the group, committing them would lose them."""

    async def main() -> None:
        log = _two_partitions()
        for number in range(10):
            log.append(event(f"v{number}", a=number), partition=0)
        async with Bench(log, linger=5.0) as bench:
            await asyncio.sleep(1)
            await bench.source.revoke(P0)
            assert (bench.done(Done.HANDED_OVER), bench.pending) == (11, 1)
            assert bench.sender.sent == []
            await bench.settle(10)
        assert log.committed == {P0: 0, P1: 1}
        assert bench.sender.profiles == {"one": {"a": "1"}}

    run(main())


def test_a_revoke_during_a_retry_hands_the_records_over() -> None:
    """A failed update that waits goes to the next owner; keeping the partition until it succeeds may take for ever."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        async with Bench(log, _slow(2.0, DOWN), linger=0.0) as bench:
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.source.revoke(P0)
            assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.01)
            assert (bench.done(Done.HANDED_OVER), bench.pending) == (1, 0)
            await asyncio.sleep(100)
            assert len(bench.sender.sent) == 1
        assert log.committed.get(P0, 0) == 0

    run(main())


def test_a_revoke_waits_for_the_acknowledgement_of_a_dead_letter() -> None:
    """A dead letter in flight is finished like a request; else each rebalance would write it twice."""

    async def main() -> None:
        log, letters = unwritten_letter()
        async with Bench(log, letters=letters) as bench:
            await asyncio.sleep(1)
            asyncio.get_running_loop().call_later(2, letters.hold.set)
            await bench.source.revoke(P0)
            assert log.committed == {P0: 1}
            assert (bench.done(Done.DEAD_LETTERED), bench.done(Done.HANDED_OVER)) == (1, 0)

    run(main())


def test_a_dead_letter_acknowledged_after_its_partition_was_revoked_settles_nothing() -> None:
    """Its record was handed over already; counting it again would break the sum, and close another record's offset."""

    async def main() -> None:
        log, letters = unwritten_letter()
        async with Bench(log, letters=letters) as bench:
            await asyncio.sleep(1)
            bench.source.lose(P0)
            bench.source.assign(P0)
            await asyncio.sleep(1)
            assert (bench.done(Done.HANDED_OVER), bench.pending) == (1, 1)
            letters.hold.set()
            await bench.settle(5)
            assert (bench.done(Done.DEAD_LETTERED), bench.pipeline.state.counters.events_consumed) == (1, 2)
        assert log.committed == {P0: 1}

    run(main())


@pytest.mark.parametrize("skips", [False, True])
@pytest.mark.parametrize(
    "answer", [FINE, DOWN, Answer(Verdict.REJECTED, "HTTP 400"), Answer(Verdict.UNKNOWN_VISITOR, "no profile")]
)
def test_a_partition_lost_in_flight_settles_nothing(answer: Answer, skips: bool) -> None:  # noqa: FBT001
    """Another member owns it already: the late answer counts for no record, writes no letter and commits nothing."""

    async def main() -> None:
        log = _two_partitions()
        sender = FakeSender(lambda visitor, _attributes, _number: (answer if visitor == "zero" else FINE, 3.0))
        unknown: dict[str, Any] = {"unknown_visitor_wait": 0.0, "skip_unknown_visitors": skips}
        async with Bench(log, sender, linger=0.0, **unknown) as bench:
            await asyncio.sleep(1)
            bench.source.lose(P0)
            assert bench.done(Done.HANDED_OVER) == 1
            await asyncio.sleep(100)
            tally = bench.pipeline.state.counters
            assert (bench.done(Done.ACCEPTED), bench.done(Done.DEAD_LETTERED)) == (1, 0)
            assert (tally.updates_accepted, tally.updates_dead_lettered) == (1, 0)
            assert bench.letters.letters == []
            assert len(bench.sender.sent) == 2
        assert log.committed == {P0: 0, P1: 1}

    run(main())


def test_a_reassigned_partition_starts_a_fresh_tracker() -> None:
    """A late answer of the old assignment closes nothing of the new one, though the offsets are the same."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a=1))
        async with Bench(log, _slow(6.0), linger=0.0, commit_interval=0.5) as bench:
            await asyncio.sleep(1)
            bench.source.lose(P0)
            bench.source.assign(P0)
            await asyncio.sleep(8)
            assert (bench.done(Done.ACCEPTED), bench.done(Done.HANDED_OVER), bench.pending) == (0, 1, 1)
            assert log.committed.get(P0, 0) == 0
            await bench.settle(10)
        assert log.committed == {P0: 1}
        assert bench.sender.overlaps == 0
        assert [attributes for _, _, attributes in bench.sender.sent] == [{"a": "1"}, {"a": "1"}]

    run(main())


@pytest.mark.parametrize("lost", [False, True])
def test_a_revoked_partition_takes_its_values_and_leaves_the_others(*, lost: bool) -> None:
    """An update of two partitions keeps the values of the owned one; the other's value could be stale."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="zero", b="zero"), partition=0)
        log.append(event("v", b="one", c="one"), partition=1)
        async with Bench(log, linger=5.0) as bench:
            await asyncio.sleep(1)
            if lost:
                bench.source.lose(P1)
            else:
                await bench.source.revoke(P1)
            await bench.settle(10)
        assert bench.sender.profiles == {"v": {"a": "zero"}}
        assert (bench.done(Done.ACCEPTED), bench.done(Done.HANDED_OVER)) == (1, 1)
        assert log.committed.get(P1, 0) == 0
        assert log.committed[P0] == 1

    run(main())


def test_the_rest_of_a_split_update_is_not_sent_after_its_partition_was_lost() -> None:
    """The second request would write over another member's newer values; each request must check again."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="x" * BIG, b="y" * BIG))
        log.append(None, partition=1)
        async with Bench(log, _slow(3.0), linger=0.0) as bench:
            await asyncio.sleep(1)
            bench.source.lose(P0)
            await asyncio.sleep(30)
            assert [sorted(attributes) for _, _, attributes in bench.sender.sent] == [["a"]]

    run(main())


def test_the_rest_of_a_split_update_is_not_sent_when_its_partition_is_assigned_again() -> None:
    """A worker that waited between two requests through a loss must not send what it rendered before."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="x" * BIG, b="y" * BIG))
        async with Bench(log, _slow(1.0), linger=0.0) as bench:
            await asyncio.sleep(0.5)
            bench.source.lose(P0)
            await asyncio.sleep(60)
            log.append(event("v", b="newer"))
            bench.source.assign(P0)
            await bench.settle(60)
        assert [attributes["b"] for _, _, attributes in bench.sender.sent if "b" in attributes] == ["newer"]
        assert bench.sender.overlaps == 0

    run(main())


def test_the_rest_of_a_split_update_is_not_sent_after_the_revoke_timed_out() -> None:
    """After its time limit a revoke has released: requests not sent by then are the next owner's."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="x" * BIG, b="y" * BIG, c="z" * BIG))
        log.append(None, partition=1)
        async with Bench(log, _slow(9.0), linger=0.0, request_timeout=10.0) as bench:
            await asyncio.sleep(1)
            await bench.source.revoke(P0)
            let_go = asyncio.get_running_loop().time()
            await asyncio.sleep(60)
            assert max(at for at, _, _ in bench.sender.sent) <= let_go
            assert bench.done(Done.HANDED_OVER) == 1

    run(main())


def test_a_rejected_update_whose_values_went_with_a_lost_partition_makes_no_empty_dead_letter() -> None:
    """A dead letter is a valid event; an update whose rejected value belongs to another owner has none to write."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("v", a="zero"), partition=0)
        log.append(event("v", a="one"), partition=1)
        async with Bench(log, _slow(3.0, Answer(Verdict.REJECTED, "HTTP 400")), linger=1.0) as bench:
            await asyncio.sleep(2)
            bench.source.lose(P1)
            await bench.settle(20)
        decode = bench.decode
        assert all(decode(letter.value or b"").attributes for letter in bench.letters.letters)
        assert log.committed == {P0: 1, P1: 0}

    run(main())


def test_records_of_a_partition_that_is_not_owned_are_left_to_its_owner() -> None:
    """A batch that arrives after a loss is ignored; consumed, it would be an update without an owner."""

    async def main() -> None:
        log = _two_partitions()
        async with Bench(log, assign=False) as bench:
            bench.source.assign(P0)
            bench.pipeline.records(log.records[P1])
            await bench.settle(10)
            assert bench.pipeline.state.counters.events_consumed == 1
        assert bench.sender.profiles == {"zero": {"a": "0"}}

    run(main())


def test_losing_what_was_never_owned_changes_nothing() -> None:
    """The coordinator may report it twice; the second time must not raise in the consumer's callback."""

    async def main() -> None:
        log = _two_partitions()
        async with Bench(log) as bench:
            await asyncio.sleep(0.1)
            bench.source.lose(P0)
            bench.source.lose(P0)
            assert await bench.pipeline.revoked([P0]) == {}
            await bench.settle(10)
        assert bench.done(Done.HANDED_OVER) == 1

    run(main())


def test_back_pressure_ends_when_the_full_partition_is_revoked() -> None:
    """A revoke frees memory, so credit is granted again; else the member would starve on its other partitions."""

    async def main() -> None:
        log = FakeLog()
        for number in range(50):
            log.append(event(f"v{number}", a=1), partition=0)
        log.append(event("one", a=1), partition=1)
        sender = FakeSender(lambda visitor, _attributes, _number: (FINE if visitor == "one" else DOWN, 0.1))
        async with Bench(log, sender, batch=10, max_visitors=20, assign=False) as bench:
            bench.source.assign(P0)
            await asyncio.sleep(5)
            before = bench.pipeline.state.is_starved
            await bench.source.revoke(P0)
            await asyncio.sleep(0.001)
            assert (before, bench.pipeline.state.is_starved) == (True, False)
            bench.source.assign(P1)
            await bench.settle(30)
        assert bench.sender.profiles == {"one": {"a": "1"}}

    run(main())


def test_the_ends_of_the_log_are_kept_for_owned_partitions() -> None:
    """Lag is of owned partitions only; a gauge of a revoked one would alert on two replicas."""

    async def main() -> None:
        log = _two_partitions()
        async with Bench(log) as bench:
            bench.pipeline.ends({P0: 7, P1: 9})
            bench.source.lose(P0)
            assert bench.pipeline.state.log_ends == {P1: 9}

    run(main())
