"""Asks the brokers what a partition's log is now, without blocking the consumer.

Only requests to partition leaders and for metadata are made. What goes to the group coordinator by an AdminClient can
end the process when a connection breaks off (https://github.com/confluentinc/librdkafka/pull/5397); the consumer itself
asks for committed offsets.
"""

import concurrent.futures
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
)
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # the stubs of `admin` do not export it

from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.start_position import LogState
from connector.kafka.config import LIBRDKAFKA, KafkaConfig, admin
from connector.kafka.errors import KafkaFailure, classify

ANSWER_SECONDS: Final = 5.0
"""After this an answer is given up; the next look asks again."""
_NO_ID: Final = "A" * 22
"""All zeros in base64: a broker of a version without topic ids."""
_UNANSWERED: Final = frozenset({KafkaError._TIMED_OUT})  # noqa: SLF001 - librdkafka's own codes are spelt so


class Found(NamedTuple):
    """What is known of one partition at one moment."""

    log: LogState
    partitions: int
    """How many its topic has; 0: not known."""


class Look(Protocol):
    """One question to the brokers, under way or answered."""

    def wait(self, seconds: float) -> bool:
        """Wait at most this long; whether all answers are there."""
        ...

    def found(self) -> Mapping[TopicPartition, Found]:
        """What was learnt; without a partition whose log nobody could tell."""
        ...

    @property
    def trouble(self) -> KafkaFailure | None:
        """Why a partition is missing in `found`."""
        ...


class LogInspector(Protocol):
    """Where the consumer's decisions learn of logs."""

    def look(self, names: Collection[TopicPartition]) -> Look:
        """Ask for these partitions. Returns at once."""
        ...


class AdminInspector:
    """The real one: an AdminClient of its own, made anew after a look that failed."""

    def __init__(self, config: KafkaConfig) -> None:
        self._config = config
        self._client: AdminClient | None = None
        self._isolation = (
            IsolationLevel.READ_UNCOMMITTED
            if config.properties.get("isolation.level") == "read_uncommitted"
            else IsolationLevel.READ_COMMITTED
        )
        self.gives_ids = True
        """Whether the brokers answered the last question for topic ids; the embedded broker never does."""

    def look(self, names: Collection[TopicPartition]) -> "AdminLook":
        """Ask for these partitions. Returns at once."""
        if self._client is None:
            # What is wrong with the connection is told by the consumer's own client.
            made: dict[str, Any] = {**admin(self._config), "error_cb": _ignore}
            self._client = AdminClient(made, logger=LIBRDKAFKA)
        return AdminLook(self._client, self, names, self._isolation)

    def ask_for_ids(self, topics: Collection[str]) -> None:
        """Learn early whether the brokers give topic ids, so that no assignment has to wait for that."""
        self.look([TopicPartition(topic, 0) for topic in topics])

    def failed(self) -> None:
        """The client may hold on to a broker that is no coordinator any more: take a new one."""
        self._client = None


class AdminLook:
    """Futures of an AdminClient, read when they are done."""

    def __init__(
        self,
        client: AdminClient,
        inspector: AdminInspector,
        names: Collection[TopicPartition],
        isolation: IsolationLevel,
    ) -> None:
        self._inspector = inspector
        self._names = list(names)
        self.trouble: KafkaFailure | None = None
        options: dict[str, Any] = {"request_timeout": ANSWER_SECONDS}
        partitions = [KafkaTopicPartition(*name) for name in names]
        topics = TopicCollection(sorted({name.topic for name in names}))
        self._ids = client.describe_topics(topics, **options) if partitions else {}
        first: Any = dict.fromkeys(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        last: Any = dict.fromkeys(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        self._lows = client.list_offsets(first, **options) if partitions else {}
        self._highs = client.list_offsets(last, isolation_level=isolation, **options) if partitions else {}
        for future in self._ids.values():
            future.add_done_callback(self._told_id)

    def wait(self, seconds: float) -> bool:
        """Wait at most this long; whether all answers are there. Ids are waited for only where brokers give them."""
        wanted = [*self._lows.values(), *self._highs.values()]
        if self._inspector.gives_ids:
            wanted += self._ids.values()
        return not concurrent.futures.wait(wanted, seconds).not_done

    def found(self) -> Mapping[TopicPartition, Found]:
        """What was learnt."""
        topics = {topic: self._topic(topic) for topic in self._ids}
        found = {}
        for name in self._names:
            low, high = self._offset(self._lows, name), self._offset(self._highs, name)
            if low is not None and high is not None:
                topic_id, partitions = topics[name.topic]
                found[name] = Found(LogState(low, high, topic_id), partitions)
        if self.trouble is not None:
            self._inspector.failed()
        return found

    def _topic(self, topic: str) -> tuple[str, int]:
        """The id of a topic and how many partitions it has; empty and 0 where nobody told."""
        future = self._ids[topic]
        if not future.done() or future.exception() is not None:
            return "", 0
        found = future.result()
        topic_id = str(found.topic_id)
        return "" if topic_id == _NO_ID else topic_id, len(found.partitions)

    def _offset(self, futures: Mapping[KafkaTopicPartition, Any], name: TopicPartition) -> int | None:
        try:
            offset = int(futures[KafkaTopicPartition(*name)].result(0).offset)
        except (KafkaException, TimeoutError) as error:
            self._blame(error)
            return None
        if offset < 0:
            # librdkafka's result for all partitions, without an error, where a leader could not be reached in time: it
            # goes on asking the leader that it knows, at the cost of half a core, until it is replaced.
            self._blame(KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)))
            return None
        return offset

    def _told_id(self, future: "concurrent.futures.Future[Any]") -> None:
        """In the client's thread; one boolean is written."""
        error = None if future.cancelled() else future.exception()
        timed_out = isinstance(error, KafkaException) and error.args[0].code() in _UNANSWERED
        self._inspector.gives_ids = not timed_out

    def _blame(self, error: Exception) -> None:
        if self.trouble is None and isinstance(error, KafkaException):
            self.trouble = classify(error.args[0])


def _ignore(_error: object) -> None:
    """Told by the consumer."""
