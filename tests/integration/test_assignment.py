"""An assignment while brokers do not answer: the thread is not blocked, and no partition begins at a wrong offset."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.ports import Record
from connector.delivery.start_position import Beginning
from connector.kafka.config import KafkaConfig
from connector.kafka.consumer import ConsumerThread
from connector.kafka.errors import KafkaFailure
from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import patiently
from tests.support.kafka.doors import OFFSET_FETCH, BrokerBehindDoor, second_broker
from tests.support.kafka.fetch import Distribution
from tests.support.kafka.logs import create_on
from tests.support.scene import PROTOCOLS
from tests.support.shared import started

LONGEST_SECONDS = 90.0
LEADERLESS = 30
LEADERLESS_SECONDS = 12.0
"""Longer than one request to the brokers may last, and the pause before the next."""
LATE_SECONDS = 10.0
"""The thread may be blocked this long in all; 30 partitions in turn, two seconds each, exceed it."""


class Reader:
    """A listener that commits what it has read when it ends, and measures the longest time between two heartbeats."""

    def __init__(self, source: ConsumerThread) -> None:
        self.source = source
        self.starts: dict[TopicPartition, int] = {}
        self.taken: dict[TopicPartition, list[int]] = {}
        self.failures: list[Exception] = []
        self.longest = 0.0

    def assigned(self, partitions: Mapping[TopicPartition, Start]) -> None:
        self.starts.update({name: start.offset for name, start in partitions.items()})

    def session(self, seconds: float) -> None:
        pass

    def counted(self, totals: Mapping[str, int]) -> None:
        pass

    def records(self, batch: Sequence[Record]) -> None:
        for record in batch:
            self.taken.setdefault(TopicPartition(record.topic(), record.partition()), []).append(record.offset())
        self.source.more()

    async def revoked(self, partitions: Sequence[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        return {name: OffsetAndMetadata(self.taken[name][-1] + 1) for name in partitions if name in self.taken}

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        pass

    def log_changed(self, name: TopicPartition, beginning: Beginning) -> None:
        pass

    def reading_on(self, name: TopicPartition, start: Start) -> None: ...

    def advanced(self, positions: Mapping[TopicPartition, int]) -> None:
        pass

    def ends(self, ends: Mapping[TopicPartition, int]) -> None:
        pass

    def trouble(self, trouble: KafkaFailure) -> None:
        pass

    def failed(self, error: Exception) -> None:
        self.failures.append(error)

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Poll, and watch the thread's heartbeats meanwhile."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while not condition():
            assert not self.failures
            assert time.monotonic() < deadline, f"not within {LONGEST_SECONDS:.0f} s: {what}"
            self.longest = max(self.longest, time.monotonic() - self.source.last_beat)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def reading(config: KafkaConfig) -> AsyncIterator[Reader]:
    """A member of the group, until it is left."""
    source = ConsumerThread(config)
    reader = Reader(source)
    source.start(reader)
    try:
        yield reader
    finally:
        await source.close(10.0)


async def both(case: Callable[[str], Awaitable[None]]) -> None:
    """Run a case under both protocols at once."""
    await asyncio.gather(*(case(protocol) for protocol in PROTOCOLS))


def config(bootstrap: str, protocol: str, *topics: str, reset: str = "earliest") -> KafkaConfig:
    """A group with the first topic's name."""
    quick = {"session.timeout.ms": "20000", "heartbeat.interval.ms": "300"} if protocol == "classic" else {}
    return KafkaConfig(
        bootstrap_servers=bootstrap,
        topics=topics,
        group_id=topics[0],
        group_protocol=protocol,
        group_instance_id=f"{topics[0]}-0",
        auto_offset_reset=reset,
        properties=quick,
    )


def stand_at(broker: KafkaBroker, topic: str, offset: int) -> None:
    """Commit an offset for the group of a topic's name."""
    member = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": topic})
    try:
        patiently(lambda: member.commit(offsets=[KafkaTopicPartition(topic, 0, offset)], asynchronous=False))
    finally:
        member.close()


def test_partitions_without_a_leader_hold_up_neither_the_thread_nor_the_others(
    broker: KafkaBroker, distribution: Distribution, tmp_path: Path
) -> None:
    """Asked for in turn, 30 of them passed the limit of `/livez`, and the restart changed nothing."""
    topics = {protocol: (broker.unique_topic("healthy", 2), f"leaderless-{protocol}") for protocol in PROTOCOLS}
    for healthy, _ in topics.values():
        stand_at(broker, healthy, 0)  # So that the coordinator of the groups is the first broker.
        broker.produce(healthy, [(None, b"{}", partition) for partition in range(2)])
    second = second_broker(distribution, tmp_path / "second", broker)
    second.start()
    try:
        for _, leaderless in topics.values():
            create_on(broker, leaderless, LEADERLESS, number=2)
            broker.produce(leaderless, [(None, b"{}", partition) for partition in range(LEADERLESS)])
        second.kill9()
        back = asyncio.Event()

        async def case(protocol: str) -> None:
            healthy, leaderless = topics[protocol]
            async with reading(config(broker.bootstrap, protocol, healthy, leaderless)) as reader:
                await reader.until(lambda: sum(n.topic == healthy for n in reader.taken) == 2, "the others are read")
                began = time.monotonic()
                await reader.until(lambda: time.monotonic() - began > LEADERLESS_SECONDS, "it asks some times")
                assert reader.longest < LATE_SECONDS
                assert reader.starts == {TopicPartition(healthy, partition): 0 for partition in range(2)}
                arrived.append(protocol)
                if len(arrived) == len(PROTOCOLS):
                    await asyncio.to_thread(second.start)
                    back.set()
                await back.wait()
                await reader.until(lambda: len(reader.taken) == LEADERLESS + 2, "all are read when they have a leader")
                assert set(reader.starts.values()) == {0}
                assert reader.longest < LATE_SECONDS

        arrived: list[str] = []
        asyncio.run(both(case))
    finally:
        second.stop()


@pytest.fixture(scope="module")
def behind_door(distribution: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerBehindDoor]:
    """A broker whose clients' requests can be held by their kind."""
    broker = BrokerBehindDoor(distribution, tmp_path_factory.mktemp("door"))
    with closing(broker.door), started(broker, broker.bootstrap):
        yield broker


@pytest.mark.parametrize(("committed", "begins"), [(10, 10), (None, 30)])
def test_a_coordinator_that_does_not_answer_at_the_assignment_moves_no_position(
    behind_door: BrokerBehindDoor, committed: int | None, begins: int
) -> None:
    """With `latest` the client itself would begin at its own default: the whole log or nothing of it."""
    topics = {protocol: behind_door.unique_topic("unanswered") for protocol in PROTOCOLS}
    for topic in topics.values():
        behind_door.produce(topic, [(None, b"{}", 0) for _ in range(30)])
        if committed is not None:
            stand_at(behind_door, topic, committed)

    async def case(protocol: str) -> None:
        topic = topics[protocol]
        name = TopicPartition(topic, 0)
        async with reading(config(behind_door.through_door, protocol, topic, reset="latest")) as reader:
            await reader.until(lambda: behind_door.door.held_requests >= 1, "it asks for the group's offsets")
            began = time.monotonic()
            await reader.until(lambda: time.monotonic() - began > 4, "it asks again")
            assert (reader.starts, reader.taken) == ({}, {})
            assert reader.longest < LATE_SECONDS
            behind_door.door.release()
            await reader.until(lambda: name in reader.starts, "it begins")
            assert reader.starts[name] == begins
            await asyncio.to_thread(behind_door.produce, topic, [(None, b"{}", 0)])
            await reader.until(lambda: reader.taken.get(name, [-1])[-1] == 30, "it reads")
            assert reader.taken[name] == list(range(begins, 31))

    behind_door.door.hold(OFFSET_FETCH)
    asyncio.run(both(case))
