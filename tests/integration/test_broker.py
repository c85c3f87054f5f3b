"""The tests' own broker: what they say of the connector holds only if the broker behaves as assumed."""

import os
import sys
import time
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import Committed, Kafka
from tests.support.kafka.fetch import Distribution

CLASSIC: dict[str, str | int] = {
    "partition.assignment.strategy": "cooperative-sticky",
    "session.timeout.ms": 3000,
    "heartbeat.interval.ms": 300,
}
KIP_848: dict[str, str | int] = {"group.protocol": "consumer"}


def member(broker: Kafka, group: str, **settings: str | int) -> Consumer:
    """A consumer that commits nothing by itself."""
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
            **settings,
        }
    )


def take(consumer: Consumer, count: int) -> list[bytes | None]:
    """Read until `count` values came, for at most 20 seconds."""
    values: list[bytes | None] = []
    deadline = time.monotonic() + 20
    while len(values) < count and time.monotonic() < deadline:
        for message in consumer.consume(count, 0.1):
            assert message.error() is None
            values.append(message.value())
    return values


@pytest.fixture
def group() -> str:
    """A unique group name."""
    return f"group-{uuid.uuid4().hex[:8]}"


def test_records_come_back_as_they_were_written(kafka: Kafka) -> None:
    """Coalescing and tombstones are tested with order in a partition, keys, and null values."""
    topic = kafka.unique_topic("written", 2)
    kafka.produce(topic, [("a", "1", 0), (b"a", b"2", 0), ("b", None, 1), (None, "3", 1)])
    read = [(record.partition, record.offset, record.key, record.value) for record in kafka.read_all(topic)]
    assert read == [(0, 0, b"a", b"1"), (0, 1, b"a", b"2"), (1, 0, b"b", None), (1, 1, None, b"3")]
    assert kafka.end_offsets(topic) == {0: 2, 1: 2}


def test_records_without_a_partition_go_by_their_key(kafka: Kafka) -> None:
    """The order of a visitor's updates depends on having its events on one partition."""
    topic = kafka.unique_topic("keyed", 4)
    kafka.produce(topic, ((f"key-{number % 50}", str(number), None) for number in range(1000)))
    records = kafka.read_all(topic)
    assert len(records) == 1000
    homes = {record.key: {other.partition for other in records if other.key == record.key} for record in records}
    assert all(len(home) == 1 for home in homes.values())
    assert len(set.union(*homes.values())) == 4


def test_a_missing_topic_is_an_error(kafka: Kafka) -> None:
    """The broker creates a topic that is asked for by its name: a test's misspelt one would look empty."""
    for _ in range(2):
        with pytest.raises(KafkaException):
            kafka.end_offsets("nobody-looked-at-this")
    assert "nobody-looked-at-this" not in kafka.topics()


@pytest.mark.parametrize("protocol", [CLASSIC, KIP_848], ids=["classic", "kip-848"])
def test_both_group_protocols_share_partitions(kafka: Kafka, group: str, protocol: dict[str, str | int]) -> None:
    """The connector offers both protocols: two members must share the partitions under either."""
    topic = kafka.unique_topic("shared", 4)
    kafka.produce(topic, [(None, str(number), number % 4) for number in range(40)])
    members = [member(kafka, group, **protocol) for _ in range(2)]
    members[0].subscribe([topic])
    assert len(take(members[0], 40)) == 40
    members[1].subscribe([topic])
    deadline = time.monotonic() + 30
    owned: list[list[int]] = []
    while sorted(map(len, owned)) != [2, 2] and time.monotonic() < deadline:
        for each in members:
            each.poll(0.05)
        owned = [sorted(part.partition for part in each.assignment()) for each in members]
    assert sorted(owned[0] + owned[1]) == [0, 1, 2, 3]
    assert [len(each) for each in owned] == [2, 2]
    for each in members:
        each.close()


@pytest.mark.parametrize("protocol", [CLASSIC, KIP_848], ids=["classic", "kip-848"])
def test_a_commit_keeps_its_metadata(kafka: Kafka, group: str, protocol: dict[str, str | int]) -> None:
    """The set of owed visitors is in the metadata of the commit, beyond ASCII too."""
    topic = kafka.unique_topic("committed", 2)
    kafka.produce(topic, [(None, "x", 0)] * 3)
    assert kafka.committed(group, topic) == {}
    consumer = member(kafka, group, **protocol)
    consumer.subscribe([topic])
    assert len(take(consumer, 3)) == 3
    consumer.commit(offsets=[TopicPartition(topic, 0, 2, "v1 é 1a2b")], asynchronous=False)
    consumer.close()
    assert kafka.committed(group, topic) == {0: Committed(2, "v1 é 1a2b")}


def test_a_killed_broker_comes_back_with_data_and_commits(broker: KafkaBroker, group: str) -> None:
    """The tests of "nothing is lost" kill the broker: what it acknowledged before must exist after."""
    topic = broker.create_topic("kept", 2, retention_ms=-1)
    broker.produce(topic, ((None, str(number), number % 2) for number in range(1000)))
    before = broker.read_all(topic)
    consumer = member(broker, group, **CLASSIC)
    consumer.commit(offsets=[TopicPartition(topic, 1, 321, "owed")], asynchronous=False)
    consumer.close()
    address = broker.bootstrap
    broker.kill9()
    with pytest.raises(RuntimeError, match="not running"):
        broker.pause()
    broker.start()
    assert broker.bootstrap == address
    assert broker.read_all(topic) == before
    assert broker.committed(group, topic) == {1: Committed(321, "owed")}
    broker.restart()
    assert broker.read_all(topic) == before


def test_a_paused_broker_does_not_answer_until_it_is_resumed(broker: KafkaBroker) -> None:
    """A paused broker is the tests' black hole: connections stay, answers do not come, nothing is lost."""
    topic = broker.unique_topic("paused")
    consumer = member(broker, "watcher")
    part = TopicPartition(topic, 0)
    assert consumer.get_watermark_offsets(part, timeout=10) == (0, 0)
    broker.pause()
    with pytest.raises(KafkaException):
        consumer.get_watermark_offsets(part, timeout=0.5)
    broker.resume()
    broker.produce(topic, [(None, "after", 0)])
    assert [record.value for record in broker.read_all(topic)] == [b"after"]
    consumer.close()


def test_a_broker_that_cannot_start_shows_its_log(distribution: Distribution, tmp_path: Path) -> None:
    """A broken broker must report why at once, and not use up the time limit of every test."""
    broker = KafkaBroker(distribution, tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").write_text("version=1\nnode.id=7\n")
    with pytest.raises(RuntimeError, match=r"ended with \d+(.|\n)*cluster\.id was not found"):
        broker.start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the children of a process")
def test_a_stopped_broker_leaves_no_process(broker: KafkaBroker) -> None:
    """Brokers that outlive their tests use up the machine until unrelated tests fail."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    running = set(children.read_text().split())
    broker.stop()
    assert len(running - set(children.read_text().split())) == 1
