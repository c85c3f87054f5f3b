"""librdkafka's consumer as a fake: the real `GroupMember` assigns, reads and commits through it."""

from collections import deque
from collections.abc import Collection, Mapping
from typing import Any, Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition

from connector.delivery.offset_tracker import OffsetAndMetadata, TopicPartition
from connector.kafka.errors import KafkaFailure
from connector.kafka.log_inspector import Found
from tests.simulation.client import Client
from tests.simulation.coordinator import Coordinator
from tests.simulation.logs import Logs
from tests.support.fakes import FakeRecord


class ErrorMessage:
    """A message that carries an error: the end of a partition, or an invalid position."""

    def __init__(self, code: int, name: TopicPartition, offset: int | None) -> None:
        self._error = KafkaError(code)
        self._name = name
        self._offset = offset

    def __len__(self) -> int:
        return 0

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str:
        return self._name.topic

    def partition(self) -> int:
        return self._name.partition

    def offset(self) -> int | None:
        return self._offset


class _Place:
    """Read position of a partition."""

    def __init__(self, offset: int, epoch: int | None, generation: int) -> None:
        self.offset = offset
        self.epoch = epoch
        """Epoch of the leader whose log is read, as far as known."""
        self.generation = generation
        self.told_end = -1
        self.is_stopped = False


class FakeConsumer:
    """One replica's consumer. `batch` bounds one call of `consume`."""

    def __init__(self, client: Client, coordinator: Coordinator, logs: Logs, batch: int) -> None:
        self._client = client
        self._coordinator = coordinator
        self._logs = logs
        self._batch = batch
        self._places: dict[TopicPartition, _Place] = {}
        self._paused: set[TopicPartition] = set()
        self._queue: deque[Any] = deque()

    # As librdkafka's.

    def poll(self, timeout: float) -> Any:  # noqa: ARG002 - time stands still in here
        self._fetch()
        return self._queue.popleft() if self._queue else None

    def consume(self, num_messages: int, timeout: float) -> list[Any]:  # noqa: ARG002 - as above
        count = min(num_messages, self._batch - 1, len(self._queue))
        return [self._queue.popleft() for _ in range(count)]

    def commit(self, *, offsets: list[KafkaTopicPartition], asynchronous: Literal[True]) -> None:
        assert asynchronous
        self._client.commit(
            {TopicPartition(p.topic, p.partition): OffsetAndMetadata(p.offset, p.metadata or "") for p in offsets}
        )

    def committed(self, partitions: list[KafkaTopicPartition], timeout: float) -> list[KafkaTopicPartition]:  # noqa: ARG002
        if self._client.cut_off or self._client.cannot_tell():
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - how the library spells its codes
        answered = []
        for p in partitions:
            where = self._coordinator.standing(TopicPartition(p.topic, p.partition))
            answered.append(KafkaTopicPartition(p.topic, p.partition, where.offset, where.metadata))
        return answered

    def pause(self, partitions: list[KafkaTopicPartition]) -> None:
        names = _names(partitions)
        self._paused |= names
        # A pause drops prefetched records: they are fetched again.
        for message in self._queue:
            name = TopicPartition(message.topic(), message.partition())
            if name in names and isinstance(message, FakeRecord):
                place = self._places[name]
                place.offset = min(place.offset, message.offset())
        for name in names & self._places.keys():
            self._places[name].told_end = -1
        self._forget(names)

    def resume(self, partitions: list[KafkaTopicPartition]) -> None:
        self._paused -= _names(partitions)

    def incremental_assign(self, partitions: list[KafkaTopicPartition]) -> None:
        for p in partitions:
            name = TopicPartition(p.topic, p.partition)
            assert name not in self._places, "assigned twice"
            self._places[name] = _Place(p.offset, None, self._logs[name].generation)

    def seek(self, partition: KafkaTopicPartition) -> None:
        """Here, and not at the assignment, the client checks whether the log continues there."""
        name = TopicPartition(partition.topic, partition.partition)
        if self._client.cut_off:
            raise KafkaException(KafkaError(KafkaError._STATE))  # noqa: SLF001
        self._places[name] = _Place(partition.offset, partition.leader_epoch, self._logs[name].generation)
        self._forget({name})

    def incremental_unassign(self, partitions: list[KafkaTopicPartition]) -> None:
        names = _names(partitions)
        for name in names:
            del self._places[name]
        self._forget(names)

    # Calls of the group.

    def unassigned(self, names: Collection[TopicPartition]) -> None:
        """The group revoked these."""
        for name in names:
            self._places.pop(name, None)
            self._paused.discard(name)
        self._forget(set(names))

    # The inspector.

    def look(self, names: Collection[TopicPartition]) -> "FakeLook":
        """The brokers' current answer."""
        if self._client.cut_off or self._client.cannot_tell():
            return FakeLook({}, is_done=not self._client.cut_off)
        known = bool(self._coordinator.committed)
        found = {name: Found(self._logs[name].state(is_group_known=known), len(self._logs)) for name in names}
        return FakeLook(found, is_done=True)

    # Fetching.

    def _fetch(self) -> None:
        if self._client.cut_off:
            return
        for name, place in self._places.items():
            if name in self._paused or place.is_stopped:
                continue
            log = self._logs[name]
            if place.generation != log.generation:
                place.generation, place.epoch = log.generation, None
            if place.epoch is not None and log.end_of(place.epoch) < place.offset:
                self._stop(name, place, None)  # The log was truncated: the client does not say where.
                continue
            if not log.low <= place.offset <= len(log.records):
                self._stop(name, place, place.offset)
                continue
            place.epoch = log.epoch
            fresh = log.records[place.offset : place.offset + max(0, self._batch - len(self._queue))]
            place.offset += len(fresh)
            self._queue.extend(record for record in fresh if record is not None)
            if place.offset == len(log.records) and place.told_end != place.offset:
                place.told_end = place.offset
                self._queue.append(ErrorMessage(KafkaError._PARTITION_EOF, name, place.offset))  # noqa: SLF001

    def _stop(self, name: TopicPartition, place: _Place, offset: int | None) -> None:
        place.is_stopped = True
        self._queue.append(ErrorMessage(KafkaError._AUTO_OFFSET_RESET, name, offset))  # noqa: SLF001

    def _forget(self, names: set[TopicPartition]) -> None:
        self._queue = deque(m for m in self._queue if TopicPartition(m.topic(), m.partition()) not in names)


class FakeLook:
    """A query that is answered at once, or never."""

    trouble: KafkaFailure | None = None

    def __init__(self, found: Mapping[TopicPartition, Found], *, is_done: bool) -> None:
        self._found = found
        self._is_done = is_done

    def wait(self, seconds: float) -> bool:  # noqa: ARG002 - it is there or not
        return self._is_done

    def found(self) -> Mapping[TopicPartition, Found]:
        return self._found


def _names(partitions: list[KafkaTopicPartition]) -> set[TopicPartition]:
    return {TopicPartition(p.topic, p.partition) for p in partitions}
