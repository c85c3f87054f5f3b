"""Reads the dead-letter topic beside every group, and writes letters back to where they came from."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.kafka.admin import Heard, interruptible
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, producer
from connector.kafka.errors import KafkaUnavailable
from connector.kafka.inspect.dead_letter_format import (
    FROM_HEADER,
    MARKER_HEADER,
    MARKER_KEY,
    Letter,
    LetterPosition,
    Repeat,
    ReplayMarker,
    ReplayState,
    marker_value,
    read_letter,
)
from connector.kafka.inspect.range_reader import (
    METADATA_SECONDS,
    POLL_SECONDS,
    RangeReader,
    headers_of,
    unavailable,
)

FLUSH_SECONDS = 40.0
"""Longer than the producer itself tries."""


class DeadLetterReader:
    """The topic from its beginning to where it ends when this is made; a second reading gives the same again."""

    def __init__(self, config: KafkaConfig) -> None:
        """Waits for Kafka. A topic that does not exist is an empty one. Raises KafkaUnavailable."""
        self._topic = config.dead_letter_topic
        self._reading = RangeReader(config)
        found = self._reading.bounds(self._topic)
        self.missing = found is None
        """There is no such topic."""
        self._ranges = found or {}

    def __iter__(self) -> Iterator[Letter | ReplayMarker]:
        """Partition by partition, each in its order; raises KafkaUnavailable."""
        for partition, (low, high) in self._ranges.items():
            yield from map(_letter, self._reading.read(self._topic, partition, low, high))

    def close(self) -> None:
        """Let the client go; there is no group to leave."""
        self._reading.close()


class DeadLetterReplay:
    """Writes letters back, each to its source partition, where the newer events of its visitor are."""

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.dead_letter_topic
        self._heard = Heard()
        made: Any = {**producer(config), "error_cb": self._heard}
        self._producer = Producer(made, logger=LIBRDKAFKA)
        self._partitions: dict[str, int] = {}

    def write(self, letters: Sequence[tuple[Letter, Sequence[Repeat]]]) -> tuple[set[LetterPosition], str]:
        """Write these for each letter, which has a source; returns of which ones all in-sync replicas have all.

        And what went wrong first, if anything did.
        """
        missing = Counter({letter.place: len(repeats) for letter, repeats in letters})
        wrong: list[KafkaUnavailable] = []
        try:
            for letter, repeats in letters:
                for repeat in repeats:
                    self._write(letter, repeat, missing, wrong)
        except KafkaUnavailable as error:
            wrong.append(error)
        failed = self._flush(wrong)
        return {place for place, count in missing.items() if not count}, str(failed or "")

    def _write(
        self, letter: Letter, repeat: Repeat, missing: Counter[LetterPosition], wrong: list[KafkaUnavailable]
    ) -> None:
        def report(error: KafkaError | None, _message: Message) -> None:
            if error is None:
                missing[letter.place] -= 1
            else:
                wrong.append(unavailable(error))

        assert letter.source is not None  # noqa: S101 - others are never chosen
        topic, partition = letter.source
        place = f"{self._topic}/{letter.partition}/{letter.offset}"
        # A topic that was made anew may have fewer partitions: then its key decides.
        to = partition if partition < self._count(topic) else -1
        # The stubs know no header without a value.
        headers: Any = [*repeat.headers, (FROM_HEADER, place.encode())]
        while True:
            try:
                self._producer.produce(topic, repeat.value, letter.key, to, on_delivery=report, headers=headers)
            except BufferError:  # As many wait as the client holds.
                self._producer.poll(POLL_SECONDS)
            except KafkaException as error:
                raise unavailable(error.args[0]) from error
            else:
                break

    def mark(self, fate: ReplayState, places: Collection[LetterPosition]) -> None:
        """Remember what became of these. Raises KafkaUnavailable."""
        if not places:
            return
        wrong: list[KafkaUnavailable] = []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                wrong.append(unavailable(error, f"it could not be noted what was {fate} just now: "))

        value, headers = marker_value(places), {MARKER_HEADER: fate.value}
        produce: Any = self._producer.produce
        produce(self._topic, value, MARKER_KEY, on_delivery=report, headers=headers)
        if error := self._flush(wrong):
            raise error

    def _flush(self, wrong: list[KafkaUnavailable]) -> KafkaUnavailable | None:
        deadline = time.monotonic() + FLUSH_SECONDS
        while left := self._producer.flush(POLL_SECONDS):  # In slices: the client would hold Ctrl-C back.
            if time.monotonic() > deadline:
                break
        if left:
            silent = KafkaError(KafkaError._TIMED_OUT, "no acknowledgement in time")  # noqa: SLF001 - librdkafka's own codes are spelt so
            wrong.append(unavailable(self._heard.cause(self._producer, silent)))
        return wrong[0] if wrong else None

    def _count(self, topic: str) -> int:
        if topic not in self._partitions:
            try:
                listed = interruptible(lambda: self._producer.list_topics(topic, timeout=METADATA_SECONDS))
            except KafkaException as error:
                raise unavailable(self._heard.cause(self._producer, error.args[0])) from error
            found = listed.topics[topic]
            if found.error is not None:
                raise unavailable(found.error, f"the source topic {topic}: ")
            self._partitions[topic] = len(found.partitions)
        return self._partitions[topic]


def _letter(message: Message) -> Letter | ReplayMarker:
    return read_letter(
        (message.partition() or 0, message.offset() or 0),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers_of(message),
    )
