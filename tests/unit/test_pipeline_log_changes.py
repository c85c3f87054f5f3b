"""When a log is replaced, has lost records, or holds offsets without records: what is sent, committed and reported."""

import asyncio
from typing import Any

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.offset_mark import decode
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.start_position import Beginning, LogState, Missed, MissedReason, decide
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeRecord, FakeSender, FakeSource, event, names
from tests.support.virtual_time import run

(P0,) = names(1)
FINE = Answer(Verdict.ACCEPTED)
OLD, NEW = "AAAAAAAAAAAAAAAAAAAAA1", "AAAAAAAAAAAAAAAAAAAAA2"
BEHIND = Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True)


class Source(FakeSource):
    """A member whose partition's log can be replaced under it."""

    topic_id = OLD

    def _start(self, name: TopicPartition) -> Start:
        log = LogState(0, len(self.log.records.get(name, ())), self.topic_id)
        return decide(self.log.standing(name), log).start

    def make_again(self, *values: bytes) -> None:
        """Delete the topic and create it again, with these records; the group's offsets go with it."""
        self.topic_id = NEW
        self.log.records[P0] = [FakeRecord(value, number) for number, value in enumerate(values)]
        self.log.committed.pop(P0, None)
        self.log.metadata.pop(P0, None)
        self._positions[P0] = 0
        start = Start(0, log=LogState(0, len(values), NEW))
        self.listener.log_changed(P0, Beginning(start, is_another_log=True))
        self.listener.assigned({P0: start})
        self.feed()


def world(answer: dict[str, Answer], *values: bytes, **config: Any) -> tuple[FakeLog, Source, FakeSender, Bench]:
    """A member that has read these records; `answer` by visitor, accepted for all others."""
    log = FakeLog({P0: []})
    for value in values:
        log.append(value)
    source = Source(log)
    sender = FakeSender(lambda visitor, *_: (answer.get(visitor, FINE), 0.05))
    bench = Bench(log, sender, source=source, **{"linger": 0.0, "commit_interval": 0.5, **config})
    return log, source, sender, bench


def test_a_replaced_log_sends_pending_updates_once_and_is_read_from_its_start() -> None:
    """Wrong design: the old log's tracker is kept. Its offsets close in the new one (KeyError), and nothing is read."""

    async def main() -> None:
        answers = {"stuck": BEHIND}
        log, source, sender, bench = world(answers, event("stuck", a=0), *(event(f"v{n}", a=n) for n in range(20)))
        async with bench:
            await asyncio.sleep(3)
            assert len(sender.profiles) == 20
            source.make_again(*(event(f"w{n}", a=n) for n in range(10)))
            await asyncio.sleep(2)
            assert {f"w{n}" for n in range(10)} <= sender.profiles.keys()
            assert log.committed[P0] == 10, "pending updates of the old log do not hold the new one's watermark"
            answers.clear()
            await bench.settle(120)
            assert sender.profiles["stuck"] == {"a": "0"}
            accepted = [visitor for _, visitor, _ in sender.sent if visitor != "stuck"]
            assert len(accepted) == len(set(accepted)), "nothing is sent twice"
            assert bench.done(Done.ACCEPTED) == 31
        assert decode(log.metadata[P0]).topic_id == NEW

    run(main())


def test_newer_values_of_the_new_log_merge_over_pending_ones_of_the_old_log() -> None:
    """Wrong design: the old log's update is sent separately, after the new one, and an old value wins."""

    async def main() -> None:
        answers = {"v": BEHIND}
        _, source, sender, bench = world(answers, event("v", tier="old", city="Bern"))
        async with bench:
            await asyncio.sleep(3)
            source.make_again(event("v", tier="new"))
            answers.clear()
            await bench.settle(120)
            assert sender.profiles["v"] == {"tier": "new", "city": "Bern"}
            assert bench.done(Done.ACCEPTED) == 2

    run(main())


def test_nothing_of_a_retired_tracker_is_committed() -> None:
    """Wrong design: an old offset is committed to the new topic, and a restart uses it."""

    async def main() -> None:
        answers = {"stuck": BEHIND}
        log, source, _, bench = world(answers, event("stuck", a=0), *(event(f"v{n}", a=n) for n in range(50)))
        async with bench:
            await asyncio.sleep(3)
            source.make_again()
            before = len(source.commits)
            answers.clear()
            await bench.settle(120)
            await asyncio.sleep(60)
            assert source.commits[before:], "the lease is renewed by commits"
            assert {offset for commit in source.commits[before:] for offset in commit.values()} == {0}
        assert log.committed[P0] == 0
        assert decode(log.metadata[P0]).topic_id == NEW

    run(main())


def test_a_revoke_includes_the_retired_tracker() -> None:
    """Wrong design: pending updates of the old log are sent while the next owner sends newer ones of the new log."""

    async def main() -> None:
        log, source, sender, bench = world({"stuck": BEHIND}, event("stuck", a=0), event("v", a=1))
        async with bench:
            await asyncio.sleep(3)
            source.make_again(event("w", a=2))
            await asyncio.sleep(1)
            await source.revoke(P0)
            sent = len(sender.sent)
            await asyncio.sleep(120)
            assert len(sender.sent) == sent
            assert bench.pending == 0
            assert bench.done(Done.HANDED_OVER) == 1
            assert log.committed == {P0: 1}

    run(main())


def test_a_loss_includes_the_retired_tracker() -> None:
    """Wrong design: likewise, when another member owns the partition already."""

    async def main() -> None:
        _, source, sender, bench = world({"stuck": BEHIND}, event("stuck", a=0))
        async with bench:
            await asyncio.sleep(3)
            source.make_again()
            source.lose(P0)
            sent = len(sender.sent)
            await asyncio.sleep(120)
            assert (len(sender.sent), bench.pending, bench.done(Done.HANDED_OVER)) == (sent, 0, 1)

    run(main())


def test_a_dead_letter_of_the_old_log_is_written_and_holds_nothing() -> None:
    """Wrong design: it closes an offset of the new log, which was never opened."""

    async def main() -> None:
        log, source, _, bench = world({}, b"{")
        bench.letters.hold.clear()
        async with bench:
            await asyncio.sleep(1)
            source.make_again(event("w", a=1))
            await asyncio.sleep(2)
            assert log.committed[P0] == 1
            bench.letters.hold.set()
            await bench.settle(10)
            assert bench.done(Done.DEAD_LETTERED) == 1
            assert len(bench.letters.letters) == 1

    run(main())


def test_markers_and_aborted_records_at_the_end_are_committed_and_are_no_lag() -> None:
    """Wrong design: the position is that after the last record; lag never becomes 0, which misleads autoscalers."""

    async def main() -> None:
        log, source, _, bench = world({}, event("v", a=1))
        async with bench:
            await bench.settle(10)
            source.listener.ends({P0: 27})
            source.listener.advanced({P0: 27})
            assert bench.pipeline.state.partitions[P0].watermark == 27
            await asyncio.sleep(2)
            assert log.committed[P0] == 27

    run(main())


def test_open_records_hold_the_commit_before_the_markers() -> None:
    """Wrong design: the client's position is committed unchanged, and a crash loses pending records."""

    async def main() -> None:
        log, source, _, bench = world({}, event("v", a=1), linger=5.0)
        async with bench:
            await asyncio.sleep(1)
            source.listener.advanced({P0: 27})
            await asyncio.sleep(1)
            assert log.committed.get(P0, 0) == 0
            await asyncio.sleep(6)
            assert log.committed[P0] == 27

    run(main())


def test_an_older_end_and_a_foreign_partition_change_nothing() -> None:
    """Wrong design: a late position of the client sets the commit back, or fails for a revoked partition."""

    async def main() -> None:
        _, source, _, bench = world({}, event("v", a=1), event("w", a=1))
        async with bench:
            await bench.settle(10)
            source.listener.advanced({P0: 1, TopicPartition("other", 3): 9})
            assert bench.pipeline.state.partitions[P0].watermark == 2

    run(main())


def test_while_draining_the_clients_position_is_ignored() -> None:
    """Wrong design: batches are not consumed any more, the position is; the commit passes over unread records."""

    async def main() -> None:
        log, source, _, bench = world({}, event("v", a=1))
        await bench.start()
        await bench.settle(10)
        stopping = asyncio.get_running_loop().create_task(bench.stop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert bench.pipeline.state.draining
        source.listener.records([FakeRecord(event("late", a=2), 1)])
        source.listener.advanced({P0: 2})
        await stopping
        assert log.committed[P0] == 1

    run(main())


@pytest.mark.parametrize("reason", MissedReason)
def test_missing_records_are_reported_and_counted_by_reason(reason: MissedReason) -> None:
    """Wrong design: the client's own reset is silent, and nobody asks the producer to send them again."""

    async def main() -> None:
        _, source, _, bench = world({})
        with captured_logs() as logs:
            async with bench:
                start = Start(60, OffsetAndMetadata(10), LogState(60, 90, OLD))
                source.listener.log_changed(P0, Beginning(start, Missed(reason, 10, 60)))
            (told,) = [line for line in logs.lines if line["event"] == "records_missed"]
        assert (told["topic"], told["partition"], told["reason"]) == ("t", 0, reason.value)
        assert (told["offset"], told["until"], told["records"]) == (10, 60, 50)
        assert told["remedy"]
        expected = {each: 50 if each is reason else 0 for each in MissedReason}
        assert bench.pipeline.state.counters.records_missed == expected

    run(main())


def test_a_recreated_topic_is_reported_with_its_remedy_and_counts_nothing_as_missed() -> None:
    """The number of unread records of the old log is unknown."""

    async def main() -> None:
        _, source, _, bench = world({})
        with captured_logs() as logs:
            async with bench:
                source.make_again(event("w", a=1))
                await bench.settle(10)
            (told,) = [line for line in logs.lines if line["event"] == "topic_made_again"]
        assert (told["topic"], told["partition"], told["offset"]) == ("t", 0, 0)
        assert "who deleted" in told["remedy"]
        assert sum(bench.pipeline.state.counters.records_missed.values()) == 0

    run(main())
