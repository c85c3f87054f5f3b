"""What is left out of a request against a Target that keeps values, since a wrong one shows only after a rare order.

The model remembers by plain names and values; it shares nothing with the code but the rules.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connector.delivery.accepted_values import ATTRIBUTE_BYTES, VISITOR_BYTES, AcceptedValues
from connector.delivery.coalescer import Coalescer, Order
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import OffsetTracker, TopicPartition
from connector.delivery.selection import Selection
from connector.delivery.update import Update
from connector.events.change import Change, Visitor
from tests.support.fakes import FakeRecord

SECONDS = 10.0
HOMES = {Visitor("pcId", "1"): 0, Visitor("pcId", "2"): 0, Visitor("mbox3rdPartyId", "1"): 1}
"""Visitors, and the partition that their events come over."""
ATTRIBUTES = st.dictionaries(st.sampled_from("ab"), st.sampled_from(["x", "y"]), min_size=1)
VISITORS = st.sampled_from(list(HOMES))
Key = tuple[Visitor, str]


@dataclass(eq=False)
class Sent:
    """A request on the wire: what it carries, and what was left out of it."""

    update: Update
    values: dict[str, str]
    parts: int
    at: float


@dataclass
class Target:
    """The endpoint: the value of each attribute."""

    values: dict[Key, str] = field(default_factory=dict)

    def apply(self, visitor: Visitor, values: dict[str, str]) -> None:
        """Set them."""
        self.values |= {(visitor, name): value for name, value in values.items()}


class AcceptedValuesMachine(RuleBasedStateMachine):
    """One replica of a topic with two partitions, whose other owners write what they like while they have one."""

    order = Order.OFFSET

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.serial = 0
        self.target = Target()
        self.coalescer = Coalescer(0.0, self.order, 8)
        self.accepted = AcceptedValues(SECONDS, 100)
        self.accepted.open(0.0)
        self.selection = Selection(self.accepted, 0.0)
        self.known: dict[Key, tuple[str, float]] = {}
        self.wire: dict[Visitor, Sent] = {}
        self.trackers = {number: self._assign(number) for number in (0, 1)}

    def _assign(self, number: int) -> OffsetTracker:
        return OffsetTracker(TopicPartition("t", number))

    def _forget(self, visitor: Visitor) -> None:
        self.known = {key: value for key, value in self.known.items() if key[0] != visitor}

    @rule(visitor=VISITORS, attributes=ATTRIBUTES, when=st.integers(0, 9))
    def event(self, visitor: Visitor, attributes: dict[str, str], when: int) -> None:
        """A record comes; by event time it may be older than what was sent."""
        self.serial += 1
        occurred = datetime.fromtimestamp(1_000 + when, UTC).isoformat()
        record = FakeRecord(b"", self.serial)
        change = Change(visitor, dict(attributes), occurred)
        self.coalescer.add(change, self.trackers[HOMES[visitor]], record, self.now, 10)
        self.coalescer.added(1, 10)

    @precondition(lambda self: self.coalescer.due_in(self.now) <= 0)
    @rule()
    def take(self) -> None:
        """What is left out is what Target has, and all of that is."""
        update = self.coalescer.take(self.now)
        visitor, whole = update.visitor, dict(update.attributes)
        values, ended = self.selection.of(update, self.now, 0.0)
        left_out = whole.keys() - values.keys()
        for name in left_out:
            assert self.target.values.get((visitor, name)) == whole[name], "Target has another value"
        expected = {
            name
            for name, value in whole.items()
            if (known := self.known.get((visitor, name))) and known[0] == value and self.now - known[1] <= SECONDS
        }
        assert left_out == expected
        assert dict(update.attributes) == whole, "it is left out of the request, not of the update"
        if ended is not None:
            assert ended is Done.UNCHANGED
            assert whole
            assert not values
            self.coalescer.settle(update)
            return
        self.accepted.sent(visitor, values)
        for name in values:
            self.known.pop((visitor, name), None)
        self.wire[visitor] = Sent(update, dict(values), len(update.parts), self.now)

    def _answered(self, draw: int) -> Sent:
        return self.wire.pop(list(self.wire)[draw % len(self.wire)])

    @precondition(lambda self: self.wire)
    @rule(draw=st.integers(0, 5))
    def accept(self, draw: int) -> None:
        """Target took it, and said so."""
        sent = self._answered(draw)
        visitor = sent.update.visitor
        self.target.apply(visitor, sent.values)
        if sent.values and len(sent.update.parts) == sent.parts:
            names = [tracker.name for tracker in sent.update.parts]
            self.accepted.accepted(visitor, sent.values, names, sent.at, self.now)
            self.known |= {(visitor, name): (value, self.now) for name, value in sent.values.items()}
        self.coalescer.settle(sent.update)

    @precondition(lambda self: self.wire)
    @rule(draw=st.integers(0, 5), is_applied=st.booleans())
    def lose(self, draw: int, *, is_applied: bool) -> None:
        """No answer: it was applied or not, and goes again with what came meanwhile."""
        sent = self._answered(draw)
        if is_applied:
            self.target.apply(sent.update.visitor, sent.values)
        self.coalescer.give_back(sent.update, self.now, 0)

    @precondition(lambda self: self.wire)
    @rule(draw=st.integers(0, 5))
    def reject(self, draw: int) -> None:
        """A dead letter: what Target has of the visitor, nobody knows."""
        sent = self._answered(draw)
        self.accepted.forget(sent.update.visitor)
        self._forget(sent.update.visitor)
        self.coalescer.settle(sent.update, is_accepted=False)

    @rule(number=st.sampled_from([0, 1]), visitor=VISITORS, attributes=ATTRIBUTES)
    def move(self, number: int, visitor: Visitor, attributes: dict[str, str]) -> None:
        """The partition goes to another replica, which writes a visitor of it, and comes back."""
        gone = self.trackers[number]
        gone.revoke()
        self.coalescer.drop_waiting([gone])
        self.coalescer.drop_flying([gone])
        gone.detach()
        self.accepted.release([gone.name])
        for its, home in HOMES.items():
            if home == number:
                self._forget(its)
        if HOMES[visitor] == number and visitor not in self.wire:
            self.target.apply(visitor, attributes)
        self.trackers[number] = self._assign(number)

    @rule(seconds=st.sampled_from([0.5, 6.0, 11.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @invariant()
    def holds_no_more_than_what_is_known(self) -> None:
        """Nothing stays of a visitor that is forgotten, and the size is that of what is there."""
        count = len(self.accepted)
        assert count <= len({visitor for visitor, _ in self.known})
        assert (VISITOR_BYTES + ATTRIBUTE_BYTES) * count <= self.accepted.size
        assert self.accepted.size <= VISITOR_BYTES * count + ATTRIBUTE_BYTES * len(self.known)


class EventTimeMachine(AcceptedValuesMachine):
    """The same where the newest by event time wins."""

    order = Order.EVENT_TIME


TestOffsetOrder = AcceptedValuesMachine.TestCase
TestOffsetOrder.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestEventTimeOrder = EventTimeMachine.TestCase
TestEventTimeOrder.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
