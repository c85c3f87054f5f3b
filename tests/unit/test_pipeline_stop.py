"""How a run ends: in order within the grace, or at once with an error, but never silently and never by hanging."""

import asyncio
from collections.abc import Mapping

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.errors import Fatal
from connector.kafka.errors import KafkaFailure
from tests.support.bench import Bench, unwritten_letter
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, FakeSource, event, names
from tests.support.virtual_time import run

P0, P1 = names(2)
FINE = Answer(Verdict.ACCEPTED)


def _log(visitors: int) -> FakeLog:
    log = FakeLog()
    for number in range(visitors):
        log.append(event(f"v{number}", a=number))
    return log


def _took(began: float) -> float:
    return asyncio.get_running_loop().time() - began


def test_a_drain_sends_what_comes_due_within_the_grace_and_commits_it() -> None:
    """SIGTERM finishes lingering updates; dropping them would repeat them, waiting for ever would end in SIGKILL."""

    async def main() -> None:
        log = _log(50)
        async with Bench(log, linger=3.0) as bench:
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert _took(began) == pytest.approx(2.0, abs=0.1)
            assert (bench.done(Done.ACCEPTED), bench.pending) == (50, 0)
            assert log.committed == {P0: 50}
            assert bench.source.closed

    run(main())


class RebalancingSource(FakeSource):
    """While members learn of a rebalance one by one, commits are answered late or refused."""

    since = until = float("inf")

    def _is_on(self) -> bool:
        return self.since <= asyncio.get_running_loop().time() < self.until

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Refused until the rebalance is over."""
        self.fail_commits = int(self._is_on())
        return await super().commit(offsets)

    async def revoke(self, *names: TopicPartition) -> None:
        """The final commit on close is refused too."""
        kept = dict(self.log.committed)
        await super().revoke(*names)
        if self._is_on():
            self.log.committed = kept


def test_a_stop_in_a_rebalance_commits_after_it() -> None:
    """A last commit that is tried once, for 2.5 s, made a rolling update send updates again."""

    async def main() -> None:
        log = _log(50)
        source = RebalancingSource(log)
        async with Bench(log, linger=2.0, source=source) as bench:
            await asyncio.sleep(1.0)
            source.since = asyncio.get_running_loop().time()
            await asyncio.sleep(2.0)
            assert bench.done(Done.ACCEPTED) == 50
            assert log.committed != {P0: 50}
            began = asyncio.get_running_loop().time()
            source.until = began + 6.0
            await bench.stop()
            assert 6.0 <= _took(began) < 8.0
            assert log.committed == {P0: 50}

    run(main())


def test_a_drain_with_nothing_to_do_ends_at_once() -> None:
    """An idle replica stops at once; a fixed wait would slow each rolling update."""

    async def main() -> None:
        async with Bench(_log(5)) as bench:
            await bench.settle(5)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert _took(began) < 0.1

    run(main())


def test_a_drain_takes_no_new_records() -> None:
    """Records after SIGTERM are the next owner's; consuming them would make the drain endless under traffic."""

    async def main() -> None:
        log = _log(1)
        sender = FakeSender(lambda *_: (FINE, 3.0))
        async with Bench(log, sender, linger=0.0) as bench:
            await asyncio.sleep(1)
            stopping = asyncio.create_task(bench.stop())
            await asyncio.sleep(0.5)
            log.append(event("late", a=1))
            bench.source.feed()
            await stopping
            assert bench.pipeline.state.counters.events_consumed == 1
        assert log.committed == {P0: 1}

    run(main())


def test_a_drain_with_a_hanging_endpoint_ends_at_its_deadline() -> None:
    """20 of 25 s are for sending; then only settled records are committed, and the rest is left."""

    async def main() -> None:
        log = _log(10)
        sender = FakeSender(lambda visitor, _attributes, _number: (FINE, 0.1 if visitor < "v5" else 1_000.0))
        async with Bench(log, sender, linger=0.0, max_in_flight=10, shutdown_grace=25.0) as bench:
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert _took(began) == pytest.approx(20.0, abs=0.5)
            assert (bench.done(Done.ACCEPTED), bench.pending) == (5, 5)
            assert not bench.source.left, "cancelled requests may still land: the group must not reassign at once"
            assert bench.pipeline.state.counters.requests[Verdict.TIMEOUT] == 5
        assert log.committed == {P0: 5}

    run(main())


def test_a_drain_starts_no_request_that_could_outlive_it() -> None:
    """A cancelled request may land after a successor's newer value: the last ones begin a whole timeout before."""

    async def main() -> None:
        log = FakeLog({P0: []})
        async with Bench(log, FakeSender(lambda *_: (FINE, 0.05)), linger=0.0, updates_per_second=1.0) as bench:
            for number in range(100):
                log.append(event(f"v{number}", a=number))
            bench.source.feed()
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert 9 < bench.sender.sent[-1][0] - began <= 10
            assert bench.source.left

    run(main())


def test_a_drain_during_an_outage_does_not_wait_for_its_end() -> None:
    """With the circuit open nothing is sent: the rest is handed over at once instead of using up the grace."""

    async def main() -> None:
        log = _log(100)
        async with Bench(log, FakeSender(lambda *_: (Answer(Verdict.UNAVAILABLE, "HTTP 500"), 0.1))) as bench:
            await asyncio.sleep(30)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert _took(began) < 1
            assert (bench.done(Done.HANDED_OVER), bench.pending) == (100, 0)
        assert log.committed.get(P0, 0) == 0

    run(main())


def test_a_drain_leaves_retries_beyond_the_deadline_to_the_next_owner() -> None:
    """A retry that is due in a minute cannot be sent in 20 s, so it is not waited for."""

    async def main() -> None:
        log = _log(1)
        sender = FakeSender(lambda *_: (Answer(Verdict.THROTTLED, "HTTP 429", retry_after=60.0), 0.1))
        async with Bench(log, sender) as bench:
            await asyncio.sleep(5)
            began = asyncio.get_running_loop().time()
            await bench.stop()
            assert _took(began) < 0.1
            assert bench.done(Done.HANDED_OVER) == 1

    run(main())


def test_a_drain_waits_for_dead_letters_in_flight() -> None:
    """Their acknowledgement uses the grace as an answer does; else a restart writes them twice."""

    async def main() -> None:
        log, letters = unwritten_letter()
        async with Bench(log, letters=letters) as bench:
            await asyncio.sleep(1)
            asyncio.get_running_loop().call_later(5, letters.hold.set)
            await bench.stop()
            assert bench.done(Done.DEAD_LETTERED) == 1
        assert log.committed == {P0: 1}

    run(main())


def test_a_stop_before_the_first_assignment_ends_at_once() -> None:
    """SIGTERM while joining the group needs no special case."""

    async def main() -> None:
        async with Bench(_log(1), assign=False) as bench:
            await bench.stop()
            assert bench.source.closed
            assert bench.source.commits == []

    run(main())


def test_a_crash_of_a_worker_ends_the_process() -> None:
    """A bug must not leave a live process with a visitor that is never sent; it ends with that error."""

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        raise ZeroDivisionError

    async def main() -> None:
        log = _log(3)
        bench = Bench(log, FakeSender(behave))
        await bench.start()
        with pytest.raises(ZeroDivisionError):
            await bench.ended()
        assert bench.source.closed
        assert log.committed.get(P0, 0) == 0
        assert bench.pending == 3
        assert not bench.source.left, "requests were cut"

    run(main())


class _BrokenSource(FakeSource):
    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        del offsets
        raise ZeroDivisionError


def test_a_crash_while_committing_ends_the_process_and_leaves_the_group() -> None:
    """A silent end of the committer would stall the group's offsets; the process leaves the group as well."""

    async def main() -> None:
        log = _log(1)
        bench = Bench(log, commit_interval=1.0, source=_BrokenSource(log))
        await bench.start()
        with pytest.raises(ZeroDivisionError):
            await bench.ended()
        assert bench.source.closed

    run(main())


def test_a_consumer_with_a_fatal_error_ends_the_run_with_its_reason() -> None:
    """The process ends with the source's Fatal, and settled records are committed."""

    async def main() -> None:
        log = _log(5)
        bench = Bench(log, commit_interval=3_600.0)
        await bench.start()
        await bench.settle(10)
        bench.pipeline.failed(Fatal("kafka_fatal", "it ended", "start it again"))
        with pytest.raises(Fatal, match="start it again"):
            await bench.ended()
        assert log.committed == {P0: 5}

    run(main())


def test_the_first_failure_is_the_one_that_is_reported() -> None:
    """Failures of the shutdown must not hide the cause."""

    async def main() -> None:
        bench = Bench(_log(1))
        await bench.start()
        bench.pipeline.failed(Fatal("first", "the cause", "look"))
        bench.pipeline.failed(Fatal("second", "a consequence", "look"))
        with pytest.raises(Fatal, match="the cause"):
            await bench.ended()

    run(main())


def test_the_end_of_an_outage_is_logged_once() -> None:
    """By an answer of the group or a record, and only after the errors have stopped."""

    async def main() -> list[str]:
        with captured_logs() as logs:
            async with Bench(_log(3)) as bench:
                bench.pipeline.trouble(KafkaFailure("_TRANSPORT", "kafka_unreachable", "refused", "look"))
                await bench.settle(120)
                await asyncio.sleep(120)
            return [line["event"] for line in logs.lines if line["event"].startswith("kafka_")]

    assert run(main()) == ["kafka_unreachable", "kafka_reached"]


def test_the_end_of_an_outage_is_said_by_a_replica_without_partitions_too() -> None:
    """It reads nothing and commits nothing: that the brokers counted the partitions is all that it hears of them."""

    async def main() -> list[str]:
        with captured_logs() as logs:
            async with Bench(_log(3), assign=False) as bench:
                bench.pipeline.trouble(KafkaFailure("_TRANSPORT", "kafka_unreachable", "refused", "look"))
                await asyncio.sleep(120)
                bench.pipeline.counted({"t": 1})
                bench.pipeline.counted({"t": 1})
            return [line["event"] for line in logs.lines if line["event"].startswith("kafka_")]

    assert run(main()) == ["kafka_unreachable", "kafka_reached"]


@pytest.mark.parametrize(
    "failure",
    [
        KafkaFailure("_TIMED_OUT", "kafka_unreachable", "detail"),
        KafkaFailure("_TRANSPORT", "kafka_unreachable", "detail", "remedy"),
        KafkaFailure("_TRANSPORT", "kafka_unreachable", "detail", "remedy", retriable=False),
    ],
)
def test_a_kafka_error_is_logged_and_changes_nothing(failure: KafkaFailure) -> None:
    """The client recovers by itself, so the pipeline continues; else a broker's restart becomes ours."""

    async def main() -> None:
        async with Bench(_log(3)) as bench:
            for _ in range(3):
                bench.pipeline.trouble(failure)
            await bench.settle(10)
        assert bench.done(Done.ACCEPTED) == 3

    run(main())
