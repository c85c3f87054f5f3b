"""Several partitions as one stream by time, although each is read at its own pace."""

import heapq
from collections import deque
from collections.abc import Collection, Iterator

from connector.decoding import GivenRecord
from connector.delivery.offset_tracker import TopicPartition
from connector.delivery.ports import Headers, Record

WAITING_RECORDS = 100_000
"""What may wait here; a partition that has more than its part of it is held, so that the others catch up,"""
WAITING_BYTES = 64 << 20
"""by either measure,"""
LEAST_RECORDS, LEAST_BYTES = 1_000, 256 << 10
"""but not by less than these,"""
GO_ON_SHARE = 0.25
"""and continues when this part of it is left: holding throws away what the client has fetched."""
FUTURE_MILLISECONDS = 60_000
"""So much may a producer's clock be ahead; a timestamp beyond that says nothing."""
NEVER = (1 << 62, 0)
"""Later than any lane's head."""
BY_PRODUCER = 1
"""Kafka's number for a timestamp that the producer gave."""


class Dated:
    """A record with the time at which it came: never before an earlier one of its partition, never in the future."""

    __slots__ = ("_came", "_offset", "_record", "at", "name")

    def __init__(self, record: Record, name: TopicPartition, ms: int) -> None:
        """`ms`: in milliseconds since the epoch."""
        self._record = record
        self._offset = record.offset()
        self._came = (BY_PRODUCER, ms)
        self.at = ms / 1000
        """In seconds."""
        self.name = name

    def without_content(self) -> "Dated":
        """The same place and time alone: of a record that carries several changes nobody keeps what came."""
        return Dated(GivenRecord(self.name.topic, None, offset=self._offset), self.name, self._came[1])

    def topic(self) -> str:
        """Name of the topic."""
        return self.name.topic

    def partition(self) -> int:
        """Number of the partition."""
        return self.name.partition

    def offset(self) -> int:
        """Place in the partition's log."""
        return self._offset

    def leader_epoch(self) -> int | None:
        """Of the leader that appended it; the forecast does not ask."""
        return None

    def timestamp(self) -> tuple[int, int]:
        """When it came."""
        return self._came

    def key(self) -> bytes | None:
        """As it came."""
        return self._record.key()

    def value(self) -> bytes | None:
        """As it came."""
        return self._record.value()

    def headers(self) -> Headers | None:
        """As they came."""
        return self._record.headers()


class _Lane:
    """What is read of a partition and not handed on yet."""

    __slots__ = ("clock", "ended", "name", "records", "size")

    def __init__(self, name: TopicPartition, clock: int) -> None:
        self.name = name
        self.clock = clock
        self.records: deque[tuple[int, int, Dated]] = deque()
        self.size = 0
        self.ended = False


class Merge:
    """Hands a record on as soon as no partition can still bring an earlier one."""

    def __init__(self, names: Collection[TopicPartition], since_ms: int, until_ms: int) -> None:
        """The stretch of time that is read, in milliseconds since the epoch."""
        self._latest = until_ms + FUTURE_MILLISECONDS
        self._lanes = {name: _Lane(name, since_ms) for name in sorted(names)}
        self._numbered = list(self._lanes.values())
        self._numbers = {name: number for number, name in enumerate(self._lanes)}
        self._heads: list[tuple[int, int]] = []
        """The time of each lane's first record, and the lane's number."""
        self._lacking = len(self._lanes)
        """Partitions that have nothing here and may still bring something."""
        self._held: set[TopicPartition] = set()
        parts = max(1, len(self._lanes))
        self._most_records = max(WAITING_RECORDS // parts, LEAST_RECORDS)
        self._most_bytes = max(WAITING_BYTES // parts, LEAST_BYTES)
        self.timeless = 0
        """Records without a timestamp that could be true; they are taken as of the one before."""

    def add(self, record: Record) -> None:
        """The next record of its partition."""
        name = TopicPartition(record.topic(), record.partition())
        lane = self._lanes[name]
        ms = record.timestamp()[1]
        if not 0 < ms <= self._latest:
            self.timeless += 1
        elif ms > lane.clock:
            lane.clock = ms
        if not lane.records:
            self._lacking -= 1
            heapq.heappush(self._heads, (lane.clock, self._numbers[name]))
        size = len(record.value() or b"")
        lane.size += size
        lane.records.append((lane.clock, size, Dated(record, name, lane.clock)))

    def end(self, name: TopicPartition) -> None:
        """Nothing more comes of this partition."""
        lane = self._lanes[name]
        if not lane.ended:
            lane.ended = True
            self._lacking -= not lane.records

    @property
    def is_over(self) -> bool:
        """All partitions ended, and all was handed on."""
        return not self._heads and not self._lacking

    def ready(self) -> Iterator[Dated]:
        """Hand on what is next by time, as far as it is certain."""
        heads = self._heads
        while heads and not self._lacking:
            _, number = heapq.heappop(heads)
            lane = self._numbered[number]
            records = lane.records
            until = heads[0] if heads else NEVER
            while records and (records[0][0], number) < until:
                _, size, dated = records.popleft()
                lane.size -= size
                yield dated
            if records:
                heapq.heappush(heads, (records[0][0], number))
            elif not lane.ended:
                self._lacking += 1

    def ahead(self) -> Collection[TopicPartition]:
        """Partitions that must not be read on for now, because others have to catch up."""
        for name, lane in self._lanes.items():
            share = GO_ON_SHARE if name in self._held else 1.0
            if len(lane.records) >= self._most_records * share or lane.size >= self._most_bytes * share:
                self._held.add(name)
            else:
                self._held.discard(name)
        return self._held
