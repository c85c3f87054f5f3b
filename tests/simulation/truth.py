"""The truth about the records, which no replica knows; and the small classes that the oracle judges by."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.delivery.offset_metadata import OffsetMetadata
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker, Start, TopicPartition, owed_in
from connector.events.change import Priority
from connector.pipeline import Pipeline, PipelineConfig
from tests.simulation.ages import Ages
from tests.simulation.classes import Classes
from tests.simulation.logs import Logs
from tests.simulation.timeline import Process, Timeline
from tests.simulation.values import Key, Values
from tests.support.fakes import FakeRecord


class Wrong(AssertionError):
    """An invariant does not hold."""


class Fact(NamedTuple):
    """One change of a record: `visitor` is empty for what is skipped; `malformed` for what cannot be read."""

    visitor: str
    serials: Mapping[str, int]
    malformed: bool = False
    epoch: int = 0
    """Epoch of the leader that appended it."""
    occurred: float | None = None
    """When it was true, in seconds since the epoch, if it says so itself."""
    priority: Priority = Priority.NORMAL


Facts = tuple[Fact, ...]
"""One record, which may carry several changes."""
LetterKey = tuple[TopicPartition, int, int]
"""Partition, offset, and the place of the change in its record."""


class Word:
    """The records that a commit, or the state where reading begins, calls done."""

    __slots__ = ("_owed", "offset", "until")

    def __init__(self, offset: int, owed: OffsetMetadata | None) -> None:
        self.offset = max(0, offset)
        self._owed = owed
        self.until = owed.until if owed is not None else self.offset

    @classmethod
    def of(cls, where: OffsetAndMetadata) -> "Word":
        """From a commit."""
        return cls(where.offset, owed_in(where))

    @classmethod
    def at(cls, name: TopicPartition, start: Start) -> "Word":
        """From a start position."""
        return cls(start.offset, OffsetTracker(name, start).recovering)

    def calls_done(self, offset: int, print_: int, epoch: int) -> bool:
        """Whether the record of the visitor with this fingerprint is done by this metadata; 0: malformed."""
        if offset < self.offset:
            return True
        owed = self._owed
        if owed is None or offset >= owed.until or epoch > owed.epoch >= 0:
            return False
        first = owed.firsts.get(print_)
        return first is None or offset < first


@dataclass(eq=False)
class Stay:
    """One assignment of a partition."""

    number: int
    name: TopicPartition
    start: Word
    version: int
    """Number of the log, when the start position was decided."""
    revoking: bool = False
    taken: int = 0
    serials: set[int] = field(default_factory=set)
    """Newest values that it consumed."""
    newest: dict[Key, int] = field(default_factory=dict)
    sent: dict[Key, int] = field(default_factory=dict)
    accepted: dict[Key, tuple[int, float]] = field(default_factory=dict)
    """The newest accepted value, and when its replica learnt it."""
    letters: dict[tuple[int, int], float] = field(default_factory=dict)
    """When the replica learnt that a letter is written, by its offset and the place in the record."""
    gone: dict[int, float] = field(default_factory=dict)
    """Values that it left out as too old, or that such a one replaced, and since when."""
    judged: tuple[object, ...] = ()
    changes: int = 0


@dataclass(eq=False)
class Sent:
    """A request."""

    member: str
    visitor: str
    at: float
    parts: list[tuple[Key, int, Stay]]


@dataclass(eq=False)
class Member:
    """A replica, as the oracle sees it."""

    process: Process
    pipeline: Pipeline
    config: PipelineConfig
    batch: int
    batch_bytes: int
    wire: set[str] = field(default_factory=set)
    last: Sent | None = None
    asked_to_wait: tuple[Sent, float] | None = None
    wait_until: float = 0.0
    longest_wait: float = 0.0
    """The latest end of any Retry-After."""
    open_since: float | None = None
    sent_at: float = 0.0
    heard_at: float = 0.0
    failing: dict[str, float] = field(default_factory=dict)
    """Since when a visitor fails, without an end until now."""
    failed: dict[str, float] = field(default_factory=dict)
    """When it last failed."""
    firsts: set[str] = field(default_factory=set)
    """Visitors whose first attempt failed since any other succeeded."""


class Truth:
    """Each record, and its outcome."""

    def __init__(self, logs: Logs, timeline: Timeline, max_age: float) -> None:
        self._timeline = timeline
        self.logs = logs
        self.facts: dict[TopicPartition, list[Facts]] = {name: [] for name in logs}
        """Records that are in the logs now."""
        self.of: dict[FakeRecord, Facts] = {}
        """Records that are not any more."""
        self.prints: dict[str, int] = {"": 0}
        """The fingerprint of a visitor."""
        self.open: dict[TopicPartition, list[int]] = {name: [] for name in logs}
        """Records that are not known to be done yet."""
        self.begin: dict[TopicPartition, int] = dict.fromkeys(logs, 0)
        """Records below need not be delivered: the group began after them, or retention deleted them."""
        self.excused: dict[Key, set[int]] = {}
        """Values that may be at the endpoint at the end or not, since their records are lost."""
        self.values = Values()
        self.ages = Ages(timeline, max_age)
        self.classes = Classes()
        self.profile: dict[Key, int] = {}
        """Values at the endpoint."""
        self.highest: dict[Key, tuple[int, int]] = {}
        """The newest value ever applied, and the number of its stay."""
        self.buried: dict[Key, int] = {}
        """The newest value in a dead letter."""
        self.letters: set[LetterKey] = set()
        """What has a letter of its own."""

    def added(self, name: TopicPartition) -> None:
        """A partition was added."""
        self.facts[name] = []
        self.open[name] = []
        self.begin[name] = 0

    def produced(self, name: TopicPartition, record: FakeRecord | None, facts: Facts) -> None:
        """A record was appended, or a marker."""
        facts = tuple(fact._replace(epoch=self.logs[name].epoch) for fact in facts)
        if record is not None:
            self.of[record] = facts
        for fact in facts:
            if fact.visitor and fact.visitor not in self.prints:
                self.prints[fact.visitor] = zlib.crc32(f"mbox3rdPartyId\0{fact.visitor}".encode())
            self.classes.appended(fact.visitor, fact.serials.values(), fact.priority)
            for attribute, serial in fact.serials.items():
                self.values.appended((fact.visitor, attribute), serial, self._timeline.now)
                self.ages.appended((fact.visitor, attribute), serial, _true_at(record, fact))
        if any(fact.visitor or fact.malformed for fact in facts):
            self.open[name].append(len(self.facts[name]))
        self.facts[name].append(facts)

    def excuse(self, name: TopicPartition, begin: int, end: int) -> None:
        """These records need not be delivered any more."""
        for facts in self.facts[name][begin:end]:
            for fact in facts:
                for attribute, serial in fact.serials.items():
                    self.excused.setdefault((fact.visitor, attribute), set()).add(serial)
        self.open[name] = [offset for offset in self.open[name] if not begin <= offset < end]

    def begun(self, name: TopicPartition, offset: int) -> None:
        """Nothing below this offset need be delivered."""
        self.excuse(name, self.begin[name], offset)
        self.begin[name] = max(self.begin[name], offset)

    def cut(self, name: TopicPartition, end: int) -> None:
        """The records from here on are lost, and not in the log any more."""
        self.excuse(name, end, len(self.facts[name]))
        del self.facts[name][end:]
        self.begin[name] = min(self.begin[name], end)
        self.letters = {(it, offset, place) for it, offset, place in self.letters if it != name or offset < end}

    def expected(self) -> dict[Key, int]:
        """The last value of each attribute in the logs that was not left out as too old."""
        return {
            (fact.visitor, attribute): serial
            for name, records in self.facts.items()
            for facts in records[self.begin[name] :]
            for fact in facts
            for attribute, serial in fact.serials.items()
            if serial not in self.ages.gone
        }

    def is_done(self, name: TopicPartition, offset: int) -> bool:
        """Whether all that the record asks for is done."""
        return not self._undone(name, offset)

    def _undone(self, name: TopicPartition, offset: int) -> list[Fact]:
        return [
            fact for place, fact in enumerate(self.facts[name][offset]) if not self._is_done(name, offset, place, fact)
        ]

    def _is_done(self, name: TopicPartition, offset: int, place: int, fact: Fact) -> bool:
        """Whether its values or newer ones were applied, or are in a letter, or were left out as too old."""
        if fact.malformed:
            return (name, offset, place) in self.letters
        for attribute, serial in fact.serials.items():
            key = (fact.visitor, attribute)
            if self.highest.get(key, (0,))[0] >= serial or self.buried.get(key, 0) >= serial:
                continue
            if serial in self.ages.gone:
                continue
            if not self.values.has(key, serial) and not self.values.may_be_replaced(key, serial):
                return False
        return True

    def lost_by(self, name: TopicPartition, word: Word) -> int | None:
        """The first record that this metadata wrongly calls done."""
        left: list[int] = []
        lost = None
        for offset in self.open[name]:
            if offset >= word.until:
                left.append(offset)
            elif undone := self._undone(name, offset):
                left.append(offset)
                wrong = any(word.calls_done(offset, self.prints[fact.visitor], fact.epoch) for fact in undone)
                if lost is None and wrong:
                    lost = offset
        self.open[name] = left
        return lost


def _true_at(record: FakeRecord | None, fact: Fact) -> float | None:
    """When the event was true, as the event says, or else its record."""
    if fact.occurred is not None or record is None:
        return fact.occurred
    written = record.timestamp()[1]
    return None if written < 0 else written / 1_000


def serial_of(value: str) -> int:
    """The number of the event that a value is of."""
    return int(value.partition(".")[0])
