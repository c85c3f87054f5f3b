"""What is true of the records, whatever any replica knows; and the small notes that the oracle judges by."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from connector.delivery import owed
from connector.delivery.offsets import OffsetAndMetadata, TopicPartition
from connector.pipeline import Pipeline, PipelineConfig
from tests.simulation.timeline import Process

Key = tuple[str, str]
"""A visitor and an attribute."""


class Wrong(AssertionError):
    """An invariant does not hold."""


class Fact(NamedTuple):
    """What a record is: `visitor` is empty for one that is skipped; `malformed` for one that cannot be read."""

    visitor: str
    serials: Mapping[str, int]
    malformed: bool = False


class Word:
    """What a commit says is done."""

    __slots__ = ("_owed", "offset", "until")

    def __init__(self, where: OffsetAndMetadata) -> None:
        self.offset = max(0, where.offset)
        said = owed.decode(where.offset, where.metadata)
        self._owed = said.firsts if said is not None else {}
        self.until = said.until if said is not None else self.offset

    def calls_done(self, offset: int, print_: int) -> bool:
        """Whether the record of the visitor with this fingerprint is done, by this word; 0: malformed."""
        if offset < self.offset:
            return True
        if offset >= self.until:
            return False
        first = self._owed.get(print_)
        return first is None or offset < first


@dataclass(eq=False)
class Stay:
    """One assignment of a partition."""

    number: int
    name: TopicPartition
    start: Word
    revoking: bool = False
    taken: int = 0
    newest: dict[Key, int] = field(default_factory=dict)
    sent: dict[Key, int] = field(default_factory=dict)
    accepted: dict[Key, tuple[int, float]] = field(default_factory=dict)
    """The newest accepted value, and when its replica learnt it."""
    letters: dict[int, float] = field(default_factory=dict)
    """When the replica learnt that a record's letter is written."""
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
    """A replica, as the oracle watches it."""

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
    """Until when any answer asked it to wait."""
    open_since: float | None = None
    sent_at: float = 0.0
    heard_at: float = 0.0
    failing: dict[str, float] = field(default_factory=dict)
    """Since when a visitor does, without an end until now."""
    failed: dict[str, float] = field(default_factory=dict)
    """When it last did."""
    firsts: set[str] = field(default_factory=set)
    """Whose first attempt failed since anyone got through."""


class Truth:
    """Each record, and what became of it."""

    def __init__(self, names: Sequence[TopicPartition]) -> None:
        self.facts: dict[TopicPartition, list[Fact]] = {name: [] for name in names}
        self.prints: dict[str, int] = {"": 0}
        """The fingerprint of a visitor."""
        self.where: dict[int, tuple[TopicPartition, int]] = {}
        """The record that a value is of."""
        self.open: dict[TopicPartition, list[int]] = {name: [] for name in names}
        """Records that are not known to be done yet."""
        self.expected: dict[Key, int] = {}
        self.profile: dict[Key, int] = {}
        """What the endpoint holds."""
        self.highest: dict[Key, tuple[int, int]] = {}
        """The newest value that was ever applied, and the number of its stay."""
        self.buried: dict[Key, int] = {}
        """The newest value in a dead letter."""
        self.letters: set[tuple[TopicPartition, int]] = set()
        """Records that have a letter of their own."""

    def produced(self, name: TopicPartition, fact: Fact) -> None:
        """A record was appended."""
        facts = self.facts[name]
        offset = len(facts)
        facts.append(fact)
        if fact.visitor and fact.visitor not in self.prints:
            self.prints[fact.visitor] = zlib.crc32(f"mbox3rdPartyId\0{fact.visitor}".encode())
        for attribute, serial in fact.serials.items():
            self.where[serial] = (name, offset)
            self.expected[fact.visitor, attribute] = serial
        if fact.visitor or fact.malformed:
            self.open[name].append(offset)

    def is_done(self, name: TopicPartition, offset: int) -> bool:
        """Whether its values or newer ones were applied, or are in a letter."""
        fact = self.facts[name][offset]
        if fact.malformed:
            return (name, offset) in self.letters
        for attribute, serial in fact.serials.items():
            key = (fact.visitor, attribute)
            if self.highest.get(key, (0,))[0] < serial and self.buried.get(key, 0) < serial:
                return False
        return True

    def lost_by(self, name: TopicPartition, word: Word) -> int | None:
        """The first record that this word calls done and that is not."""
        left: list[int] = []
        lost = None
        for offset in self.open[name]:
            if offset >= word.until:
                left.append(offset)
            elif not self.is_done(name, offset):
                left.append(offset)
                if lost is None and word.calls_done(offset, self.prints[self.facts[name][offset].visitor]):
                    lost = offset
        self.open[name] = left
        return lost


def serial_of(value: str) -> int:
    """The number of the event that a value is of."""
    return int(value.partition(".")[0])
