"""The ledger's log: one partition, appended to with acknowledgement by all in-sync replicas, and read whole."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from connector.errors import Fatal
from connector.kafka.backoff import pauses
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, Property, producer, standalone_config
from connector.kafka.errors import START_AGAIN, KafkaUnavailable, classify
from connector.kafka.loop_bridge import LoopBridge
from connector.kafka.quota_topic import UNUSABLE, QuotaTopic, prepare, remedy
from connector.kafka.stall_watchdog import with_watchdog
from connector.quota.ports import Appended, Reader
from connector.threads import in_thread

T = TypeVar("T")

BATCH = 5_000
POLL_SECONDS = 0.2
ENDS_SECONDS = 5.0
PARTS, MOST_PART_SECONDS = 8, 60.0
"""Looks within the time that a record counts, at least one a minute, whether all is still there."""
_LOST = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 - librdkafka's own codes are spelt so
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
    }
)
"""The topic was there when this began; of one that is deleted only the appends tell."""


class KafkaQuotaLog:
    """One thread reads and serves the reports of what was appended; appending itself waits for nothing."""

    def __init__(self, config: KafkaConfig, topic: QuotaTopic, *, make: bool = True) -> None:
        """Opens nothing yet. `make`: the topic, if it is missing; else that is told as a failure."""
        self._config = config
        self._topic = topic
        self._make = make
        self._closing = threading.Event()
        self._finished = threading.Event()
        self._taken = threading.Event()
        self._kept = _Kept(topic.counted)
        self._producer: Producer | None = None
        self._thread = threading.Thread(target=self._run, name="quota-ledger", daemon=True)

    # Called on the event loop.

    def start(self, reader: Reader) -> None:
        """Begin to read; the reader is called on the running loop."""
        self._reader = reader
        self._tell = LoopBridge(reader.failed)
        self._thread.start()

    def append(self, value: bytes, failed: Callable[[], None]) -> None:
        """Append at once, without waiting."""
        if self._producer is None:
            failed()
            return
        try:
            self._producer.produce(self._topic.name, value, partition=0, on_delivery=partial(self._reported, failed))
        except (BufferError, KafkaException) as error:
            failed()
            if isinstance(error, KafkaException):
                self._look(error.args[0])

    async def close(self, seconds: float) -> None:
        """Write what was appended, within this many seconds, and end."""
        self._closing.set()
        if self._thread.ident is None:
            return
        if self._producer is not None:
            await in_thread(partial(self._producer.flush, seconds))
        await in_thread(partial(self._finished.wait, seconds))

    # Everything below runs in the thread.

    def _run(self) -> None:
        try:
            self._patiently(lambda: prepare(self._config, self._topic, make=self._make))
            self._read()
        except Fatal as fatal:
            self._tell(self._reader.failed, fatal)
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would leave a replica that waits for ever
            self._tell(self._reader.failed, Fatal(UNUSABLE, f"reading the ledger failed: {error!r}", START_AGAIN))
        finally:
            self._finished.set()

    def _patiently(self, what: Callable[[], T]) -> T | None:
        """Do it, however long the brokers are down; None when this was closed meanwhile."""
        for pause in pauses():
            if self._closing.is_set():
                break
            try:
                return what()
            except KafkaUnavailable as error:
                if not error.failure.retriable:
                    failure = error.failure
                    raise Fatal(UNUSABLE, failure.detail, failure.hint) from error
                self._tell(self._reader.delayed, str(error))
            except KafkaException as error:
                self._tell(self._reader.delayed, error.args[0].str())
            self._closing.wait(pause)
        return None

    def _read(self) -> None:
        ended = partial(self._tell, self._reader.failed)
        self._producer = Producer(with_watchdog({**producer(self._config), "linger.ms": 0}, ended), logger=LIBRDKAFKA)
        reading = Consumer(with_watchdog(_reader_config(self._config), ended), logger=LIBRDKAFKA)
        try:
            log = TopicPartition(self._topic.name, 0)
            # Asked for by name: for OFFSET_BEGINNING librdkafka waits half a second until it knows the leader.
            ends = self._patiently(lambda: reading.get_watermark_offsets(log, timeout=ENDS_SECONDS))
            if ends is None:
                return
            reading.assign([TopicPartition(self._topic.name, 0, ends[0])])
            behind, look_at = True, time.monotonic() + self._kept.part
            while not self._closing.is_set():
                self._poll()
                if time.monotonic() >= look_at:
                    self._look_back(reading, log)
                    look_at = time.monotonic() + self._kept.part
                first = reading.poll(POLL_SECONDS)
                if first is None:
                    continue
                messages = [first, *reading.consume(BATCH, 0)]
                if batch := self._sorted(messages):
                    self._hand_over(batch)
                if behind and any(_is_end(message) for message in messages):
                    behind = False
                    self._tell(self._reader.caught_up)
        finally:
            reading.close()

    def _hand_over(self, batch: Sequence[Appended]) -> None:
        """One at a time: a ledger full of strangers' records must not keep the loop from all else."""
        self._taken.clear()
        self._tell(self._reader.read, batch)
        self._tell(self._taken.set)
        while not self._taken.wait(POLL_SECONDS) and not self._closing.is_set():
            self._poll()

    def _poll(self) -> None:
        if self._producer is not None:
            self._producer.poll(0)

    def _look_back(self, reading: Consumer, log: TopicPartition) -> None:
        with suppress(KafkaException):  # Brokers that do not answer delete nothing either.
            if reading.get_watermark_offsets(log, timeout=ENDS_SECONDS)[0] > self._kept.oldest(time.time()):
                self._tell(self._reader.shortened)

    def _sorted(self, messages: Sequence[Message]) -> list[Appended]:
        batch: list[Appended] = []
        for message in messages:
            error = message.error()
            if error is None:
                kind, milliseconds = message.timestamp()
                if kind != TIMESTAMP_LOG_APPEND_TIME:
                    # Nobody counts it: as a reserve it grants nothing, and its writer learns that by not reading it.
                    reason = f"{self._topic.name} holds a record without the broker's append time, which counts as none"
                    self._tell(self._reader.delayed, f"{reason}; if more come: {remedy(self._topic)}")
                    continue
                appended = milliseconds / 1_000
                self._kept.add(message.offset() or 0, appended)
                batch.append((message.value(), appended))
            elif (lost := self._lost(error)) is not None:
                raise lost
            elif not (trouble := classify(error)).is_ignorable:
                self._tell(self._reader.delayed, trouble.detail)
        return batch

    def _reported(self, failed: Callable[[], None], error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._tell(self._reader.delayed, f"a record was not appended: {error.str()}")
            self._tell(failed)
            self._look(error)

    def _look(self, error: KafkaError) -> None:
        if (lost := self._lost(error)) is not None:
            self._tell(self._reader.failed, lost)

    def _lost(self, error: KafkaError) -> Fatal | None:
        """What waiting does not correct: a client that gave up, or a log that is not the one that was read."""
        if error.fatal():
            return Fatal(UNUSABLE, f"the client of {self._topic.name} cannot continue ({error.str()})", START_AGAIN)
        if error.code() in _LOST:
            reason = f"{self._topic.name} was deleted or truncated while it was read ({error.str()})"
            return Fatal(UNUSABLE, reason, f"{START_AGAIN}: what is left of it counts")
        return None


class _Kept:
    """From which offset on records may count still: a mark for each part of the time that they count for."""

    def __init__(self, counted: float) -> None:
        self.part = min(counted / PARTS, MOST_PART_SECONDS)
        self._counted = counted
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, offset: int, appended: float) -> None:
        """A record was read."""
        if not self._marks or appended - self._marks[-1][0] >= self.part:
            self._marks.append((appended, offset))

    def oldest(self, now: float) -> float:
        """All before this offset counts no more; infinite when nothing counts."""
        while self._marks and max(now, self._marks[-1][0]) - self._marks[0][0] > self._counted:
            self._marks.popleft()
        return self._marks[0][1] if self._marks else math.inf


def _reader_config(config: KafkaConfig) -> dict[str, Property]:
    return {
        **standalone_config(config),
        "auto.offset.reset": "error",
        # An open transaction of another program must not hide what all others read.
        "isolation.level": "read_uncommitted",
        "fetch.queue.backoff.ms": 5,
        "fetch.wait.max.ms": 500,
    }


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001
