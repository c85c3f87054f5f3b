"""The last few records of topics, read beside the group: nothing is joined, stored or committed."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connector.delivery.ports import Record
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, standalone_config
from connector.kafka.errors import KafkaFailure, classify

RECORDS = 10
"""Of each topic at most, from as many partitions at most."""
READ_SECONDS = 6.0
METADATA_SECONDS = 3.0
POLL_SECONDS = 0.1
DEEPEST = 100_000
DEPTHS = (1_000, DEEPEST)
"""Offsets before the end that are read where nearer to it there is nothing but aborted records and markers."""
_TAIL = -2_000
"""librdkafka's offset for "this number before the end": this, less the number (RD_KAFKA_OFFSET_TAIL_BASE)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What was read, in no order; `trouble` when it may not be all."""

    records: tuple[Record, ...]
    trouble: KafkaFailure | None = None
    hidden: frozenset[str] = frozenset()
    """Topics with a partition at whose end nothing is but aborted records and transaction markers."""


class _Read(NamedTuple):
    """By partition: the last records, and where the log ends; `trouble` when that may not be all."""

    records: Mapping[tuple[str, int], Iterable[Record]]
    ends: Mapping[tuple[str, int], int]
    trouble: KafkaFailure | None


def reader(config: KafkaConfig, heard: Callable[[KafkaError], None] | None = None) -> Consumer:
    """A consumer that belongs to no group, although the client wants a name of one, and that says where a log ends.

    `heard` is told what is wrong with the connections, while the client is polled.
    """
    told = {} if heard is None else {"error_cb": heard}
    return Consumer({**standalone_config(config), **told}, logger=LIBRDKAFKA)


def last_records(config: KafkaConfig, topics: Sequence[str], *, of_each_partition: int | None = None) -> Sample:
    """Read the last records of each topic: some of its first partitions, or `of_each_partition` of each. Waits.

    Behind the last record there may be aborted ones and transaction markers, which take offsets and are never handed
    out: where nothing is found, more of the log is read.
    """
    reading = reader(config)
    deadline = time.monotonic() + READ_SECONDS
    try:
        wanted = _tails(reading, topics, of_each_partition)
        records: list[Record] = []
        hidden: set[tuple[str, int]] = set(wanted)
        for depth in (0, *DEPTHS):
            reading.assign([TopicPartition(*place, _TAIL - max(depth, wanted[place])) for place in hidden])
            found, ends, trouble = _read(
                reading, {place: wanted[place] for place in hidden}, deadline, enough=not depth
            )
            records += [record for place in found for record in found[place]]
            hidden = {place for place in ends if ends[place] > 0 and not found[place]}
            if trouble is not None:
                return Sample(tuple(records), trouble)
            if not hidden:
                break
        return Sample(tuple(records), hidden=_hidden(reading, hidden))
    except KafkaException as error:
        return Sample((), classify(error.args[0]))
    finally:
        reading.close()


def _tails(reading: Consumer, topics: Sequence[str], each: int | None) -> dict[tuple[str, int], int]:
    """How many records to take of which partition."""
    wanted = {}
    for topic in topics:
        found = reading.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        parts = sorted(found.partitions)[: RECORDS if each is None else None]
        wanted.update({(topic, part): each or RECORDS // len(parts) for part in parts})
    return wanted


def _read(reading: Consumer, wanted: Mapping[tuple[str, int], int], deadline: float, *, enough: bool) -> _Read:
    """Read to the ends of the logs, and keep the last records of each; `enough`: as many as wanted are an end too."""
    kept = {place: deque[Record](maxlen=count) for place, count in wanted.items()}
    ends: dict[tuple[str, int], int] = {}
    while len(ends) < len(wanted) and time.monotonic() < deadline:
        message = reading.poll(POLL_SECONDS)
        if message is None:
            continue
        place = message.topic() or "", message.partition() or 0
        error = message.error()
        if error is None:
            if place in kept:
                kept[place].append(cast("Record", message))
                if enough and len(kept[place]) == wanted[place]:
                    ends.setdefault(place, (message.offset() or 0) + 1)
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's own codes are spelt so
            ends[place] = message.offset() or 0
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            return _Read(kept, ends, classify(error))
    is_whole = len(ends) == len(wanted)
    return _Read(kept, ends, None if is_whole else classify(KafkaError(KafkaError._TIMED_OUT)))  # noqa: SLF001


def _hidden(reading: Consumer, places: Iterable[tuple[str, int]]) -> frozenset[str]:
    """Topics with a partition that holds something, though no record was found; retention may have emptied it."""
    topics = set()
    for topic, part in places:
        low, high = reading.get_watermark_offsets(TopicPartition(topic, part), timeout=METADATA_SECONDS)
        if low < high:
            topics.add(topic)
    return frozenset(topics)
