"""Reads the dead-letter topic beside every group, and writes letters back to where they came from."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from connector.errors import ConnectorError
from connector.kafka.config import KafkaConfig, producer
from connector.kafka.errors import for_a_command, sort
from connector.kafka.heard import Heard, interruptible
from connector.kafka.letters import FROM_HEADER, NOTE_HEADER, NOTE_KEY, Letter, Note, Place, note_value, read_letter
from connector.kafka.refusal import LIBRDKAFKA, refused
from connector.kafka.sample import reader

METADATA_SECONDS = 10.0
SILENCE_SECONDS = 30.0
"""Without a record for so long, reading is given up."""
FLUSH_SECONDS = 40.0
"""Longer than the producer itself tries."""
BATCH = 500
POLL_SECONDS = 0.2


class LettersUnavailable(ConnectorError):
    """Kafka does not answer, or not so; the message has what it said and what to do."""


class LetterLog:
    """The topic from its beginning to where it ends when this is made; a second reading gives the same again."""

    def __init__(self, config: KafkaConfig) -> None:
        """Waits for Kafka. A topic that does not exist is an empty one. Raises LettersUnavailable."""
        self._topic = config.dead_letter_topic
        self._heard = Heard()
        try:
            self._reading: Consumer = reader(config, self._heard)
        except KafkaException as error:
            raise LettersUnavailable(str(refused(config, error.args[0]))) from error
        try:
            found = interruptible(self._find)
        except KafkaException as error:
            raise unavailable(self._heard.cause(self._reading, error.args[0])) from error
        self.missing = found is None
        """There is no such topic."""
        self._ranges = found or {}

    def __iter__(self) -> Iterator[Letter | Note]:
        """Partition by partition, each in its order; raises LettersUnavailable."""
        for partition, (low, high) in self._ranges.items():
            try:
                self._reading.assign([TopicPartition(self._topic, partition, low)])
                yield from self._partition(partition, high)
            except KafkaException as error:
                raise unavailable(self._heard.cause(self._reading, error.args[0])) from error

    def close(self) -> None:
        """Let the client go; there is no group to leave."""
        self._reading.close()

    def _find(self) -> dict[int, tuple[int, int]] | None:
        """Where each partition begins and ends; None: there is no such topic."""
        found = self._reading.list_topics(self._topic, timeout=METADATA_SECONDS).topics[self._topic]
        if found.error is not None:
            if found.error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return None
            raise KafkaException(found.error)
        ranges = {}
        for partition in sorted(found.partitions):
            where = TopicPartition(self._topic, partition)
            low, high = self._reading.get_watermark_offsets(where, timeout=METADATA_SECONDS)
            if low < high:
                ranges[partition] = low, high
        return ranges

    def _partition(self, partition: int, high: int) -> Iterator[Letter | Note]:
        heard = time.monotonic()
        while time.monotonic() - heard < SILENCE_SECONDS:
            for message in self._reading.consume(BATCH, POLL_SECONDS):
                heard = time.monotonic()
                error = message.error()
                if error is None and (message.offset() or 0) < high:
                    yield _letter(message)
                if error is None and (message.offset() or 0) + 1 < high:
                    continue
                # At the end, which what compaction or a transaction left there may hide.
                if error is None or (error.code() == KafkaError._PARTITION_EOF and message.partition() == partition):  # noqa: SLF001 - librdkafka's own codes are spelt so
                    return
                if sort(error).event != "kafka_unreachable":
                    raise KafkaException(error)
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no record in {SILENCE_SECONDS:.0f} s"))  # noqa: SLF001


class LetterReplay:
    """Writes letters back, each to its source partition, where the newer events of its visitor are."""

    def __init__(self, config: KafkaConfig) -> None:
        self._topic = config.dead_letter_topic
        self._heard = Heard()
        made: Any = {**producer(config), "error_cb": self._heard}
        self._producer = Producer(made, logger=LIBRDKAFKA)
        self._partitions: dict[str, int] = {}

    def write(self, letters: Sequence[Letter]) -> tuple[set[Place], str]:
        """Write these; returns which ones all in-sync replicas have, and what went wrong first, if anything did."""
        done: set[Place] = set()
        wrong: list[LettersUnavailable] = []
        for letter in letters:
            if letter.source is None:
                continue

            def report(error: KafkaError | None, _message: Message, place: Place = letter.place) -> None:
                if error is None:
                    done.add(place)
                else:
                    wrong.append(unavailable(error))

            topic, partition = letter.source
            headers: Any = {FROM_HEADER: f"{self._topic}/{letter.partition}/{letter.offset}"}
            try:
                # A topic that was made anew may have fewer partitions: then its key decides.
                to = partition if partition < self._count(topic) else -1
                self._producer.produce(topic, letter.value, letter.key, to, on_delivery=report, headers=headers)
            except LettersUnavailable as error:
                wrong.append(error)
                break
        return done, str(self._flush(wrong) or "")

    def note(self, places: Iterable[Place]) -> None:
        """Remember that these were replayed. Raises LettersUnavailable."""
        wrong: list[LettersUnavailable] = []

        def report(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                wrong.append(unavailable(error, "it could not be noted what was replayed just now: "))

        value, headers = note_value(places), {NOTE_HEADER: "1"}
        produce: Any = self._producer.produce
        produce(self._topic, value, NOTE_KEY, on_delivery=report, headers=headers)
        if error := self._flush(wrong):
            raise error

    def _flush(self, wrong: list[LettersUnavailable]) -> LettersUnavailable | None:
        deadline = time.monotonic() + FLUSH_SECONDS
        while left := self._producer.flush(POLL_SECONDS):  # In slices: the client would hold Ctrl-C back.
            if time.monotonic() > deadline:
                break
        if left:
            silent = KafkaError(KafkaError._TIMED_OUT, "no acknowledgement in time")  # noqa: SLF001
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


def unavailable(error: KafkaError, about: str = "") -> LettersUnavailable:
    """In words for whoever typed the command."""
    trouble = sort(error)
    return LettersUnavailable("; ".join(filter(None, (f"{about}{trouble.detail}", for_a_command(trouble.remedy)))))


def _letter(message: Message) -> Letter | Note:
    headers = message.headers() or []
    pairs = headers.items() if isinstance(headers, dict) else headers
    return read_letter(
        (message.partition() or 0, message.offset() or 0),
        message.timestamp()[1],
        message.key(),
        message.value(),
        {name: value.encode() if isinstance(value, str) else value for name, value in pairs},
    )
