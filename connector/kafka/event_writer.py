"""Writes events to one topic, for `connector produce`; every record is acknowledged by all in-sync replicas."""

import time
from dataclasses import replace
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connector.kafka.admin import Heard, interruptible
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, producer
from connector.kafka.errors import KafkaFailure, KafkaUnavailable, classify

METADATA_SECONDS: Final = 10.0
FLUSH_SECONDS: Final = 40.0
"""Longer than the producer itself tries (`delivery.timeout.ms`)."""
POLL_SECONDS: Final = 0.2


class EventWriter:
    """A producer for one topic, from the first look at the topic to `finish`."""

    def __init__(self, config: KafkaConfig, topic: str) -> None:
        """Wait for Kafka. Raises KafkaUnavailable when it does not answer, or has no such topic."""
        self._topic = topic
        self._heard = Heard()
        self._failed: KafkaUnavailable | None = None
        self.written = 0
        """Records that all in-sync replicas have."""
        self.last: tuple[int, int] | None = None
        """Partition and offset of the newest of them."""
        made: Any = {**producer(config), "error_cb": self._heard}
        self._producer = Producer(made, logger=LIBRDKAFKA)
        self._look()

    def write(self, key: bytes | None, value: bytes) -> None:
        """Hand one record to the client. Raises KafkaUnavailable when an earlier one failed."""
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
        """Wait until every record is acknowledged. Raises KafkaUnavailable when one is not."""
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
            hint = "create it, or give another name to --topic"
            failure = KafkaFailure(problem.name(), "kafka_topic_missing", f"there is no topic {self._topic}", hint)
            raise KafkaUnavailable(failure)
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


def _failure(error: KafkaError) -> KafkaUnavailable:
    failure = classify(error)
    if error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
        failure = replace(failure, hint="allow WRITE and DESCRIBE on the topic to this user")
    return KafkaUnavailable(failure)
