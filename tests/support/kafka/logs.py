"""Changes of a topic's log while it is read: it is recreated, truncated at either end, or grows."""

import struct
import time
from collections.abc import Iterable
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic  # the stubs of `admin` do not export them

from tests.support.kafka.broker import KafkaBroker
from tests.support.kafka.client import ANSWER_SECONDS, Kafka

_BATCH_HEAD = struct.Struct(">qi")
"""Base offset of a record batch, and how many bytes follow these twelve."""


def make_again(broker: Kafka, topic: str, partitions: int = 1) -> None:
    """Delete a topic and create it again under its name."""
    admin = broker.admin()
    admin.delete_topics([topic])[topic].result(ANSWER_SECONDS)
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            made = admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
            made[topic].result(ANSWER_SECONDS)
            break
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS or time.monotonic() > deadline:
                raise
        time.sleep(0.02)
    _await_partitions(admin, topic, partitions)


def _await_partitions(admin: AdminClient, topic: str, count: int) -> None:
    """The controller answers before the broker knows."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while len(admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions) != count:
        assert time.monotonic() < deadline, f"{topic} does not have {count} partitions"
        time.sleep(0.02)


def add_partitions(broker: Kafka, topic: str, total: int) -> None:
    """Add partitions to a topic."""
    admin = broker.admin()
    admin.create_partitions([NewPartitions(topic, total)])[topic].result(ANSWER_SECONDS)
    _await_partitions(admin, topic, total)


def delete_before(broker: Kafka, topic: str, offset: int, partition: int = 0) -> None:
    """Move the start of a partition's log to an offset, as retention does."""
    admin = broker.admin()
    for done in admin.delete_records([TopicPartition(topic, partition, offset)]).values():
        done.result(ANSWER_SECONDS)


def cut(broker: KafkaBroker, topic: str, offset: int, partition: int = 0) -> None:
    """Truncate the log at an offset, as an unclean leader election does.

    The broker must be stopped, and a batch must begin at the offset: `produce` up to it and from it on by two calls.
    """
    data = broker.folder / "data"
    folder = data / f"{topic}-{partition}"
    (segment,) = folder.glob("*.log")
    content = segment.read_bytes()
    at = 0
    while at < len(content):
        base, size = _BATCH_HEAD.unpack_from(content, at)
        if base >= offset:
            break
        at += _BATCH_HEAD.size + size
    assert at < len(content), f"the log ends before {offset}"
    assert base == offset, f"no batch begins at {offset}"
    segment.write_bytes(content[:at])
    # What the broker derives from segments, it derives again; without its clean-shutdown mark it checks each segment.
    derived = [*folder.glob("*.index"), *folder.glob("*.timeindex"), *folder.glob("*.snapshot")]
    for file in (*derived, data / ".kafka_cleanshutdown", data / "recovery-point-offset-checkpoint"):
        with suppress(FileNotFoundError):
            file.unlink()


def produce_transaction(
    broker: Kafka, topic: str, records: Iterable[tuple[bytes, bytes]], *, commit: bool, partition: int = 0
) -> None:
    """Append (key, value) in one transaction, and commit or abort it; its marker takes an offset too."""
    producer = Producer(
        {"bootstrap.servers": broker.bootstrap, "log_level": 0, "transactional.id": f"{topic}-{time.monotonic_ns()}"}
    )
    producer.init_transactions(ANSWER_SECONDS)
    producer.begin_transaction()
    for key, value in records:
        producer.produce(topic, value, key, partition)
    producer.flush(ANSWER_SECONDS)  # Else an abort drops what was not sent.
    if commit:
        producer.commit_transaction(ANSWER_SECONDS)
    else:
        producer.abort_transaction(ANSWER_SECONDS)


def create_on(through: Kafka, topic: str, partitions: int, *, number: int) -> None:
    """Create a topic with all partitions on the broker of this number."""
    admin = through.admin()
    made = NewTopic(topic, num_partitions=partitions, replica_assignment=[[number]] * partitions)
    admin.create_topics([made])[topic].result(ANSWER_SECONDS)
    _await_partitions(admin, topic, partitions)
