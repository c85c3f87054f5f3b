"""What every source of records promises its listener; run on the fake and on the consumer thread with a real broker.

If the fake promised more than the thread keeps, the pipeline's tests would prove nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import pytest

from connector.delivery.offset_metadata import MAX_CHARACTERS
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.start_position import Beginning
from connector.errors import CommitFailed, Fatal
from connector.kafka.config import KafkaConfig
from connector.kafka.consumer import COMMIT_SECONDS, ConsumerThread
from connector.kafka.errors import KafkaFailure
from connector.kafka.group_member import STALL_SECONDS
from connector.kafka.inbox import CREDITS
from connector.kafka.ports import Listener
from connector.pipeline.ports import Source
from tests.support.fakes import FakeLog, FakeSource
from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import Kafka

SETTLE_SECONDS = 90.0
"""A rebalance takes at most two of these; ten times that on a busy machine."""
PROTOCOLS = ("classic", "consumer")


CLOSE_SECONDS = 8.0


class Recorder:
    """A listener that records its calls, and those that should not have come."""

    def __init__(self, source: Source, *, generous: bool = True) -> None:
        """`generous` grants a new credit for each batch."""
        self.source = source
        self.generous = generous
        self.batches = 0
        self.owned: set[TopicPartition] = set()
        self.starts: dict[TopicPartition, Start] = {}
        self.changes: list[tuple[TopicPartition, Beginning]] = []
        self.positions: dict[TopicPartition, int] = {}
        self.totals: Mapping[str, int] = {}
        self.sessions: list[float] = []
        self.note = ""
        """Metadata to commit with each offset at a revoke."""
        self.read_on: list[tuple[TopicPartition, Start]] = []
        self.taken: dict[TopicPartition, list[int]] = {}
        self.handed_over: dict[TopicPartition, int] = {}
        self.gone: list[TopicPartition] = []
        self.log_ends: dict[TopicPartition, int] = {}
        self.troubles: list[KafkaFailure] = []
        self.failures: list[Fatal] = []
        self.mistakes: list[str] = []
        self.done: Callable[[TopicPartition, int], int] = lambda _, position: position
        """From a partition and its position to what is handed over at a revoke."""

    def assigned(self, partitions: Mapping[TopicPartition, Start]) -> None:
        again = [name for name in partitions if name in self.owned and not self.changes]
        self.mistakes += [f"{name} was assigned twice" for name in again]
        self.owned.update(partitions)
        self.starts.update(partitions)

    def session(self, seconds: float) -> None:
        self.sessions.append(seconds)

    def counted(self, totals: Mapping[str, int]) -> None:
        self.totals = totals

    def records(self, batch: Sequence[Record]) -> None:
        self.batches += 1
        for record in batch:
            name = TopicPartition(record.topic(), record.partition())
            if name not in self.owned:
                self.mistakes.append(f"a record of {name}, which is not owned")
            self.taken.setdefault(name, []).append(record.offset())
        if self.generous:
            self.source.more()

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        self.mistakes += [f"{name} was revoked and is not owned" for name in partitions if name not in self.owned]
        await asyncio.sleep(0.05)  # A request is in flight meanwhile; the next owner must wait for it.
        self.owned.difference_update(partitions)
        self.gone += partitions
        going = {name: self.done(name, self.taken[name][-1] + 1) for name in partitions if name in self.taken}
        self.handed_over.update(going)
        return {name: OffsetAndMetadata(offset, self.note) for name, offset in going.items()}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.owned.difference_update(partitions)
        self.gone += partitions

    def log_changed(self, name: TopicPartition, beginning: Beginning) -> None:
        self.changes.append((name, beginning))

    def reading_on(self, name: TopicPartition, start: Start) -> None:
        self.read_on.append((name, start))
        self.taken[name] = []  # What came before is void.

    def advanced(self, positions: Mapping[TopicPartition, int]) -> None:
        self.positions.update(positions)

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        self.log_ends.update(ends)

    def trouble(self, trouble: KafkaFailure) -> None:
        self.troubles.append(trouble)

    def failed(self, error: Exception) -> None:
        assert isinstance(error, Fatal)
        self.failures.append(error)

    async def until_batch(self, number: int) -> None:
        """Wait for this many batches in all."""
        await until(lambda: self.batches == number, f"batch {number}")

    @property
    def count(self) -> int:
        """Records taken in all."""
        return sum(map(len, self.taken.values()))


def at(offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offsets to commit, without metadata."""
    return {name: OffsetAndMetadata(offset) for name, offset in offsets.items()}


class World(Protocol):
    """A topic with its group: what a suite needs besides the source itself."""

    topic: str

    def source(self) -> Source:
        """A member that has not joined."""
        ...

    async def join(self, source: Source, listener: Listener) -> None:
        """Start it; the rebalance may still be under way."""
        ...

    async def leave(self, source: Source) -> None:
        """Close it; the remaining members take over."""
        ...

    async def append(self, count: int, partitions: int) -> None:
        """Write this many records to each partition."""
        ...

    async def committed(self) -> dict[TopicPartition, int]:
        """What the group committed."""
        ...


class FakeWorld:
    """The fake log, with a coordinator that assigns its partitions in turn."""

    def __init__(self) -> None:
        self.topic = "t"
        self._log = FakeLog()
        self._owned: dict[FakeSource, set[TopicPartition]] = {}

    def source(self) -> Source:
        return FakeSource(self._log)

    async def join(self, source: Source, listener: Listener) -> None:
        assert isinstance(source, FakeSource)
        source.start(listener)
        self._owned[source] = set()
        await self._rebalance()

    async def leave(self, source: Source) -> None:
        assert isinstance(source, FakeSource)
        await source.close(CLOSE_SECONDS)
        del self._owned[source]
        await self._rebalance()

    async def append(self, count: int, partitions: int) -> None:
        for _ in range(count):
            for partition in range(partitions):
                self._log.append(b"{}", topic=self.topic, partition=partition)
        for source in self._owned:
            source.feed()

    async def committed(self) -> dict[TopicPartition, int]:
        return dict(self._log.committed)

    async def _rebalance(self) -> None:
        deal: dict[FakeSource, set[TopicPartition]] = {source: set() for source in self._owned}
        for number, name in enumerate(sorted(self._log.records)):
            if deal:
                deal[list(deal)[number % len(deal)]].add(name)
        for source, owned in self._owned.items():
            if going := owned - deal[source]:
                await source.revoke(*sorted(going))
        for source, owned in self._owned.items():
            if coming := deal[source] - owned:
                source.assign(*sorted(coming))
        self._owned = deal


class RealWorld:
    """A topic and a group on the real broker."""

    def __init__(self, broker: Kafka, protocol: str, partitions: int = 4) -> None:
        self.topic = broker.unique_topic("source", partitions)
        self._broker = broker
        self._protocol = protocol

    def source(self) -> Source:
        return self.thread()

    def thread(self, *, instance: str | None = None, **properties: str) -> ConsumerThread:
        """A member with further properties of librdkafka, named with underscores."""
        quick = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "300"} if self._protocol == "classic" else {}
        return ConsumerThread(
            KafkaConfig(
                bootstrap_servers=self._broker.bootstrap,
                topics=(self.topic,),
                group_id=self.topic,
                group_protocol=self._protocol,
                group_instance_id=instance,
                properties={**quick, **{name.replace("_", "."): value for name, value in properties.items()}},
            )
        )

    async def join(self, source: Source, listener: Listener) -> None:
        source.start(listener)

    async def leave(self, source: Source) -> None:
        await source.close(CLOSE_SECONDS)

    async def append(self, count: int, partitions: int) -> None:
        records = [(None, b"{}", partition) for _ in range(count) for partition in range(partitions)]
        await asyncio.to_thread(self._broker.produce, self.topic, records)

    async def committed(self) -> dict[TopicPartition, int]:
        found = await asyncio.to_thread(self._broker.committed, self.topic, self.topic)
        return {TopicPartition(self.topic, partition): where.offset for partition, where in found.items()}


@pytest.fixture(
    params=["fake", *(pytest.param(protocol, marks=pytest.mark.integration) for protocol in PROTOCOLS)],
)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Each kind of source; the broker is only started for those that need it."""
    if request.param == "fake":
        yield FakeWorld()
    else:
        yield RealWorld(request.getfixturevalue("kafka"), request.param)


async def until(condition: Callable[[], object], what: str, seconds: float = SETTLE_SECONDS) -> None:
    """Poll until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.01)


def test_each_record_comes_once_in_order_and_only_while_its_partition_is_owned(world: World) -> None:
    """Offsets depend on it: a record out of order or of another's partition would be committed over."""

    async def main() -> None:
        await world.append(700, 4)
        source = world.source()
        recorder = Recorder(source)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 2_800, "all records came")
        await world.append(300, 4)
        await until(lambda: recorder.count == 4_000, "those that came later too")
        assert recorder.totals == {world.topic: 4}
        await world.leave(source)
        assert recorder.taken == {TopicPartition(world.topic, number): list(range(1_000)) for number in range(4)}
        assert not [*recorder.mistakes, *recorder.failures]

    asyncio.run(main())


def test_a_batch_costs_a_credit_and_without_one_none_comes(world: World) -> None:
    """Memory is bounded by it: only requested batches are handed on."""

    async def main() -> None:
        source = world.source()
        recorder = Recorder(source, generous=False)
        await world.append(100, 4)
        await world.join(source, recorder)
        while recorder.batches < CREDITS:  # Records from before the join may come in one batch.
            await world.append(1, 4)
            await asyncio.sleep(0.05)
        for granted in range(CREDITS, CREDITS + 3):
            await recorder.until_batch(granted)
            before = recorder.count
            await world.append(100, 4)
            await asyncio.sleep(0.3)  # Nothing must come, and no event says so.
            assert (recorder.batches, recorder.count) == (granted, before)
            source.more()
        await world.leave(source)

    asyncio.run(main())


def test_a_commit_lands_and_the_next_member_begins_there(world: World) -> None:
    """Only the commit outlives a member."""

    async def main() -> None:
        await world.append(50, 2)
        names = [TopicPartition(world.topic, number) for number in range(2)]
        first = world.source()
        recorder = Recorder(first)
        recorder.done = lambda _, __: 30
        await world.join(first, recorder)
        await until(lambda: recorder.count == 100, "all records came")
        await first.commit(at({names[0]: 10, names[1]: 20}))
        assert (await world.committed()).items() >= {(names[0], 10), (names[1], 20)}
        await first.commit(at({names[0]: 30, names[1]: 30}))
        assert (await world.committed()).items() >= {(names[0], 30), (names[1], 30)}
        await world.leave(first)
        second = world.source()
        later = Recorder(second)
        await world.join(second, later)
        await until(lambda: later.count == 40, "what was not committed came again")
        await world.leave(second)
        assert {name: offsets[0] for name, offsets in later.taken.items()} == {names[0]: 30, names[1]: 30}

    asyncio.run(main())


def test_what_was_noted_beside_an_offset_reaches_the_next_owner(world: World) -> None:
    """It holds the owed visitors: without it, a restart would send everything again."""

    async def main() -> None:
        await world.append(20, 1)
        (name,) = [TopicPartition(world.topic, 0)]
        first = world.source()
        recorder = Recorder(first)
        recorder.done = lambda _, __: 10
        recorder.note = "what the last owner knew"
        await world.join(first, recorder)
        await until(lambda: recorder.count == 20, "all records came")
        assert recorder.starts[name].offset == 0
        assert await first.commit({name: OffsetAndMetadata(5, "x" * MAX_CHARACTERS)})
        await world.leave(first)
        second = world.source()
        later = Recorder(second)
        await world.join(second, later)
        await until(lambda: name in later.starts, "the next member owns it")
        await world.leave(second)
        assert later.starts[name].committed == OffsetAndMetadata(10, "what the last owner knew")

    asyncio.run(main())


def test_a_commit_of_nothing_that_is_owned_proves_nothing(world: World) -> None:
    """The lease on sending depends on it: an answer without the coordinator's would let a zombie write."""

    async def main() -> None:
        await world.append(1, 1)
        source = world.source()
        recorder = Recorder(source)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 1, "it owns something")
        assert not await source.commit(at({TopicPartition(world.topic, 99): 1}))
        assert await source.commit(at({TopicPartition(world.topic, 0): 1}))
        await until(lambda: recorder.sessions, "and knows its session timeout")
        assert len(recorder.sessions) == 1
        await world.leave(source)

    asyncio.run(main())


@pytest.mark.integration
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_member_that_does_not_leave_blocks_the_others_for_its_session(kafka: Kafka, protocol: str) -> None:
    """Cancelled requests may still land; a consumer that leaves would let a successor write before they do."""

    async def main() -> None:
        world = RealWorld(kafka, protocol)
        first, second = world.source(), world.source()
        mine, others = Recorder(first), Recorder(second)
        await world.join(first, mine)
        await until(lambda: len(mine.owned) == 4, "the first has all")
        await until(lambda: mine.sessions, "it knows its session timeout")
        await first.close(CLOSE_SECONDS, leave=False)
        assert not mine.gone, "nothing is revoked"
        # The client's own threads live on in this process, and so does its membership; a real one ends with it.
        await world.join(second, others)
        await asyncio.sleep(min(mine.sessions[0] / 2, 2.0))
        assert not others.owned
        await world.leave(second)

    asyncio.run(main())


def test_a_partition_that_another_member_owns_cannot_be_committed(world: World) -> None:
    """The coordinator does not check ownership, so a late commit would overwrite the owner's."""

    async def main() -> None:
        await world.append(10, 4)
        first, second = world.source(), world.source()
        mine, others = Recorder(first), Recorder(second)
        await world.join(first, mine)
        await until(lambda: len(mine.owned) == 4, "the first member has all")
        await world.join(second, others)
        await until(lambda: len(mine.owned) == len(others.owned) == 2, "each has two")
        before = await world.committed()
        await first.commit(at(dict.fromkeys(others.owned, 1) | dict.fromkeys(mine.owned, 2)))
        after = await world.committed()
        assert {name: after.get(name) for name in others.owned} == {name: before.get(name) for name in others.owned}
        assert [after[name] for name in mine.owned] == [2, 2]
        await world.leave(first)
        await world.leave(second)

    asyncio.run(main())


def test_the_next_owner_begins_exactly_where_the_revoked_one_left(world: World) -> None:
    """Handed-over offsets are committed before the next owner reads: else older values would go over newer ones."""

    async def main() -> None:
        await world.append(200, 4)
        first, second = world.source(), world.source()
        giving, getting = Recorder(first), Recorder(second)
        giving.done = lambda name, position: position - 100 - name.partition
        await world.join(first, giving)
        await until(lambda: giving.count == 800, "the first member has all")
        await world.join(second, getting)
        await until(lambda: len(giving.owned) == len(getting.owned) == 2, "each has two")
        await until(lambda: len(getting.taken) == 2, "the second reads")
        assert {name: offsets[0] for name, offsets in getting.taken.items()} == giving.handed_over
        assert sorted(giving.handed_over.values()) == sorted(100 - name.partition for name in getting.taken)
        await until(lambda: all(offsets[-1] == 199 for offsets in getting.taken.values()), "the second has read on")
        await world.leave(second)
        await until(lambda: len(giving.owned) == 4, "the first has all again")
        await world.append(1, 4)
        await until(lambda: all(offsets[-1] == 200 for offsets in giving.taken.values()), "the first reads on")
        back = {name: giving.taken[name][200] for name in getting.taken}
        assert back == getting.handed_over == dict.fromkeys(getting.taken, 200)
        assert giving.mistakes == getting.mistakes == []
        await world.leave(first)

    asyncio.run(main())


def test_a_partition_that_is_held_is_read_on_from_the_offset_asked_for(world: World) -> None:
    """A record that waits for its schema comes again with all behind it, in order; the other partitions go on."""

    async def main() -> None:
        await world.append(50, 4)
        source = world.source()
        recorder = Recorder(source)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 200, "all records came")
        held = TopicPartition(world.topic, 2)
        others = [TopicPartition(world.topic, number) for number in (0, 1, 3)]
        source.hold(held, recorder.starts[held])
        await world.append(10, 4)
        await until(lambda: all(len(recorder.taken[name]) == 60 for name in others), "the others go on")
        source.read_on(held, recorder.starts[held], 30, 0)
        await until(lambda: recorder.read_on == [(held, recorder.starts[held])], "it is read on")
        await until(lambda: len(recorder.taken[held]) >= 30, "all of it came again")
        await world.append(1, 4)
        await until(lambda: all(recorder.taken[name][-1] == 60 for name in (held, *others)), "all go on")
        assert recorder.taken == {held: list(range(30, 61))} | {name: list(range(61)) for name in others}
        assert not [*recorder.mistakes, *recorder.failures]
        await world.leave(source)

    asyncio.run(main())


def test_a_hold_of_an_earlier_assignment_is_nothing_to_this_one(world: World) -> None:
    """What the loop asked before a rebalance may be heard after it: the partition must not move, and must be read."""

    async def main() -> None:
        await world.append(50, 4)
        source = world.source()
        recorder = Recorder(source)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 200, "all records came")
        name = TopicPartition(world.topic, 0)
        stale = replace(recorder.starts[name])
        source.hold(name, stale)
        source.read_on(name, stale, 10, 0)
        await world.append(10, 4)
        await until(lambda: recorder.count == 240, "the rest came too")
        assert recorder.read_on == []
        assert recorder.taken[name] == list(range(60))
        await world.leave(source)

    asyncio.run(main())


def test_closing_revokes_what_is_owned_and_commits_what_that_returns(world: World) -> None:
    """A clean stop repeats nothing."""

    async def main() -> None:
        await world.append(60, 4)
        source = world.source()
        recorder = Recorder(source)
        recorder.done = lambda name, _: 10 * (name.partition + 1)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 240, "all records came")
        await world.leave(source)
        assert recorder.owned == set()
        assert len(recorder.gone) == 4
        assert await world.committed() == {TopicPartition(world.topic, n): 10 * (n + 1) for n in range(4)}

    asyncio.run(main())


# The real source alone: a broker that fails, a group that fences, a configuration that is wrong.


@pytest.mark.integration
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_starved_source_keeps_its_membership_and_resumes_where_it_was(kafka: Kafka, protocol: str) -> None:
    """However long the endpoint is down, the group must not revoke the partitions, and no record may be lost."""

    async def main() -> None:
        world = RealWorld(kafka, protocol)
        await world.append(5_000, 4)
        source = world.thread(max_poll_interval_ms="3000")
        recorder = Recorder(source, generous=False)
        await world.join(source, recorder)
        await until(lambda: recorder.batches == CREDITS, "the first batches came")
        before = recorder.count
        await asyncio.sleep(STALL_SECONDS + 3.5)  # Past the stall, and past the poll interval.
        assert (recorder.batches, recorder.count, recorder.gone) == (CREDITS, before, [])
        committed = await asyncio.to_thread(kafka.committed, world.topic, world.topic)
        assert committed == {}, "no batch that was handed on counts as done"
        recorder.generous = True
        for _ in range(CREDITS):
            source.more()
        await until(lambda: recorder.count >= 20_000, "the rest came")
        assert recorder.taken == {TopicPartition(world.topic, number): list(range(5_000)) for number in range(4)}
        assert not [*recorder.gone, *recorder.mistakes, *recorder.troubles]
        await world.leave(source)

    asyncio.run(main())


@pytest.mark.integration
def test_a_frozen_broker_stops_neither_the_polls_nor_the_end(broker: KafkaBroker) -> None:
    """A commit of this client has no deadline of its own: ours must hold, and the thread must keep polling."""

    async def one(protocol: str, frozen: asyncio.Event, ready: asyncio.Semaphore) -> None:
        world = RealWorld(broker, protocol)
        await world.append(10, 4)
        source = world.thread()
        recorder = Recorder(source)
        await world.join(source, recorder)
        await until(lambda: recorder.count == 40, "all records came")
        ready.release()
        await frozen.wait()
        began = time.monotonic()
        commit = asyncio.create_task(source.commit(at(dict.fromkeys(recorder.owned, 5))))
        while not commit.done():
            assert time.monotonic() - source.last_beat < 5
            await asyncio.sleep(0.1)
        with pytest.raises(CommitFailed, match="no answer"):
            await commit
        assert COMMIT_SECONDS - 0.5 < time.monotonic() - began < COMMIT_SECONDS + 15
        began = time.monotonic()
        await source.close(CLOSE_SECONDS)
        assert time.monotonic() - began < CLOSE_SECONDS + 12

    async def main() -> None:
        frozen, ready = asyncio.Event(), asyncio.Semaphore(0)
        members = asyncio.gather(*(one(protocol, frozen, ready) for protocol in PROTOCOLS))
        for _ in PROTOCOLS:
            await ready.acquire()
        broker.pause()
        frozen.set()
        try:
            await members
        finally:
            broker.resume()

    asyncio.run(main())


@pytest.mark.integration
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_topic_that_does_not_exist_is_reported(kafka: Kafka, protocol: str) -> None:
    """A misspelt topic must not look like an empty one."""

    async def main() -> None:
        config = KafkaConfig(kafka.bootstrap, ("nobody-made-this",), kafka.unique_topic("group"), protocol)
        source = ConsumerThread(config)
        recorder = Recorder(source)
        source.start(recorder)
        await until(lambda: recorder.troubles, "the missing topic is said", 10)
        assert {trouble.event for trouble in recorder.troubles} == {"kafka_topic_missing"}
        assert recorder.failures == []
        await source.close(CLOSE_SECONDS)

    asyncio.run(main())


@pytest.mark.integration
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_unreachable_broker_is_reported_and_waited_for(protocol: str) -> None:
    """A wrong address is a common mistake, and a stopped broker comes back: neither ends the process."""

    async def main() -> None:
        source = ConsumerThread(KafkaConfig(f"127.0.0.1:{free_ports(1)[0]}", ("t",), "g", protocol))
        recorder = Recorder(source)
        source.start(recorder)
        await until(lambda: recorder.troubles, "the missing broker is said", 10)
        assert {trouble.event for trouble in recorder.troubles} == {"kafka_unreachable"}
        assert not source.reached
        assert recorder.failures == []
        began = time.monotonic()
        await source.close(CLOSE_SECONDS)
        assert time.monotonic() - began < CLOSE_SECONDS + 12

    asyncio.run(main())


@pytest.mark.integration
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_second_member_of_the_same_static_name_ends_one_of_the_two(kafka: Kafka, protocol: str) -> None:
    """Two replicas of one name would fence each other for ever: the fenced one must report it and end."""

    async def main() -> None:
        world = RealWorld(kafka, protocol)
        await world.append(1, 4)
        old, new = world.thread(instance="same"), world.thread(instance="same")
        before, after = Recorder(old), Recorder(new)
        await world.join(old, before)
        await until(lambda: len(before.owned) == 4, "the first member has all")
        await world.join(new, after)
        thrown_out, stays = (before, after) if protocol == "classic" else (after, before)
        await until(lambda: thrown_out.failures, "one is fenced")
        assert thrown_out.failures[0].failure.event == "kafka_fatal"
        assert "KAFKA_GROUP_INSTANCE_ID" in str(thrown_out.failures[0])
        assert stays.failures == []
        await old.close(CLOSE_SECONDS)
        await new.close(CLOSE_SECONDS)

    asyncio.run(main())


@pytest.mark.integration
@pytest.mark.parametrize(
    ("properties", "word"),
    [({"no.such.property": "1"}, "KAFKA_PROPERTIES"), ({"session.timeout.ms": "abc"}, "invalid literal")],
)
def test_any_error_in_making_the_client_is_fatal(properties: Mapping[str, str], word: str) -> None:
    """A thread that ends silently leaves a process that is live for ever and reads nothing."""

    async def main() -> None:
        source = ConsumerThread(KafkaConfig("127.0.0.1:1", ("t",), "g", properties=properties))
        recorder = Recorder(source)
        source.start(recorder)
        await until(lambda: recorder.failures, "the refusal is said")
        assert recorder.failures[0].failure.event == "kafka_fatal"
        assert word in str(recorder.failures[0])
        with pytest.raises(CommitFailed, match="closed"):
            await source.commit(at({TopicPartition("t", 0): 1}))
        await source.close(CLOSE_SECONDS)

    asyncio.run(main())
