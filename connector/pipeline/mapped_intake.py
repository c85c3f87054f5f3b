"""Takes in the records of topics that are not plain version 1: one may carry several changes, or wait for a schema."""

import enum
from typing import NamedTuple, Protocol

from connector.decoding import REPLAYED, MappedTopic
from connector.delivery.ages import is_too_old, linger_begin
from connector.delivery.offset_tracker import OffsetTracker
from connector.delivery.ports import Record
from connector.events.change import Change, Refused
from connector.formats import SchemaMissing
from connector.mapping import Item, Skip
from connector.pipeline.assignment import Assignment
from connector.pipeline.dead_letter_writer import DeadLetterWriter
from connector.pipeline.state import ReplicaState


class Taken(enum.Enum):
    """What came of a record."""

    TAKEN = enum.auto()
    WAITS = enum.auto()
    """Its schema is missing: it was not taken, and its partition is held."""
    ENDS = enum.auto()
    """It was taken, and the process must end."""


class Batch(NamedTuple):
    """What a batch's records add to what is counted by record."""

    events: int
    """Changes beyond one a record; each counts as an event."""
    skipped: int
    done_before: int


class Add(Protocol):
    """The coalescer's `add`, or what tells observers of it."""

    def __call__(
        self, change: Change, partition: OffsetTracker, record: Record, now: float, size: int, *, is_item: bool
    ) -> None:
        """Merge a change into its visitor's pending update."""
        ...


class MappedIntake:
    """Takes in one record after the other, and sums up each batch."""

    def __init__(self, state: ReplicaState, assignment: Assignment, dead_letters: DeadLetterWriter, add: Add) -> None:
        self._state = state
        self._assignment = assignment
        self._dead_letters = dead_letters
        self._add = add
        self._events = self._skipped = self._done_before = 0

    def end_batch(self) -> Batch:
        """Return what the batch adds, and begin the next."""
        batch = Batch(self._events, self._skipped, self._done_before)
        self._events = self._skipped = self._done_before = 0
        return batch

    def take(self, read: MappedTopic, record: Record, partition: OffsetTracker, *, recovering: bool) -> Taken:
        """Take a record in; `recovering`: what it asks for may be settled already."""
        try:
            outcome = read(record)
        except SchemaMissing as missing:
            self._assignment.holds.hold(partition, record.offset(), missing.schema_id)
            return Taken.WAITS
        except Refused as refused:
            goes_on = self._refuse(record, partition, refused, None, recovering=recovering)
            return Taken.TAKEN if goes_on else Taken.ENDS
        items: tuple[Item, ...] = (outcome,) if isinstance(outcome, Skip) else () if outcome is None else outcome.items
        self._skipped += not items
        if len(items) > 1:
            partition.carries_several()
        self._events += len(items) - 1 if items else 0
        size = len(record.value() or b"") // max(1, len(items))
        for place, item in enumerate(items):
            if isinstance(item, Skip):
                self._skip(read, item)
            elif isinstance(item, Refused):
                if not self._refuse(record, partition, item, place if read.is_list else None, recovering=recovering):
                    self._events -= len(items) - place - 1
                    return Taken.ENDS
            else:
                self._change(record, partition, item, size, is_item=read.is_list, recovering=recovering)
        return Taken.TAKEN

    def _skip(self, read: MappedTopic, skip: Skip) -> None:
        self._skipped += 1
        if skip.condition != REPLAYED:
            self._state.counters.skipped(read.name, skip.condition)

    def _refuse(
        self, record: Record, partition: OffsetTracker, refused: Refused, place: int | None, *, recovering: bool
    ) -> bool:
        """False when the process must end instead."""
        if recovering and partition.is_done(record.offset(), None, record.leader_epoch()):
            self._done_before += 1
            return True
        return self._dead_letters.record(record, partition, refused, place)

    def _change(
        self, record: Record, partition: OffsetTracker, change: Change, size: int, *, is_item: bool, recovering: bool
    ) -> None:
        state = self._state
        state.refused_limit.passed(1)
        now = state.now()
        if not change.attributes:
            self._skipped += 1
        elif recovering and self._assignment.is_settled(partition, record, change.visitor, now):
            self._done_before += 1
        elif (limit := state.oldest_wanted()) is not None and is_too_old(change, record, limit):
            state.expire(1)
        else:
            begin = linger_begin(record, state.config.linger, now, state.wall)
            self._add(change, partition, record, begin, size, is_item=is_item)
            state.coalescer.added(1, size)
