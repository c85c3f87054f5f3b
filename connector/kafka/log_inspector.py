"""Asks the brokers what a partition's log is now, without blocking the consumer.

Two faults of librdkafka's admin requests end the process, and are kept out of reach:

- What goes to the group coordinator, when a connection breaks off (https://github.com/confluentinc/librdkafka/pull/5397).
  Only requests to partition leaders and for metadata are made; the consumer itself asks for committed offsets.
- ListOffsets, when metadata arrive while it looks up the leaders: it does so in the thread that calls it, while the
  client's own thread may complete the look-up and free it (`rd_kafka_topic_partition_list_query_leaders_async`, 2.16).
  A client is asked one question at a time, so that no answer is under way that brings metadata.
"""

import weakref
from collections.abc import Callable, Collection, Mapping
from concurrent import futures
from time import monotonic
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
_Answers = Mapping[Any, futures.Future[Any]]
"""By partition or by topic, as the client gives them."""
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
        """Ask for these partitions. Returns at once. The look before must not be waited for any more."""
        ...


def _client(config: KafkaConfig) -> AdminClient:
    # What is wrong with the connection is told by the consumer's own client.
    made: dict[str, Any] = {**admin(config), "error_cb": _ignore}
    return AdminClient(made, logger=LIBRDKAFKA)


def _ignore(_error: object) -> None:
    """Told by the consumer."""


class AdminInspector:
    """The real one: an AdminClient of its own, made anew after a look that failed."""

    def __init__(self, config: KafkaConfig, make: Callable[[KafkaConfig], AdminClient] = _client) -> None:
        self._config = config
        self._make = make
        self._asked: tuple[AdminClient, AdminLook] | None = None
        """The client in use, and what it was asked last."""
        self._busy: list[tuple[AdminClient, AdminLook]] = []
        """Clients that were still being asked when another look began: each is kept until it has answered."""
        self._isolation = (
            IsolationLevel.READ_UNCOMMITTED
            if config.properties.get("isolation.level") == "read_uncommitted"
            else IsolationLevel.READ_COMMITTED
        )
        self.gives_ids: bool | None = None
        """Whether the brokers answered the last question for topic ids; the embedded one never does. None: unknown."""

    def look(self, names: Collection[TopicPartition]) -> "AdminLook":
        """Ask for these partitions. Returns at once. The look before must not be waited for any more."""
        return self._ask(names, {name.topic for name in names})

    def ask_for_ids(self, topics: Collection[str]) -> None:
        """Learn early whether the brokers give topic ids, so that no assignment has to wait for that."""
        self._ask((), topics)

    def told_ids(self, future: futures.Future[Any]) -> None:
        """Called in the client's thread with an answer for ids; one boolean is written."""
        error = None if future.cancelled() else future.exception()
        timed_out = isinstance(error, KafkaException) and error.args[0].code() in _UNANSWERED
        self.gives_ids = not timed_out

    def failed(self) -> None:
        """The client may hold on to a broker that is no coordinator any more: take a new one."""
        self._asked = None

    def close(self) -> None:
        """Let go of all clients in this thread: the process aborts where the collector ends one in the client's own."""
        self.failed()
        self._busy.clear()

    def _ask(self, names: Collection[TopicPartition], topics: Collection[str]) -> "AdminLook":
        self._busy = [(client, look) for client, look in self._busy if not look.is_answered]
        if self._asked is not None and not self._asked[1].is_answered:
            self._busy.append(self._asked)
            self._asked = None
        client = self._make(self._config) if self._asked is None else self._asked[0]
        look = AdminLook(client, self, names, topics, self._isolation)
        self._asked = client, look
        return look


class AdminLook:
    """Asks a client for topic ids, where logs begin, and where they end: each once the one before is answered.

    Ids come first: those of a topic that was made again then never go with the offsets of the log before. They come
    last while it is not known whether there are any.
    """

    def __init__(
        self,
        client: AdminClient,
        inspector: AdminInspector,
        names: Collection[TopicPartition],
        topics: Collection[str],
        isolation: IsolationLevel,
    ) -> None:
        self._client: AdminClient = weakref.proxy(client)  # Kept by the inspector, which lets go of it in time.
        self._inspector = inspector
        self._names = list(names)
        self._topics = sorted(topics)
        self._isolation = isolation
        self.trouble: KafkaFailure | None = None
        self._lows: Mapping[KafkaTopicPartition, Any] = {}
        self._highs: Mapping[KafkaTopicPartition, Any] = {}
        self._ids: Mapping[str, Any] = {}
        of_offsets = [self._ask_for_first, self._ask_for_last] if names else []
        self._questions = [self._ask_for_ids, *of_offsets] if inspector.gives_ids else [*of_offsets, self._ask_for_ids]
        self._asked = self._questions.pop(0)()

    @property
    def is_answered(self) -> bool:
        """Whether no answer is under way, so that the client may be asked something else."""
        return self._asks_in_vain or all(future.done() for future in self._asked.values())

    @property
    def _asks_in_vain(self) -> bool:
        return self._asked is self._ids and self._inspector.gives_ids is False

    def wait(self, seconds: float) -> bool:
        """Wait at most this long; whether all answers are there. Ids are waited for only where brokers give them."""
        end = monotonic() + seconds
        while self._asks_in_vain or not futures.wait(self._asked.values(), max(0.0, end - monotonic())).not_done:
            if not self._questions:
                return True
            self._asked = self._questions.pop(0)()
        return False

    def _ask_for_first(self) -> _Answers:
        self._lows = self._list(self._names, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        return self._lows

    def _ask_for_last(self) -> _Answers:
        """Of partitions whose leader answered: another one would take all the time that there is for an answer."""
        answered = [name for name in self._names if self._offset(self._lows, name) is not None]
        self._highs = self._list(answered, OffsetSpec.latest(), isolation_level=self._isolation)  # type: ignore[no-untyped-call]
        return self._highs

    def _list(
        self, names: Collection[TopicPartition], at: OffsetSpec, **options: Any
    ) -> Mapping[KafkaTopicPartition, Any]:
        if not names:
            return {}
        wanted: Any = dict.fromkeys((KafkaTopicPartition(*name) for name in names), at)
        return self._client.list_offsets(wanted, request_timeout=ANSWER_SECONDS, **options)

    def _ask_for_ids(self) -> _Answers:
        self._ids = self._client.describe_topics(TopicCollection(self._topics), request_timeout=ANSWER_SECONDS)
        for future in self._ids.values():
            future.add_done_callback(self._inspector.told_ids)
        return self._ids

    def found(self) -> Mapping[TopicPartition, Found]:
        """What was learnt."""
        topics = {topic: self._topic(topic) for topic in self._topics}
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
        future = self._ids.get(topic)
        if future is None or not future.done() or future.exception() is not None:
            return "", 0
        found = future.result()
        topic_id = str(found.topic_id)
        return "" if topic_id == _NO_ID else topic_id, len(found.partitions)

    def _offset(self, answers: Mapping[KafkaTopicPartition, Any], name: TopicPartition) -> int | None:
        future = answers.get(KafkaTopicPartition(*name))
        if future is None:
            return None
        try:
            offset = int(future.result(0).offset)
        except (KafkaException, TimeoutError) as error:
            self._blame(error)
            return None
        if offset < 0:
            # librdkafka's result for all partitions, without an error, where a leader could not be reached in time: it
            # goes on asking the leader that it knows, at the cost of half a core, until it is replaced.
            self._blame(KafkaException(KafkaError(KafkaError.LEADER_NOT_AVAILABLE)))
            return None
        return offset

    def _blame(self, error: Exception) -> None:
        if self.trouble is None and isinstance(error, KafkaException):
            self.trouble = classify(error.args[0])
