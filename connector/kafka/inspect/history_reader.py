"""What a topic holds of the last hours, read without the group: nothing is joined, stored or committed."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, cast

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.ports import Record
from connector.errors import Fatal
from connector.kafka.admin import interruptible
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, standalone_config
from connector.kafka.config_check import explain_refusal
from connector.kafka.errors import UNREACHABLE, KafkaFailure, classify, of_topic

BATCH = 1_000
POLL_SECONDS = 0.5
ASK_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""A broker that says nothing for this long while records are left is given up."""
HOPELESS = frozenset({"kafka_authentication_failed", "kafka_authorization_failed", "kafka_topic_missing"})
"""Failures that no waiting ends."""
_GROUP = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._WAIT_COORD})  # noqa: SLF001 - librdkafka's own codes are spelt so
"""The client looks for a coordinator although there is no group to join: that may fail."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Where the records of one partition begin and end, by offset; `older`: there are some before `begin`."""

    begin: int
    end: int
    older: bool


class History:
    """The records of all partitions since a time, up to where the logs ended when it was opened.

    Every method raises Fatal when Kafka cannot be read, with what to do about it.
    """

    def __init__(self, config: KafkaConfig, since: float) -> None:
        """`since` in seconds since the epoch."""
        self._topics = config.topics
        self._since_ms = int(since * 1_000)
        self._trouble: KafkaFailure | None = None
        try:
            self._client = Consumer(
                {**standalone_config(config), "error_cb": self._heard},
                logger=LIBRDKAFKA,
            )
        except KafkaException as error:
            raise explain_refusal(config, error.args[0]).fatal from error
        self._left: dict[TopicPartition, int] = {}
        self._held: set[TopicPartition] = set()
        self._heard_at = time.monotonic()
        self.stretches: dict[TopicPartition, Stretch] = {}

    def __enter__(self) -> Self:
        try:
            interruptible(self._open)
        except KafkaException as error:
            self._client.poll(0)  # Only now the client says what was wrong with the connections.
            self._client.close()
            raise self._fatal(classify(error.args[0])) from error
        except Exception:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def _open(self) -> None:
        asked = [
            KafkaTopicPartition(topic, partition, self._since_ms)
            for topic in self._topics
            for partition in self._partitions(topic)
        ]
        for found in self._client.offsets_for_times(asked, timeout=ASK_SECONDS):
            if found.error is not None:
                raise self._fatal(classify(found.error), f"{found.topic}/{found.partition}: ")
            name = TopicPartition(found.topic, found.partition)
            low, high = self._client.get_watermark_offsets(found, timeout=ASK_SECONDS)
            begin = found.offset if found.offset >= 0 else self._begin_without(name, low, high)
            self.stretches[name] = Stretch(begin, high, older=begin > low)
        self._left = {name: stretch.end for name, stretch in self.stretches.items() if stretch.begin < stretch.end}
        self._client.assign([KafkaTopicPartition(*name, self.stretches[name].begin) for name in self._left])
        self._heard_at = time.monotonic()

    def _begin_without(self, name: TopicPartition, low: int, high: int) -> int:
        """Where to begin when the broker names no record since the time: at the end, unless it knows no times at all.

        The embedded broker names none for any time; then all is read.
        """
        if low == high:
            return high
        (first,) = self._client.offsets_for_times([KafkaTopicPartition(*name, 0)], timeout=ASK_SECONDS)
        return high if first.offset >= 0 else low

    def _partitions(self, topic: str) -> Sequence[int]:
        found = self._client.list_topics(topic, timeout=ASK_SECONDS).topics[topic]
        if found.error is not None:
            raise self._fatal(of_topic(found.error, topic, self._names))
        return sorted(found.partitions)

    def _names(self) -> Collection[str]:
        return list(self._client.list_topics(timeout=ASK_SECONDS).topics)

    @property
    def left(self) -> Collection[TopicPartition]:
        """Partitions that are not read to their end yet."""
        return self._left.keys()

    def read(self, held: Collection[TopicPartition]) -> Sequence[Record]:
        """The next records, as they come, none of the partitions `held`; it may be none at all."""
        self._hold({name for name in held if name in self._left})
        try:
            messages = self._client.consume(BATCH, POLL_SECONDS)
        except KafkaException as error:
            raise self._fatal(classify(error.args[0])) from error
        records = []
        for message in messages:
            name = TopicPartition(message.topic() or "", cast("int", message.partition()))
            if (wrong := message.error()) is not None:
                if wrong.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    self._end(name)
                else:
                    self._heard(wrong)
            elif name in self._left:
                offset = cast("int", message.offset())
                if offset < self._left[name]:
                    records.append(message)
                if offset >= self._left[name] - 1:
                    self._end(name)
        self._check(bool(messages))
        return cast("list[Record]", records)

    def _hold(self, held: set[TopicPartition]) -> None:
        if held == self._held:
            return
        if more := held - self._held:
            self._client.pause(_kafka(more))
        if fewer := (self._held - held) & self._left.keys():
            self._client.resume(_kafka(fewer))
        self._held = held

    def _end(self, name: TopicPartition) -> None:
        """Everything up to the end as it was at the start is read; what comes now is not asked for."""
        if self._left.pop(name, None) is not None:
            self._client.incremental_unassign(_kafka({name}))
            self._held.discard(name)

    def _heard(self, error: KafkaError) -> None:
        """Remember what is wrong; the client tries again by itself. A cause outlives its effects."""
        trouble = classify(error)
        if trouble.is_ignorable or error.code() in _GROUP:
            return
        if self._trouble is None or self._trouble.event not in HOPELESS:
            self._trouble = trouble

    def _check(self, heard: bool) -> None:  # noqa: FBT001 - one caller, in sight
        now = time.monotonic()
        if heard:
            self._heard_at = now
        trouble = self._trouble
        if trouble is not None and (not trouble.retriable or trouble.event in HOPELESS):
            raise self._fatal(trouble)
        if self._left and now - self._heard_at > SILENCE_SECONDS:
            raise self._fatal(trouble)

    def _fatal(self, trouble: KafkaFailure | None, about: str = "") -> Fatal:
        """What was heard on the side says more than that a call was not answered."""
        if trouble is None or trouble.is_ignorable or trouble.event == "kafka_unreachable":
            trouble = self._trouble or trouble
        if trouble is None or not trouble.hint:
            return Fatal("kafka_unreachable", "no broker answered in time", UNREACHABLE)
        return Fatal(trouble.event, f"{about}{trouble.detail}", trouble.hint)


def _kafka(names: Collection[TopicPartition]) -> list[KafkaTopicPartition]:
    return [KafkaTopicPartition(*name) for name in sorted(names)]
