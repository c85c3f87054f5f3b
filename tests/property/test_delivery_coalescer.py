"""Coalescer and offsets against a model of plain lists, because their bugs need an unexpected order of events.

The model keeps every record of every assignment and folds from scratch; it shares nothing with the code but the rules.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.delivery.coalescer import Coalescer, Order
from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.delivery.schedule import REPEAT_ATTEMPTS, REPEAT_SLOTS
from connector.delivery.update import UPDATE_BYTES, WEIGH_AGAIN_BYTES, Update
from connector.events.change import Change, Priority, Visitor
from tests.support.fakes import FakeRecord

NAMES = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("u", 0)]
VISITORS = [Visitor("mbox3rdPartyId", "1"), Visitor("pcId", "1"), Visitor("pcId", "2")]
ATTRIBUTES = "ab"
LINGER = 1.0
SLOTS = 8


@dataclass(eq=False)
class Taken:
    """One record as the model keeps it."""

    tracker: OffsetTracker
    offset: int
    attributes: dict[str, str]
    when: float
    done: bool = False


@dataclass(eq=False)
class OffsetMetadata:
    """A visitor's update in the model: its records, in the order of arrival."""

    due: float
    attempts: int = 0
    records: list[Taken] = field(default_factory=list)
    values: dict[str, tuple[str, float, OffsetTracker]] = field(default_factory=dict)
    """Merged one by one, and cut with the partition that wrote them."""
    priority: Priority = Priority.LOW
    whole: bool = True
    """No partition was cut out of it, so folding its records must give its values."""

    def write(self, record: Taken, *, by_time: bool) -> None:
        """The order rule, one record at a time."""
        for name, value in record.attributes.items():
            if by_time and name in self.values and self.values[name][1] > record.when:
                continue
            self.values[name] = (value, record.when, record.tracker)

    def cut(self, trackers: list[OffsetTracker]) -> int:
        """Remove revoked partitions, with their records and the values that they wrote last."""
        kept = [record for record in self.records if record.tracker not in trackers]
        gone = len(self.records) - len(kept)
        self.whole = self.whole and not gone
        self.records = kept
        self.values = {name: value for name, value in self.values.items() if value[2] not in trackers}
        return gone

    def fold(self, *, by_time: bool) -> dict[str, str]:
        """The newest value of each attribute, by brute force."""
        result: dict[str, str] = {}
        for name in ATTRIBUTES:
            writers = [record for record in self.records if name in record.attributes]
            if writers:
                place = max(range(len(writers)), key=lambda at: (writers[at].when if by_time else 0.0, at))
                result[name] = writers[place].attributes[name]
        return result


class CoalescerMachine(RuleBasedStateMachine):
    """Random adds, takes, ends, revokes and reassignments; after each step model and code must agree."""

    order = Order.OFFSET
    priorities: tuple[Priority, ...] = (Priority.NORMAL,)

    def __init__(self) -> None:
        super().__init__()
        self.by_time = self.order is Order.EVENT_TIME
        self.coalescer = Coalescer(LINGER, self.order, SLOTS)
        self.now = 0.0
        self.serial = 0
        self.trackers: dict[TopicPartition, OffsetTracker] = {name: OffsetTracker(name) for name in NAMES}
        self.next_offset = dict.fromkeys(NAMES, 0)
        self.records: dict[OffsetTracker, list[Taken]] = {tracker: [] for tracker in self.trackers.values()}
        self.letters: list[Taken] = []
        self.pending: dict[Visitor, OffsetMetadata] = {}
        self.flying: dict[Visitor, tuple[Update, OffsetMetadata]] = {}
        self.detached: dict[OffsetTracker, int] = {}

    # Intake.

    def _open(self, draw: int) -> OffsetTracker | None:
        """Pick an assigned partition."""
        trackers = [tracker for tracker in self.trackers.values() if not tracker.revoking]
        return trackers[draw % len(trackers)] if trackers else None

    def _take_record(self, tracker: OffsetTracker, attributes: dict[str, str], when: float, gap: int) -> Taken:
        """Read the next record; offsets have gaps, as in a compacted topic."""
        record = Taken(tracker, self.next_offset[tracker.name] + gap, attributes, when)
        self.next_offset[tracker.name] = record.offset + 1
        self.records[tracker].append(record)
        return record

    @rule(
        events=st.lists(
            st.tuples(
                st.sampled_from(VISITORS),
                st.integers(0, 2),
                st.sampled_from(["a", "b", "ab"]),
                st.one_of(st.none(), st.integers(0, 5)),
                st.integers(0, 5),
                st.integers(0, 5),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def add(self, events: list[tuple[Visitor, int, str, int | None, int, int]]) -> None:
        """Add records of visitors; without a time of its own the record's counts."""
        for visitor, draw, names, when, stamp, rank in events:
            self._add(visitor, draw, names, when, stamp, self.priorities[rank % len(self.priorities)])

    def _add(self, visitor: Visitor, draw: int, names: str, when: int | None, stamp: int, priority: Priority) -> None:
        tracker = self._open(draw)
        if tracker is None:
            return
        self.serial += 1
        attributes = {name: f"{name}{self.serial}" for name in names}
        record = self._take_record(tracker, attributes, float(stamp if when is None else when), stamp % 2)
        said = None if when is None else datetime.fromtimestamp(when, UTC).isoformat()
        change = Change(visitor, dict(attributes), said, "", priority)
        raw = FakeRecord(
            str(self.serial).encode(),
            record.offset,
            topic=tracker.name.topic,
            partition=tracker.name.partition,
            timestamp_ms=stamp * 1_000,
        )
        self.coalescer.add(change, tracker, raw, self.now, 50)
        self.coalescer.added(1, 50)
        tracker.position = record.offset + 1
        owed = self.pending.setdefault(visitor, OffsetMetadata(self.now + LINGER))
        owed.priority = min(owed.priority, priority)
        owed.records.append(record)
        owed.write(record, by_time=self.by_time)

    @rule(draw=st.integers(0, 5))
    def skip(self, draw: int) -> None:
        """Add a tombstone."""
        tracker = self._open(draw)
        if tracker is not None:
            record = self._take_record(tracker, {}, 0.0, 0)
            record.done = True
            tracker.position = record.offset + 1

    @rule(draw=st.integers(0, 5))
    def refuse(self, draw: int) -> None:
        """Add a malformed record, which waits for its dead letter."""
        tracker = self._open(draw)
        if tracker is not None:
            record = self._take_record(tracker, {}, 0.0, 0)
            tracker.open(record.offset, None)
            tracker.position = record.offset + 1
            self.letters.append(record)

    @precondition(lambda self: self.letters)
    @rule(draw=st.integers(0, 50))
    def acknowledge(self, draw: int) -> None:
        """Write a dead letter; on a detached partition it settles nothing."""
        record = self.letters.pop(draw % len(self.letters))
        if not record.tracker.detached:
            record.tracker.close(record.offset)
            record.done = True

    # Delivery.

    @rule(seconds=st.sampled_from([0.1, 1.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    def _may_go(self, lowest: Priority = Priority.LOW) -> list[OffsetMetadata]:
        """The updates that may go when they are due, from all of them."""
        repeats_in_flight = sum(owed.attempts >= REPEAT_ATTEMPTS for _, owed in self.flying.values())
        return [
            owed
            for visitor, owed in self.pending.items()
            if visitor not in self.flying
            and owed.priority <= lowest
            and (owed.attempts < REPEAT_ATTEMPTS or repeats_in_flight < SLOTS // REPEAT_SLOTS)
        ]

    def _due(self, lowest: Priority = Priority.LOW) -> float:
        """When the first of them is due."""
        return min((owed.due for owed in self._may_go(lowest)), default=math.inf)

    @precondition(lambda self: self.pending)
    @rule(lowest=st.sampled_from(Priority), anywhere=st.booleans())
    def take(self, lowest: Priority, anywhere: bool) -> None:  # noqa: FBT001 - hypothesis hands it over
        """Take an update as soon as one is due; it has the newest values of that moment, and the highest class."""
        if self._due(lowest) == math.inf:
            assert self.coalescer.due_in(self.now, lowest) == math.inf
            return
        self.now = max(self.now, self._due(lowest))
        assert self.coalescer.due_in(self.now, lowest) <= 0
        due = [owed for owed in self._may_go(lowest) if owed.due <= self.now]
        update = (self.coalescer.take_anywhere if anywhere else self.coalescer.take)(self.now, lowest)
        assert update.visitor not in self.flying, "two in flight for one visitor"
        owed = self.pending.pop(update.visitor)
        assert owed in due
        assert update.priority is owed.priority
        assert anywhere or owed.priority == min(each.priority for each in due), "a higher class waits"
        assert dict(update.attributes) == {name: value for name, (value, _, _) in owed.values.items()}
        if owed.whole:
            assert dict(update.attributes) == owed.fold(by_time=self.by_time)
        self.flying[update.visitor] = (update, owed)

    @precondition(lambda self: self.flying)
    @rule(draw=st.integers(0, 50))
    def settle(self, draw: int) -> None:
        """An update was accepted, or its dead letter was written."""
        update, owed = self.flying.pop(sorted(self.flying)[draw % len(self.flying)])
        assert update.records == len(owed.records)
        self.coalescer.settle(update)
        for record in owed.records:
            record.done = True
        follower = self.pending.get(update.visitor)
        if self.by_time and follower is not None:
            # Values older than those just sent are not sent after them.
            for name, (_, when, _) in owed.values.items():
                if name in follower.values and follower.values[name][1] < when:
                    del follower.values[name]
                    follower.whole = False

    @precondition(lambda self: self.flying)
    @rule(draw=st.integers(0, 50), delay=st.sampled_from([0.0, 0.5, 5.0]), failed=st.integers(0, 2))
    def give_back(self, draw: int, delay: float, failed: int) -> None:
        """An update failed and is retried, merged with what came meanwhile."""
        visitor = sorted(self.flying)[draw % len(self.flying)]
        update, owed = self.flying.pop(visitor)
        attempts = owed.attempts + failed
        dropped = self.coalescer.give_back(update, self.now + delay, attempts)
        newer = self.pending.pop(visitor, None)
        if newer is not None:
            owed.records += newer.records
            owed.priority = min(owed.priority, newer.priority)
            owed.whole = owed.whole and newer.whole
            for name, value in newer.values.items():
                if not (self.by_time and name in owed.values and owed.values[name][1] > value[1]):
                    owed.values[name] = value
        owed.due, owed.attempts = self.now + delay, attempts
        assert dropped == owed.cut([tracker for tracker in self.trackers.values() if tracker.revoking])
        if owed.records:
            self.pending[visitor] = owed

    # Rebalance.

    def _cut_waiting(self, going: list[OffsetTracker]) -> int:
        gone = 0
        for visitor, owed in list(self.pending.items()):
            if visitor in self.flying:
                # What the next owner will send is not sent from here in an older form.
                _, flying = self.flying[visitor]
                for name, (_, when, tracker) in owed.values.items():
                    older = flying.values.get(name)
                    if older is None or tracker not in going or older[2] in going:
                        continue
                    if not (self.by_time and older[1] > when):
                        del flying.values[name]
                        flying.whole = False
            gone += owed.cut(going)
            if not owed.records:
                del self.pending[visitor]
        return gone

    @precondition(lambda self: self.serial % 3 == 0)
    @rule(picked=st.sets(st.sampled_from(NAMES), min_size=1, max_size=2))
    def begin_revoke(self, picked: set[TopicPartition]) -> None:
        """The group revokes partitions: their pending updates are dropped."""
        going = [self.trackers[name] for name in sorted(picked) if name in self.trackers]
        for tracker in going:
            tracker.revoking = True
        assert self.coalescer.drop_waiting(going) == self._cut_waiting(going)

    def _detach(self, going: list[OffsetTracker]) -> None:
        assert self.coalescer.drop_flying(going) == sum(owed.cut(going) for _, owed in self.flying.values())
        for tracker in going:
            tracker.detached = True
            self.detached[tracker] = tracker.watermark
            del self.trackers[tracker.name]
            if tracker.watermark >= 0:
                self.next_offset[tracker.name] = tracker.watermark

    @precondition(lambda self: any(tracker.revoking for tracker in self.trackers.values()))
    @rule()
    def end_revoke(self) -> None:
        """The group stops waiting."""
        self._detach([tracker for tracker in self.trackers.values() if tracker.revoking])

    @precondition(lambda self: self.serial % 5 == 0)
    @rule(name=st.sampled_from(NAMES))
    def lose(self, name: TopicPartition) -> None:
        """A partition is lost at once."""
        if name in self.trackers:
            going = [self.trackers[name]]
            assert self.coalescer.drop_waiting(going) == self._cut_waiting(going)
            self._detach(going)

    @precondition(lambda self: len(self.trackers) < len(NAMES))
    @rule(name=st.sampled_from(NAMES))
    def reassign(self, name: TopicPartition) -> None:
        """A partition is assigned (again), from the committed offset on."""
        if name not in self.trackers:
            tracker = self.trackers[name] = OffsetTracker(name)
            self.records[tracker] = []

    # Invariants.

    @invariant()
    def commits_exactly_what_is_done(self) -> None:
        """The watermark is the first unsettled record, or the position: lower repeats, higher loses."""
        for tracker in self.trackers.values():
            open_offsets = [record.offset for record in self.records[tracker] if not record.done]
            assert tracker.watermark == min(open_offsets, default=tracker.position)

    @invariant()
    def receipts_of_a_detached_assignment_change_nothing(self) -> None:
        """The watermark of an ended assignment stays, whatever settles later."""
        for tracker, committable in self.detached.items():
            assert tracker.watermark == committable

    @invariant()
    def counts_agree(self) -> None:
        """Pending is counted per record, waiting and in flight per update."""
        flying = [owed for _, owed in self.flying.values()]
        assert self.coalescer.records == sum(len(owed.records) for owed in [*self.pending.values(), *flying])
        assert self.coalescer.waiting == len(self.pending)
        for priority in Priority:
            its = [owed for owed in self.pending.values() if owed.priority is priority]
            assert self.coalescer.waiting_of(priority) == len(its)
        assert self.coalescer.in_flight == len(self.flying)
        assert len(self.coalescer) == len(self.pending) + len(self.flying)

    @invariant()
    def size_follows_what_is_held(self) -> None:
        """A size that only grows pauses for ever; one that omits something bounds nothing."""
        size, updates = self.coalescer.size, len(self.coalescer)
        assert UPDATE_BYTES * updates <= size <= (2 * UPDATE_BYTES + 2 * WEIGH_AGAIN_BYTES) * updates

    @invariant()
    def a_record_is_kept_as_it_came_only_while_it_is_all(self) -> None:
        """Then its dead letter is the whole change; otherwise a letter would hide what was merged into it."""
        held = [(update, owed.records) for update, owed in self.flying.values()]
        waiting = self.coalescer._pending  # noqa: SLF001 - nobody else has what waits
        held += [(waiting[visitor], owed.records) for visitor, owed in self.pending.items()]
        for update, records in held:
            if update.single_record is not None and records:
                (record,) = records
                said = {name: f"{name}{(update.single_record[1] or b'').decode()}" for name in record.attributes}
                assert update.attributes == said == record.attributes

    @invariant()
    def nothing_grows_with_coalesced_records(self) -> None:
        """A partition holds one entry for each update and letter, however many records came."""
        for tracker in self.trackers.values():
            if not tracker.revoking:
                letters = sum(record.tracker is tracker for record in self.letters)
                assert len(tracker._open) <= len(self.coalescer) + letters  # noqa: SLF001 - the bound is on this very dict

    @invariant()
    def says_when_the_next_may_go(self) -> None:
        """Due is the earliest due time: a later one would delay work, an earlier one would spin."""
        for lowest in Priority:
            assert self.coalescer.due_in(self.now, lowest) == self._due(lowest) - self.now

    @invariant()
    def knows_what_is_in_flight(self) -> None:
        """A revoke waits for exactly the partitions with updates in flight."""
        for tracker in self.trackers.values():
            flying = any(record.tracker is tracker for _, owed in self.flying.values() for record in owed.records)
            assert self.coalescer.is_flying([tracker]) == flying


class EventTimeMachine(CoalescerMachine):
    """The same in event-time order."""

    order = Order.EVENT_TIME


class PriorityMachine(CoalescerMachine):
    """The same with three classes: a merged update has the highest of its events, and goes in that one's turn."""

    priorities = tuple(Priority)


_SETTINGS = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestByOffset = CoalescerMachine.TestCase
TestByOffset.settings = _SETTINGS
TestByEventTime = EventTimeMachine.TestCase
TestByEventTime.settings = _SETTINGS
TestByPriority = PriorityMachine.TestCase
TestByPriority.settings = _SETTINGS
