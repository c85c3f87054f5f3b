"""The logs of the partitions, and their faults: recreated, truncated at the tail, with gaps of markers."""

from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.start_position import LogState
from tests.support.fakes import FakeRecord


class SimulatedState(LogState):
    """The result of a query, with what the oracle needs."""

    version: int
    is_group_known: bool


class PartitionLog:
    """One partition's log; None is a transaction marker, which no reader sees."""

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.records: list[FakeRecord | None] = []
        self.generation = 1
        """Number of the topic's incarnation."""
        self.low = 0
        """Records below were deleted by retention."""
        self.version = 0
        """Changes whenever an offset may no longer mean the same record."""
        self.epoch = 0
        """Epoch of the current leader."""
        self._cuts: list[tuple[int, int]] = []
        """By epoch, ascending: the first offset of that leader."""

    @property
    def topic_id(self) -> str:
        """Topic id as Kafka would write it."""
        return f"topic-{self.generation:016}"

    def state(self, *, is_group_known: bool) -> "SimulatedState":
        """The brokers' description, with the oracle's view of that moment."""
        state = SimulatedState(self.low, len(self.records), self.topic_id)
        state.version = self.version
        state.is_group_known = is_group_known
        return state

    def append(self, value: bytes | None, key: bytes | None = None, timestamp_ms: int = 0) -> FakeRecord:
        """Append a record."""
        name = self.name
        record = FakeRecord(
            value,
            len(self.records),
            key=key,
            topic=name.topic,
            partition=name.partition,
            timestamp_ms=timestamp_ms,
            epoch=self.epoch,
        )
        self.records.append(record)
        return record

    def mark(self) -> None:
        """Append a transaction marker."""
        self.records.append(None)

    def make_again(self) -> None:
        """The topic is deleted and created again."""
        self.records = []
        self.generation += 1
        self.version += 1
        self.low = 0
        self.epoch = 0
        self._cuts = []

    def cut(self, count: int) -> int:
        """An unclean election: the last records are lost, under another leader. Returns the new end."""
        end = max(self.low, len(self.records) - count)
        self.version += 1
        del self.records[end:]
        self.epoch += 1
        self._cuts.append((self.epoch, end))
        return end

    def forget(self, low: int) -> None:
        """Retention deletes records below."""
        self.low = max(self.low, low)

    def elect(self) -> None:
        """A clean election: another leader continues at the log's end."""
        self.epoch += 1
        self._cuts.append((self.epoch, len(self.records)))

    def end_of(self, epoch: int) -> int:
        """End offset of this leader epoch, or of the last one before it: a broker's answer to the epoch."""
        later = [begin for leader, begin in self._cuts if leader > epoch]
        return min(later, default=len(self.records))


Logs = dict[TopicPartition, PartitionLog]
