"""A Kafka broker inside the process, so that the demo and quick tests run where nothing is installed.

It is librdkafka's mock cluster, which the client's wheel brings: real sockets and the real protocol, groups of both
kinds, commits with metadata. Topics come about at first use, with four partitions. Three things differ from a broker:
all is in memory; of each partition the oldest beyond 5 MiB or 100,000 batches is thrown away, read or not; and a group
of the classic protocol waits three seconds for its first member, and for one that left until its session would end.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

START_SECONDS = 10.0


class EmbeddedBroker:
    """One broker, from `start` to `stop`; `with` does both. Other processes of this machine may connect to it too."""

    def __init__(self) -> None:
        self._producer: Producer | None = None
        self._bootstrap = ""
        self._failed: KafkaError | None = None

    @property
    def bootstrap(self) -> str:
        """The address for `bootstrap.servers`; empty before the start."""
        return self._bootstrap

    def start(self) -> None:
        """Return when it answers. Raises RuntimeError when it does not."""
        # The cluster lives in the producer that asked for it, and as long. Its log would tell of its own end.
        producer = Producer({"test.mock.num.brokers": 1, "linger.ms": 5, "log_level": 0})
        try:
            (broker,) = producer.list_topics(timeout=START_SECONDS).brokers.values()
        except KafkaException as problem:
            msg = "the embedded broker did not start"
            raise RuntimeError(msg) from problem
        self._producer = producer
        self._bootstrap = f"{broker.host}:{broker.port}"

    def stop(self) -> None:
        """End it and forget what it held; stopped already is well."""
        self._producer = None
        self._bootstrap = ""

    def create_topic(self, topic: str) -> None:
        """Make it before the first record: a consumer looks for a topic that it misses only every half minute."""
        self._running().list_topics(topic, timeout=START_SECONDS)

    def produce(self, topic: str, value: bytes | None, key: bytes | None = None, partition: int = -1) -> None:
        """Append a record, to the partition of its key unless one is named. It is there when `flush` has returned."""
        producer = self._running()
        while True:
            try:
                producer.produce(topic, value, key, partition, on_delivery=self._delivered)
            except BufferError:
                producer.poll(0.1)
            except KafkaException as error:
                # The same at once that a delivery report says when the partitions were not known yet.
                self._failed = error.args[0]
                break
            else:
                break
        producer.poll(0)

    def flush(self, timeout: float = START_SECONDS) -> None:
        """Wait until all is appended, `timeout` in seconds. Raises RuntimeError for what was not."""
        left = self._running().flush(timeout)
        if left or self._failed is not None:
            msg = f"the embedded broker did not take a record: {self._failed or f'{left} still wait'}"
            raise RuntimeError(msg)

    def read_headers(self, topic: str, names: Sequence[str]) -> Iterator[tuple[bytes, ...]]:
        """Give the named headers of every record of a topic, by the end of their names; b"" where one is missing."""
        consumer = Consumer({"bootstrap.servers": self._bootstrap, "group.id": "reader", "enable.auto.commit": False})
        try:
            partitions = consumer.list_topics(topic, timeout=START_SECONDS).topics[topic].partitions
            for partition in partitions:
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=START_SECONDS)
                consumer.assign([TopicPartition(topic, partition, low)])
                for _ in range(low, high):
                    message = consumer.poll(START_SECONDS)
                    if message is not None:
                        headers = dict(message.headers() or [])
                        yield tuple(_header(headers, wanted) for wanted in names)
        finally:
            consumer.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> Producer:
        if self._producer is None:
            msg = "the embedded broker is not running"
            raise RuntimeError(msg)
        return self._producer

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        self._failed = self._failed or error


def _header(headers: Mapping[str, object], ending: str) -> bytes:
    found = (value for name, value in headers.items() if name.endswith(f".{ending}"))
    return next((value for value in found if isinstance(value, bytes)), b"")
