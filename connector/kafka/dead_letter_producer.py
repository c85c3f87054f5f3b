"""The dead-letter topic: a record is done only when all in-sync replicas have its letter."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.cimpl import NewTopic

from connector.delivery.dead_letter import ITEM_HEADER, MADE, MADE_HEADER, DeadLetter
from connector.errors import Fatal
from connector.kafka.admin import asking, ensure_topic
from connector.kafka.backoff import pauses
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, producer
from connector.kafka.errors import KafkaFailure, KafkaUnavailable, classify
from connector.kafka.stall_watchdog import with_watchdog
from connector.threads import in_thread

POLL_SECONDS = 0.02
CUT_BYTES = 65_536
"""What is kept of a value that the topic does not take whole."""


PREFIX = "__connect.errors."
CUT_HEADER = "target_connector.value.cut_from_bytes"
_HOPELESS = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - librdkafka's own codes are spelt so
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.INVALID_RECORD,
        KafkaError._FATAL,  # noqa: SLF001
    }
)


class DeadLetterProducer:
    """Writes dead letters with Kafka Connect's headers, so that the tools people have can read them."""

    def __init__(self, config: KafkaConfig, delayed: Callable[[str], None]) -> None:
        """`delayed` is told the reason each time that a letter cannot be written for now."""
        self._config = config
        self._delayed = delayed
        self._topic = config.dead_letter_topic
        self._producer: Producer | None = None
        self._ended: Fatal | None = None
        self._waiting = 0
        self._poller: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def prepare(self) -> KafkaFailure | None:
        """Make the topic if it is missing and may be made; returns what is wrong when there is none to write to."""
        if not self._topic:
            return None
        return await in_thread(self._ensure_topic, "dead-letter-topic")

    async def send(self, letter: DeadLetter) -> None:
        """Return when it is acknowledged, however long the brokers are down; Fatal when it can never be written."""
        producing = await self._open(letter)
        value, headers = letter.value, _headers(letter)
        waits = pauses()
        while (error := await self._produce(producing, letter.key, value, headers)) is not None:
            if self._ended is not None:
                raise self._ended
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and value is not None and len(value) > CUT_BYTES:
                headers = [*headers, (CUT_HEADER, str(len(value)).encode())]
                value = value[:CUT_BYTES]
                continue
            if error.code() in _HOPELESS or error.fatal() or error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
                hint = classify(error).hint or "look at the topic and its limits"
                raise self._unwritable(letter, error.str(), hint)
            self._delayed(error.str())
            await asyncio.sleep(next(waits))

    async def close(self) -> None:
        """Stop polling; what is not acknowledged counts as not written."""
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)
        if self._producer is not None:
            self._producer.purge()

    async def _open(self, letter: DeadLetter) -> Producer:
        if not self._topic:
            raise self._unwritable(letter, "KAFKA_DEAD_LETTER_TOPIC is empty", "name a topic, or deal with the record")
        async with self._opening:
            if self._producer is None:
                waits = pauses()
                while (wrong := await self.prepare()) is not None:
                    if not wrong.retriable:
                        raise self._unwritable(letter, wrong.detail, wrong.hint or "make the topic")
                    self._delayed(str(wrong))
                    await asyncio.sleep(next(waits))
                self._producer = Producer(with_watchdog(producer(self._config), self._end), logger=LIBRDKAFKA)
                self._poller = asyncio.create_task(self._poll(self._producer))
            return self._producer

    def _end(self, fatal: Fatal) -> None:
        self._ended = fatal

    async def _poll(self, producing: Producer) -> None:
        """Serve delivery reports; on the loop, because a poll that does not wait costs next to nothing."""
        while True:
            producing.poll(0)
            await asyncio.sleep(POLL_SECONDS if self._waiting else POLL_SECONDS * 5)

    async def _produce(
        self, producing: Producer, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
    ) -> KafkaError | None:
        reported: asyncio.Future[KafkaError | None] = asyncio.get_running_loop().create_future()

        def report(error: KafkaError | None, _message: Message) -> None:
            if not reported.done():
                reported.set_result(error)

        self._waiting += 1
        try:
            # The stubs know neither bytes headers nor a report that may get None.
            produce: Any = producing.produce
            produce(self._topic, key=key, value=value, headers=headers, on_delivery=report)
            return await reported
        except BufferError:
            return KafkaError(KafkaError._QUEUE_FULL)  # noqa: SLF001
        except KafkaException as error:
            refused: KafkaError = error.args[0]
            return refused
        finally:
            self._waiting -= 1

    def _ensure_topic(self) -> KafkaFailure | None:
        """Runs in a thread of its own: metadata calls wait."""
        try:
            with asking(self._config) as client:
                ensure_topic(client, NewTopic(self._topic, num_partitions=1))
        except KafkaUnavailable as error:
            failure = error.failure
            if failure.code == "TOPIC_ALREADY_EXISTS":
                return None
            if failure.code == "TOPIC_AUTHORIZATION_FAILED":
                rights = f"allow WRITE, DESCRIBE and CREATE on {self._topic}"
                return replace(failure, detail="no right to see or make it", hint=rights)
            return replace(failure, detail=f"it cannot be found or made: {failure.detail}")
        return None

    def _unwritable(self, letter: DeadLetter, reason: str, hint: str) -> Fatal:
        where = f"{letter.source.topic}/{letter.source.partition} offset {letter.offset}"
        return Fatal(
            "dead_letter_failed",
            f"{where} can never be delivered ({letter.reason}) and its dead letter cannot be written to "
            f"{self._topic or 'any topic'} ({reason}); nothing is committed past it",
            hint,
        )


def _headers(letter: DeadLetter) -> list[tuple[str, bytes | None]]:
    """The record's own, then Kafka Connect's names (org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter).

    Of a record that is a replay, what the first letter said is left out: who reads takes the last of each name.
    """
    ours = [] if letter.item is None else [(ITEM_HEADER, str(letter.item).encode())]
    ours += [(MADE_HEADER, MADE)] if letter.is_made else []
    return [
        *((name, value) for name, value in letter.headers if not name.startswith(PREFIX)),
        *ours,
        (PREFIX + "topic", letter.source.topic.encode()),
        (PREFIX + "partition", str(letter.source.partition).encode()),
        (PREFIX + "offset", str(letter.offset).encode()),
        (PREFIX + "stage", letter.stage.value.encode()),
        (PREFIX + "exception.class.name", letter.error.encode()),
        (PREFIX + "exception.message", letter.reason.encode()),
    ]
