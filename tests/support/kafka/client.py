"""A broker as its clients see it: topics, records and commits."""

import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic  # the stubs of `admin` do not export it

T = TypeVar("T")

ANSWER_SECONDS = 60.0

PASSING = {
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._WAIT_COORD,  # noqa: SLF001 - how the library spells its own codes
    # The broker's heartbeat was late: it is fenced, and no broker is left to create a topic on.
    KafkaError.INVALID_REPLICATION_FACTOR,
    # A broker has just restarted: it learns after a moment which partitions there are and that it leads them.
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - likewise
}
"""Errors that pass by themselves."""


class Record(NamedTuple):
    """A record in the log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    timestamp: int
    """Milliseconds since the epoch."""


class Committed(NamedTuple):
    """What a group committed for a partition."""

    offset: int
    metadata: str | None


class Kafka:
    """A broker that runs, in whichever process it was started.

    Methods raise `KafkaException` when it does not answer within `ANSWER_SECONDS`.
    """

    def __init__(self, bootstrap: str, log: Path) -> None:
        """`bootstrap` is its address; `log`, the file that its process writes to."""
        self.bootstrap = bootstrap
        """The address for `bootstrap.servers`."""
        self.log = log

    def admin(self) -> AdminClient:
        """A client that creates no topic by asking for it. The caller keeps it until it has its answer.

        A new one each time: one that saw the broker die may keep its old answers for half a minute.
        """
        return AdminClient({**self._client(), "allow.auto.create.topics": False})

    def create_topic(self, name: str, partitions: int = 1, **config: str | int) -> str:
        """Create a topic; an option is named with underscores, `retention_ms=1000`. Returns the name."""
        options = {option.replace("_", "."): str(value) for option, value in config.items()}
        topic = NewTopic(name, num_partitions=partitions, replication_factor=1, config=options)
        admin = self.admin()
        patiently(lambda: admin.create_topics([topic])[name].result(ANSWER_SECONDS))
        return name

    def unique_topic(self, prefix: str = "test", partitions: int = 1, **config: str | int) -> str:
        """Create a topic with a unique name, so that tests can share the broker. Returns the name."""
        return self.create_topic(f"{prefix}-{uuid.uuid4().hex[:8]}", partitions, **config)

    def produce(self, topic: str, records: Iterable[tuple[bytes | str | None, bytes | str | None, int | None]]) -> None:
        """Append (key, value, partition) in order and wait for all acknowledgements; partition None: by the key."""
        failed: list[KafkaError] = []

        def told(error: KafkaError | None, _: object) -> None:
            if error is not None:
                failed.append(error)

        settings = {"linger.ms": 5, "enable.idempotence": True, "delivery.report.only.error": True}
        producer = Producer({**self._client(), **settings, "queue.buffering.max.messages": 1_000_000})
        for key, value, partition in records:
            to = -1 if partition is None else partition
            try:
                producer.produce(topic, value, key, to, on_delivery=told)
            except BufferError:
                producer.flush(ANSWER_SECONDS)
                producer.produce(topic, value, key, to, on_delivery=told)
        if producer.flush(ANSWER_SECONDS):
            failed.append(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - how the library spells its own codes
        if failed:
            raise KafkaException(failed[0])

    def topics(self) -> set[str]:
        """The names of all topics."""
        admin = self.admin()
        return set(admin.list_topics(timeout=ANSWER_SECONDS).topics)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The end offset of each partition."""
        admin = self.admin()
        consumer = Consumer({**self._client(), "group.id": "reader"})
        try:
            return {partition: _end(consumer, topic, partition) for partition in self._partitions(admin, topic)}
        finally:
            consumer.close()

    def committed(self, group: str, topic: str) -> dict[int, Committed]:
        """Committed offsets of a group on a topic; a partition without a commit is not in it."""
        admin = self.admin()
        parts = [TopicPartition(topic, partition) for partition in self._partitions(admin, topic)]
        # A consumer that never subscribes: the admin client's own call crashes the process while the coordinator loads
        # (librdkafka 2.16, confluent-kafka-python issue 1982).
        consumer = Consumer({**self._client(), "group.id": group})
        try:
            answer = patiently(lambda: consumer.committed(parts, timeout=ANSWER_SECONDS))
        finally:
            consumer.close()
        return {part.partition: Committed(part.offset, part.metadata) for part in answer if part.offset >= 0}

    def read_all(self, topic: str) -> list[Record]:
        """Every record from the beginning to the current end, by partition and offset."""
        ends = {partition: end for partition, end in self.end_offsets(topic).items() if end}
        settings = {"group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True}
        consumer = Consumer({**self._client(), **settings})
        records: list[Record] = []
        try:
            consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
            deadline = time.monotonic() + ANSWER_SECONDS
            # A partition ends at its end of file: compaction and markers may leave no record just before it.
            while ends:
                for message in consumer.consume(1000, 0.2):
                    error = message.error()
                    if error is None:
                        records.append(_record(message))
                        deadline = time.monotonic() + ANSWER_SECONDS
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - how the library spells its own codes
                        ends.pop(message.partition() or 0, None)
                    else:
                        raise KafkaException(error)
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - likewise
        finally:
            consumer.close()
        return sorted(records)

    def _client(self) -> dict[str, str | int | float | bool]:
        """Settings of every client: no log lines about a stopped broker, and a quick reconnect."""
        return {
            "bootstrap.servers": self.bootstrap,
            "log_level": 0,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
        }

    def _partitions(self, admin: AdminClient, topic: str) -> list[int]:
        metadata = admin.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return sorted(metadata.partitions)


def patiently(ask: Callable[[], T]) -> T:
    """Retry while the broker answers an error that passes by itself."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            return ask()
        except KafkaException as problem:
            if time.monotonic() > deadline or problem.args[0].code() not in PASSING:
                raise
            time.sleep(0.05)


def _record(message: Message) -> Record:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Record(
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers={name: value.encode() if isinstance(value, str) else value or b"" for name, value in pairs},
        timestamp=message.timestamp()[1],
    )


def _end(consumer: Consumer, topic: str, partition: int) -> int:
    place = TopicPartition(topic, partition)
    return int(patiently(lambda: consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS))[1])
