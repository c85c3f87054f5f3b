"""The edges as small fakes: a log with a group coordinator, an endpoint that keeps profiles, a dead-letter topic."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec

from connector.delivery.answer import Answer, Verdict
from connector.delivery.dead_letter import DeadLetter
from connector.delivery.offset_tracker import OffsetAndMetadata, Start, TopicPartition
from connector.delivery.ports import Headers
from connector.delivery.start_position import LogState
from connector.errors import CommitFailed
from connector.events.change import Priority
from connector.kafka.ports import Listener
from connector.target.render import Request


class FakeRecord:
    """A record in the shape of confluent-kafka's Message."""

    def __init__(
        self,
        value: bytes | None,
        offset: int,
        *,
        key: bytes | None = None,
        topic: str = "t",
        partition: int = 0,
        timestamp_ms: int = 0,
        epoch: int | None = 0,
        headers: Headers | None = None,
    ) -> None:
        self._fields = (value, offset, topic, partition, timestamp_ms, key)
        self._epoch = epoch
        self._headers = headers

    def error(self) -> None:
        """None: it is a record, not an error of the client."""

    def leader_epoch(self) -> int | None:
        """Epoch of the leader that appended it."""
        return self._epoch

    def topic(self) -> str:
        """Name of the topic."""
        return self._fields[2]

    def partition(self) -> int:
        """Number of the partition."""
        return self._fields[3]

    def offset(self) -> int:
        """Its offset."""
        return self._fields[1]

    def timestamp(self) -> tuple[int, int]:
        """Create time, in milliseconds."""
        return (1, self._fields[4])

    def __len__(self) -> int:
        return len(self._fields[0] or b"")

    def key(self) -> bytes | None:
        """The partitioning key."""
        return self._fields[5]

    def value(self) -> bytes | None:
        """The payload."""
        return self._fields[0]

    def headers(self) -> Headers | None:
        """The headers, None where there are none."""
        return self._headers


def event(visitor: str, **profile: object) -> bytes:
    """A version 1 event."""
    return msgspec.json.encode({"mbox3rdPartyId": visitor, "profile": profile})


def event_of(priority: Priority, visitor: str, **profile: object) -> bytes:
    """A version 1 event that says its class."""
    return msgspec.json.encode({"mbox3rdPartyId": visitor, "priority": priority.word, "profile": profile})


def event_at(visitor: str, occurred_at: str, **profile: object) -> bytes:
    """A version 1 event with the time it became true, in RFC 3339."""
    return msgspec.json.encode({"mbox3rdPartyId": visitor, "occurredAt": occurred_at, "profile": profile})


@dataclass
class FakeLog:
    """Topics and committed offsets, which outlive every source that reads them."""

    records: dict[TopicPartition, list[FakeRecord]] = field(default_factory=dict)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    metadata: dict[TopicPartition, str] = field(default_factory=dict)
    """Metadata committed with the offset."""
    on_commit: Callable[[TopicPartition, int], None] | None = None
    """Called with each commit when it takes effect."""

    def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        """Keep a commit of the group."""
        for name, (offset, metadata) in offsets.items():
            if self.on_commit is not None:
                self.on_commit(name, offset)
            self.committed[name] = offset
            self.metadata[name] = metadata

    def standing(self, name: TopicPartition) -> OffsetAndMetadata:
        """The committed offsets."""
        return OffsetAndMetadata(self.committed.get(name, 0), self.metadata.get(name, ""))

    def append(
        self,
        value: bytes | None,
        *,
        key: bytes | None = None,
        topic: str = "t",
        partition: int = 0,
        timestamp_ms: int = 0,
        headers: Headers | None = None,
    ) -> int:
        """Append a record to its partition; returns its offset."""
        log = self.records.setdefault(TopicPartition(topic, partition), [])
        offset = len(log)
        log.append(
            FakeRecord(
                value,
                offset,
                key=key,
                topic=topic,
                partition=partition,
                timestamp_ms=timestamp_ms,
                headers=headers,
            )
        )
        return offset


class FakeSource:
    """One member of the group: hands out batches for credit, commits, and is rebalanced by the test."""

    def __init__(self, log: FakeLog, *, batch: int = 100) -> None:
        self.log = log
        self.commits: list[dict[TopicPartition, int]] = []
        self.fail_commits = 0
        self.failed_commits_land = False
        self.closed = False
        self.left = False
        """Whether it left the group."""
        self.killed = False
        self._batch = batch
        self._credits = 2
        self._positions: dict[TopicPartition, int] = {}
        self._starts: dict[TopicPartition, Start] = {}
        self.held: set[TopicPartition] = set()
        """Partitions that the listener does not want now."""
        self._listener: Listener | None = None

    def kill(self) -> None:
        """Nothing that this member does later has an effect, as after kill -9."""
        self.killed = True
        self._positions.clear()

    @property
    def owned(self) -> Sequence[TopicPartition]:
        """The partitions of this member."""
        return list(self._positions)

    @property
    def listener(self) -> Listener:
        """The listener that started this source."""
        assert self._listener is not None
        return self._listener

    def start(self, listener: Listener) -> None:
        """Join; partitions are given by `assign`."""
        self._listener = listener
        listener.session(45.0)

    def assign(self, *names: TopicPartition) -> None:
        """Assign partitions to this member, from their committed offsets on."""
        for name in names:
            self._positions[name] = self.log.committed.get(name, 0)
        totals: dict[str, int] = {}
        for topic, _ in self.log.records:
            totals[topic] = totals.get(topic, 0) + 1
        self.listener.counted(totals)
        self._starts |= {name: self._start(name) for name in names}
        self.held.difference_update(names)
        self.listener.assigned({name: self._starts[name] for name in names})
        self.feed()

    def _start(self, name: TopicPartition) -> Start:
        return Start.at(self.log.standing(name), LogState(0, len(self.log.records.get(name, ()))))

    async def revoke(self, *names: TopicPartition) -> None:
        """Revoke partitions in order, committing what the listener returns."""
        for name in names:
            self._positions.pop(name, None)
        offsets = await self.listener.revoked(names)
        self._commit(dict(offsets))

    def lose(self, *names: TopicPartition) -> None:
        """Revoke partitions as lost, as a coordinator does with a member whose session expired."""
        for name in names:
            self._positions.pop(name, None)
        self.listener.lost(names)

    def feed(self) -> None:
        """Hand on pending records, as far as the credit allows."""
        while self._credits > 0:
            batch: list[FakeRecord] = []
            for name, position in self._positions.items():
                if name in self.held:
                    continue
                fresh = self.log.records.get(name, [])[position : position + self._batch - len(batch)]
                self._positions[name] += len(fresh)
                batch.extend(fresh)
            if not batch:
                return
            self._credits -= 1
            self.listener.records(batch)

    def more(self) -> None:
        """Grant one more batch."""
        self._credits += 1
        asyncio.get_running_loop().call_soon(self.feed)

    def hold(self, name: TopicPartition, start: Start) -> None:
        """Hand nothing of it on."""
        if self._starts.get(name) is start:
            self.held.add(name)

    def read_on(self, name: TopicPartition, start: Start, offset: int, epoch: int) -> None:  # noqa: ARG002 - it never lost a tail
        """Hand it on from there, soon."""
        asyncio.get_running_loop().call_soon(self._read_on, name, start, offset)

    def _read_on(self, name: TopicPartition, start: Start, offset: int) -> None:
        if name in self._positions and self._starts[name] is start:
            self.held.discard(name)
            self._positions[name] = offset
            self.listener.reading_on(name, start)
            self.feed()

    @property
    def credits(self) -> int:
        """Batches that may still be handed on."""
        return self._credits

    async def commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> bool:
        """Commit, or fail as often as the test asked for."""
        await asyncio.sleep(0.001)
        if self.fail_commits > 0:
            self.fail_commits -= 1
            if self.failed_commits_land:
                self._commit({name: offset for name, offset in offsets.items() if name in self._positions})
            msg = "the coordinator did not answer"
            raise CommitFailed(msg)
        owned = {name: offset for name, offset in offsets.items() if name in self._positions}
        self._commit(owned)
        return bool(owned)

    async def close(self, seconds: float, *, leave: bool = True) -> None:  # noqa: ARG002 - a fake leaves at once
        """Revoke what is left, as a consumer that leaves does; without `leave` the group is not told."""
        if leave:
            await self.revoke(*list(self._positions))
        self.closed = True
        self.left = leave

    def _commit(self, offsets: Mapping[TopicPartition, OffsetAndMetadata]) -> None:
        if offsets and not self.killed:
            self.commits.append({name: where.offset for name, where in offsets.items()})
            self.log.commit(offsets)


Behaviour = Callable[[str, dict[str, str], int], tuple[Answer, float]]
"""(visitor, attributes, number of this request) to the answer and the seconds it takes."""


def accept(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
    """A healthy endpoint."""
    return Answer(Verdict.ACCEPTED), 0.01


class Applied(Answer):
    """A failed answer, although the update was applied: a timeout after the work was done."""


class FakeSender:
    """An endpoint that keeps profiles and records visitors with two requests at once."""

    def __init__(self, behaviour: Behaviour = accept) -> None:
        self.behaviour = behaviour
        self.profiles: dict[str, dict[str, str]] = {}
        self.longest = 10.0
        """Longest duration of a request in seconds."""
        self.sent: list[tuple[float, str, dict[str, str]]] = []
        self.renewed: list[float] = []
        """When all connections were closed."""
        self.overlaps = 0
        self.overlapped: set[str] = set()
        """Visitors that had two requests at once at any time."""
        self.applies_what_is_cut = False
        """Whether an abandoned request is still applied."""
        self._on_the_wire: set[str] = set()

    async def send(self, request: Request) -> Answer:
        """Answer as the behaviour says; an accepted update is applied when the answer leaves."""
        visitor, attributes = parse(request)
        if visitor in self._on_the_wire:
            self.overlaps += 1
            self.overlapped.add(visitor)
        self._on_the_wire.add(visitor)
        self.sent.append((asyncio.get_running_loop().time(), visitor, attributes))
        answer, seconds = self.behaviour(visitor, attributes, len(self.sent))
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            if self.applies_what_is_cut:
                self._apply(visitor, attributes)
            raise
        finally:
            self._on_the_wire.discard(visitor)
        if answer.verdict is Verdict.ACCEPTED or isinstance(answer, Applied):
            self._apply(visitor, attributes)
        return answer

    def bound(self, seconds: float) -> None:
        """Limit the duration of a request."""
        self.longest = seconds

    @property
    def on_the_wire(self) -> int:
        """Visitors with a request in flight."""
        return len(self._on_the_wire)

    def renew(self) -> None:
        """Record when connections were closed."""
        self.renewed.append(asyncio.get_running_loop().time())

    def _apply(self, visitor: str, attributes: dict[str, str]) -> None:
        self.profiles.setdefault(visitor, {}).update(attributes)


def parse(request: Request) -> tuple[str, dict[str, str]]:
    """Parse a request: the visitor's id and the attributes."""
    query = request.body.decode() if request.body is not None else request.target.partition("?")[2]
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    (_, visitor), *rest = pairs
    return visitor, {name.removeprefix("profile."): value for name, value in rest}


class FakeDeadLetters:
    """A dead-letter topic in memory; `hold` delays acknowledgements."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.error: Exception | None = None

    async def send(self, letter: DeadLetter) -> None:
        """Acknowledge after a moment."""
        await asyncio.sleep(0.001)
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        self.letters.append(letter)


def names(count: int, topic: str = "t") -> Sequence[TopicPartition]:
    """The first partitions of a topic."""
    return [TopicPartition(topic, number) for number in range(count)]
