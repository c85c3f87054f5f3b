"""Repeated crashes over one partition: skipped records were settled, and settled records do not come again.

Wrong designs that this catches: a range that includes one record too many, a visitor owed from its last record instead
of its first, metadata that is lost at a second crash, truncated metadata with its full range.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.delivery.offset_metadata import MAX_CHARACTERS
from connector.delivery.offset_tracker import OffsetAndMetadata, OffsetTracker, Start, TopicPartition, owed_in
from connector.events.change import Visitor

NAME = TopicPartition("t", 0)


@dataclass
class Pending:
    """A visitor's pending records in this process."""

    first: int
    offsets: list[int] = field(default_factory=list)


class Partition(RuleBasedStateMachine):
    """A log that outlives its readers, each of which starts at the last commit."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Visitor | None] = []
        self.settled: set[int] = set()
        self.stored = OffsetAndMetadata(0)
        self.known = 0
        """Offsets below which the last commit's settled records are known to it."""
        self.settled_then: set[int] = set()
        self.cut = False
        self._begin()

    def _begin(self) -> None:
        self.tracker = OffsetTracker(NAME, Start.at(self.stored))
        self.pending: dict[Visitor, Pending] = {}
        self.letters: list[int] = []

    @rule(numbers=st.lists(st.integers(0, 5), min_size=1, max_size=8))
    def produce(self, numbers: list[int]) -> None:
        """Visitors 1 to 5; 0 is a record that cannot be decoded."""
        self.log += [Visitor("pcId", str(number)) if number else None for number in numbers]

    @rule(count=st.integers(1, 8))
    def read(self, count: int) -> None:
        """Take some records; those that the metadata calls done must be."""
        for _ in range(min(count, len(self.log) - self.tracker.position)):
            offset = self.tracker.position
            visitor = self.log[offset]
            earlier = self.tracker.recovering
            if earlier is not None and earlier.is_done(offset, visitor):
                assert offset in self.settled, "skipped, and never settled"
            elif visitor is None:
                self.tracker.open(offset, None)
                self.letters.append(offset)
            else:
                self._take(offset, visitor)
            self.tracker.position = offset + 1

    def _take(self, offset: int, visitor: Visitor) -> None:
        mine = self.pending.get(visitor)
        if mine is None:
            mine = self.pending[visitor] = Pending(offset)
            self.tracker.open(offset, visitor)
        mine.offsets.append(offset)

    @precondition(lambda self: self.pending)
    @rule(draw=st.integers(0, 5))
    def accept(self, draw: int) -> None:
        """A visitor's update is accepted."""
        visitor = sorted(self.pending)[draw % len(self.pending)]
        mine = self.pending.pop(visitor)
        self.tracker.close(mine.first)
        self.settled.update(mine.offsets)

    @precondition(lambda self: self.letters)
    @rule(draw=st.integers(0, 5))
    def dead_letter(self, draw: int) -> None:
        """A dead letter is acknowledged."""
        offset = self.letters.pop(draw % len(self.letters))
        self.tracker.close(offset)
        self.settled.add(offset)

    @rule(limit=st.sampled_from([0, 34, 40, MAX_CHARACTERS]))
    def commit(self, limit: int) -> None:
        """The committed metadata; it must be true of every single record."""
        self.stored = self.tracker.to_commit(limit)
        offset = self.stored.offset
        assert self.settled >= set(range(offset))
        owed = owed_in(self.stored)
        for at in range(offset, len(self.log)):
            if owed is not None and owed.is_done(at, self.log[at]):
                assert at in self.settled
        if limit == MAX_CHARACTERS:
            self._says_all(offset)

    def _says_all(self, offset: int) -> None:
        """With room enough no settled record comes again, except of visitors owed from before it."""
        earlier = self.tracker.recovering
        fresh = OffsetTracker(NAME, Start.at(self.stored))
        for at in range(offset, self.tracker.position):
            visitor = self.log[at]
            said = fresh.recovering is not None and fresh.recovering.is_done(at, visitor)
            waiting = [*self.letters] if visitor is None else [p.first for v, p in self.pending.items() if v == visitor]
            assert said == (at < min(waiting, default=len(self.log)))
        for at in range(self.tracker.position, len(self.log)):
            before = earlier is not None and earlier.is_done(at, self.log[at])
            after = fresh.recovering is not None and fresh.recovering.is_done(at, self.log[at])
            assert before == after or self.log[at] in self.pending or self.letters

    @rule()
    def crash(self) -> None:
        """Kill -9: the next process knows only what was committed."""
        self._begin()

    @invariant()
    def never_past_a_gap(self) -> None:
        """No record below the watermark is unsettled."""
        assert self.settled >= set(range(self.tracker.watermark))


Partition.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestPartition = Partition.TestCase
