"""The demo relies on the embedded broker: it must hold records, groups and commits as a real one does."""

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from connector.sandbox.broker import EmbeddedBroker


def member(broker: EmbeddedBroker, protocol: str = "consumer") -> Consumer:
    """A consumer that commits nothing by itself; in a group of the newer protocol, which joins faster."""
    return Consumer(
        {
            "bootstrap.servers": broker.bootstrap,
            "group.id": "group",
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )


def take(consumer: Consumer, count: int) -> list[tuple[bytes | None, bytes | None]]:
    """Read until `count` records came, for at most 20 seconds."""
    records: list[tuple[bytes | None, bytes | None]] = []
    deadline = time.monotonic() + 20
    while len(records) < count and time.monotonic() < deadline:
        for message in consumer.consume(count, 0.1):
            assert message.error() is None
            records.append((message.key(), message.value()))
    return records


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_group_reads_what_was_produced(protocol: str) -> None:
    """A broker that dropped or changed a record would make the demo reconcile by luck, or never."""
    sent = [(f"visitor-{number % 7}".encode(), f"value-{number}".encode()) for number in range(200)]
    with EmbeddedBroker() as broker:
        for key, value in sent:
            broker.produce("events", value, key)
        broker.flush()
        consumer = member(broker, protocol)
        consumer.subscribe(["events"])
        read = take(consumer, len(sent))
        consumer.close()
    assert sorted(read) == sorted(sent)
    for key in {key for key, _ in sent}:
        assert [value for other, value in read if other == key] == [value for other, value in sent if other == key]


def test_a_commit_keeps_its_offset_and_its_metadata_for_the_next_member() -> None:
    """The connector keeps state in the commit's metadata: a restart in the demo must find it."""
    with EmbeddedBroker() as broker:
        for number in range(5):
            broker.produce("events", str(number).encode(), partition=1)
        broker.flush()
        first = member(broker)
        first.subscribe(["events"])
        assert len(take(first, 5)) == 5
        first.commit(offsets=[TopicPartition("events", 1, 3, "owed: 1a2b")], asynchronous=False)
        first.close()

        second = member(broker)
        (found,) = second.committed([TopicPartition("events", 1)], timeout=10)
        assert (found.offset, found.metadata) == (3, "owed: 1a2b")
        second.subscribe(["events"])
        assert [value for _, value in take(second, 2)] == [b"3", b"4"]
        second.close()


def test_two_brokers_share_nothing() -> None:
    """Two demos on one machine must not read each other's events."""
    with EmbeddedBroker() as one, EmbeddedBroker() as other:
        assert one.bootstrap != other.bootstrap
        one.produce("events", b"mine", partition=0)
        one.flush()
        consumer = member(other)
        consumer.assign([TopicPartition("events", 0, 0)])
        assert consumer.consume(1, 1.0) == []
        consumer.close()


def test_a_refused_record_raises() -> None:
    """A generator that believed it produced would report a loss by the connector."""
    with EmbeddedBroker() as broker:
        broker.produce("events", b"lost", partition=99)
        with pytest.raises(RuntimeError, match="did not take a record"):
            broker.flush()


def test_a_stopped_broker_says_so() -> None:
    """Producing to a stopped broker must raise; stopping twice must not."""
    broker = EmbeddedBroker()
    broker.start()
    broker.stop()
    broker.stop()
    assert broker.bootstrap == ""
    with pytest.raises(RuntimeError, match="not running"):
        broker.produce("events", b"lost")
