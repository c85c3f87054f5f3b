"""The logs of the partitions, and what may happen to them: made again, cut at the tail, with gaps of markers."""

from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.start_position import LogState
from tests.support.fakes import FakeRecord


class SimulatedState(LogState):
    """What a look learnt, with what the oracle judges by."""

    version: int
    is_group_known: bool


class PartitionLog:
    """One partition's log; None is a transaction marker, which no reader sees."""

    def __init__(self, name: TopicPartition) -> None:
        self.name = name
        self.records: list[FakeRecord | None] = []
        self.generation = 1
        """Which topic of this name it is."""
        self.low = 0
        """What is below was deleted by retention."""
        self.version = 0
        """Changes whenever an offset may no longer mean what it meant."""
        self.epoch = 0
        """Of the leader that appends now."""
        self._cuts: list[tuple[int, int]] = []
        """By epoch, ascending: where the log of that leader begins."""

    @property
    def topic_id(self) -> str:
        """As Kafka would write it."""
        return f"topic-{self.generation:016}"

    def state(self, *, is_group_known: bool) -> "SimulatedState":
        """As the brokers describe it, with what the oracle wants to know of that moment."""
        state = SimulatedState(self.low, len(self.records), self.topic_id)
        state.version = self.version
        state.is_group_known = is_group_known
        return state

    def append(self, value: bytes | None) -> FakeRecord:
        """Put a record at the end."""
        name = self.name
        record = FakeRecord(value, len(self.records), topic=name.topic, partition=name.partition, epoch=self.epoch)
        self.records.append(record)
        return record

    def mark(self) -> None:
        """Put a transaction marker at the end."""
        self.records.append(None)

    def make_again(self) -> None:
        """The topic is deleted and made again."""
        self.records = []
        self.generation += 1
        self.version += 1
        self.low = 0
        self.epoch = 0
        self._cuts = []

    def cut(self, count: int) -> int:
        """An unclean election: the last records are gone, and another leader goes on. Returns the new end."""
        end = max(self.low, len(self.records) - count)
        self.version += 1
        del self.records[end:]
        self.epoch += 1
        self._cuts.append((self.epoch, end))
        return end

    def forget(self, low: int) -> None:
        """Retention deletes what is below."""
        self.low = max(self.low, low)

    def elect(self) -> None:
        """A clean election: another leader goes on where the log ends."""
        self.epoch += 1
        self._cuts.append((self.epoch, len(self.records)))

    def end_of(self, epoch: int) -> int:
        """Where the log of this leader, or of the last one before it, ends: what a broker answers to the epoch."""
        later = [begin for leader, begin in self._cuts if leader > epoch]
        return min(later, default=len(self.records))


Logs = dict[TopicPartition, PartitionLog]
