"""Reads stretches of partitions by offset, beside every group: nothing is joined, stored or committed."""

import time
from collections.abc import Collection, Iterator
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connector.kafka.admin import Heard, interruptible
from connector.kafka.config import KafkaConfig
from connector.kafka.config_check import explain_refusal
from connector.kafka.errors import KafkaUnavailable, classify
from connector.kafka.inspect.tail_reader import reader

METADATA_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""Reading is given up when no record came for this time."""
BATCH = 500
POLL_SECONDS = 0.2


class RangeReader:
    """A client of its own; every method waits, and raises KafkaUnavailable when Kafka cannot be read."""

    def __init__(self, config: KafkaConfig) -> None:
        self._heard = Heard()
        try:
            self._client: Consumer = reader(config, self._heard)
        except KafkaException as error:
            raise KafkaUnavailable(explain_refusal(config, error.args[0]).failure) from error

    def bounds(self, topic: str, partitions: Collection[int] | None = None) -> dict[int, tuple[int, int]] | None:
        """The first offset and the end of these partitions, or of all; None: there is no such topic.

        A partition that the topic does not have is left out.
        """
        try:
            return interruptible(lambda: self._find(topic, partitions))
        except KafkaException as error:
            raise unavailable(self._heard.cause(self._client, error.args[0])) from error

    def read(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Message]:
        """The records from offset `begin` up to before `end`, in their order."""
        if begin >= end:
            return
        try:
            self._client.assign([TopicPartition(topic, partition, begin)])
            yield from self._messages(partition, end)
        except KafkaException as error:
            raise unavailable(self._heard.cause(self._client, error.args[0])) from error

    def close(self) -> None:
        """Let the client go; there is no group to leave."""
        self._client.close()

    def _find(self, topic: str, partitions: Collection[int] | None) -> dict[int, tuple[int, int]] | None:
        found = self._client.list_topics(topic, timeout=METADATA_SECONDS).topics[topic]
        if found.error is not None:
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise KafkaException(found.error)
        wanted = found.partitions if partitions is None else set(partitions) & found.partitions.keys()
        return {
            partition: self._client.get_watermark_offsets(TopicPartition(topic, partition), timeout=METADATA_SECONDS)
            for partition in sorted(wanted)
        }

    def _messages(self, partition: int, end: int) -> Iterator[Message]:
        heard = time.monotonic()
        while time.monotonic() - heard < SILENCE_SECONDS:
            for message in self._client.consume(BATCH, POLL_SECONDS):
                heard = time.monotonic()
                error = message.error()
                if error is None and (message.offset() or 0) < end:
                    yield message
                if error is None and (message.offset() or 0) + 1 < end:
                    continue
                # At the end, which what compaction or a transaction left there may hide.
                if error is None or (error.code() == KafkaError._PARTITION_EOF and message.partition() == partition):  # noqa: SLF001 - librdkafka's own codes are spelt so
                    return
                if classify(error).event != "kafka_unreachable":
                    raise KafkaException(error)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record in {SILENCE_SECONDS:.0f} s"))  # noqa: SLF001


def unavailable(error: KafkaError, about: str = "") -> KafkaUnavailable:
    """In words for the person who typed the command."""
    failure = classify(error)
    return KafkaUnavailable(replace(failure, detail=f"{about}{failure.detail}"))


def headers_of(message: Message) -> list[tuple[str, bytes | None]]:
    """In their order; a name may come twice."""
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return [(name, value.encode() if isinstance(value, str) else value) for name, value in pairs]
