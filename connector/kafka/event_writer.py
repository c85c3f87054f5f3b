"""Writes events to one topic, for `connector produce`; every record is acknowledged by all in-sync replicas."""

import time
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.errors import ConnectorError
from connector.kafka.admin import Heard, interruptible
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, producer
from connector.kafka.errors import for_a_command, sort

METADATA_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 40.0
"""Longer than the producer itself tries (`delivery.timeout.ms`)."""
POLL_SECONDS: Final = 0.2


class WriteFailed(ConnectorError):
    """Kafka did not take an event; the message says why and what to do."""


class EventWriter:
    """A producer for one topic, from the first look at the topic to `finish`."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        """Wait for Kafka. Raises WriteFailed when it does not answer, or has no such topic."""
        self._topic = topic
        self._heard = Heard()
        self._failed: WriteFailed | None = None
        self.written = 0
        """Records that all in-sync replicas have."""
        self.last: tuple[int, int] | None = None
        """Partition and offset of the newest of them."""
        made: Any = {**producer(config), "error_cb": self._heard}
        self._producer = Producer(made, logger=LIBRDKAFKA)
        self._look()

    def write(self, key: bytes, value: bytes) -> None:
        """Hand one record to the client. Raises WriteFailed when an earlier one failed."""
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._report)
            except BufferError:  # As many wait as the client holds.
                self._producer.poll(POLL_SECONDS)
                self._raise()
            except KafkaException as error:
                raise _failure(error.args[0]) from error
            else:
                break
        self._producer.poll(0)
        self._raise()

    def finish(self) -> None:
        """Wait until every record is acknowledged. Raises WriteFailed when one is not."""
        deadline = time.monotonic() + FLUSH_SECONDS
        while left := self._producer.flush(POLL_SECONDS):  # In slices: the client would hold Ctrl-C back.
            if time.monotonic() > deadline:
                silent = KafkaError(KafkaError._TIMED_OUT, f"{left} events without an acknowledgement in time")  # noqa: SLF001 - librdkafka's own codes are spelt so
                raise _failure(self._heard.cause(self._producer, silent))
        self._raise()

    def _look(self) -> None:
        try:
            found = interruptible(lambda: self._producer.list_topics(self._topic, timeout=METADATA_SECONDS))
        except KafkaException as error:
            raise _failure(self._heard.cause(self._producer, error.args[0])) from error
        problem = found.topics[self._topic].error
        if problem is None:
            return
        if problem.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            msg = f"there is no topic {self._topic}; create it, or give another name to --topic"
            raise WriteFailed(msg)
        raise _failure(problem)

    def _report(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.written += 1
            self.last = (message.partition() or 0, message.offset() or 0)
        elif self._failed is None:
            self._failed = _failure(error)

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed


def _failure(error: KafkaError) -> WriteFailed:
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        return WriteFailed(f"{error.str()}; allow WRITE and DESCRIBE on the topic to this user")
    trouble = sort(error)
    return WriteFailed("; ".join(filter(None, (trouble.detail, for_a_command(trouble.remedy)))))
