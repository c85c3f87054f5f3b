"""The last few records of topics, read beside the group: nothing is joined, stored or committed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connector.kafka.config import KafkaConfig, consumer
from connector.kafka.errors import Trouble, sort
from connector.kafka.refusal import LIBRDKAFKA

RECORDS = 10
"""Of each topic at most, from as many partitions at most."""
READ_SECONDS = 6.0
METADATA_SECONDS = 3.0
POLL_SECONDS = 0.1
_TAIL = -2_000
"""librdkafka's offset for "so many before the end": this, less the number (RD_KAFKA_OFFSET_TAIL_BASE)."""


class Sampled(NamedTuple):
    """A record's place and its value."""

    topic: str
    partition: int
    offset: int
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read, in no order; `trouble` when it may not be all."""

    records: tuple[Sampled, ...]
    trouble: Trouble | None = None


def reader(config: KafkaConfig, heard: Callable[[KafkaError], None] | None = None) -> Consumer:
    """A consumer that belongs to no group, although the client wants a name of one, and that says where a log ends.

    `heard` is told what is wrong with the connections, while the client is polled.
    """
    made = {
        name: value
        for name, value in consumer(config).items()
        if name not in ("group.instance.id", "group.protocol", "partition.assignment.strategy", "session.timeout.ms")
        and not name.startswith(("group.remote", "heartbeat."))
    }
    told = {} if heard is None else {"error_cb": heard}
    # Retention may take the beginning away while it is read.
    own = {"enable.partition.eof": True, "auto.offset.reset": "earliest"}
    return Consumer({**made, **own, **told}, logger=LIBRDKAFKA)


def last_records(config: KafkaConfig, topics: Sequence[str]) -> Sample:
    """Read the last records of each topic, some of each of its first partitions. Waits."""
    reading = reader(config)
    try:
        wanted = _tails(reading, topics)
        reading.assign([TopicPartition(topic, part, _TAIL - count) for (topic, part), count in wanted.items()])
        return _read(reading, wanted)
    except KafkaException as error:
        return Sample((), sort(error.args[0]))
    finally:
        reading.close()


def _tails(reading: Consumer, topics: Sequence[str]) -> dict[tuple[str, int], int]:
    """How many records to take of which partition."""
    wanted = {}
    for topic in topics:
        found = reading.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        parts = sorted(found.partitions)[:RECORDS]
        wanted.update({(topic, part): RECORDS // len(parts) for part in parts})
    return wanted


def _read(reading: Consumer, wanted: dict[tuple[str, int], int]) -> Sample:
    records: list[Sampled] = []
    deadline = time.monotonic() + READ_SECONDS
    while wanted and time.monotonic() < deadline:
        message = reading.poll(POLL_SECONDS)
        if message is None:
            continue
        place = message.topic() or "", message.partition() or 0
        error = message.error()
        if error is None:
            if place in wanted:
                records.append(_sampled(message))
                wanted[place] -= 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are spelt so
            wanted.pop(place, None)
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return Sample(tuple(records), sort(error))
        if wanted.get(place) == 0:
            del wanted[place]
    if wanted:
        return Sample(tuple(records), sort(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001
    return Sample(tuple(records))


def _sampled(message: Message) -> Sampled:
    return Sampled(message.topic() or "", message.partition() or 0, message.offset() or 0, message.value())
