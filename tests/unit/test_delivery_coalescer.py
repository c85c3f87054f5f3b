"""Order and slots, in small tables; the property test covers merging and offsets."""

import math

import pytest

from connector.delivery.ages import GATHER_SECONDS, linger_left
from connector.delivery.coalescer import Coalescer, Order
from connector.delivery.offset_tracker import OffsetTracker, Start, TopicPartition
from connector.delivery.schedule import REPEAT_ATTEMPTS
from connector.events.change import Change, Visitor
from tests.support.fakes import FakeRecord

PARTITION = OffsetTracker(TopicPartition("t", 0), Start(0))


def _repeat_failures(count: int, slots: int) -> Coalescer:
    """Visitors that failed too often to share the slots of the others."""
    coalescer = Coalescer(0.0, Order.OFFSET, slots)
    for number in range(count):
        change = Change(Visitor("pcId", str(number)), {"a": "1"})
        coalescer.add(change, PARTITION, FakeRecord(b"", number), 0.0, 10)
        coalescer.added(1, 10)
        coalescer.give_back(coalescer.take(0.0), 0.0, REPEAT_ATTEMPTS)
    return coalescer


def test_a_waiting_dead_letter_takes_no_slot_of_repeat_failures() -> None:
    """An unavailable dead-letter topic would take the few slots of repeat failures, and none would be retried."""
    coalescer = _repeat_failures(2, slots=4)
    first = coalescer.take(0.0)
    assert coalescer.due_in(0.0) == math.inf, "one in four slots is their limit"
    coalescer.dead_letter(first)
    assert coalescer.due_in(0.0) <= 0
    second = coalescer.take(0.0)
    coalescer.settle(first)
    assert coalescer.due_in(0.0) == math.inf
    coalescer.settle(second)
    assert (len(coalescer), coalescer.records, coalescer.size, coalescer.never_sent) == (0, 0, 0, 0)


def test_a_probe_is_taken_from_anywhere() -> None:
    """The first in the queue may all be bad: ten probes in order would all be of them."""
    coalescer = Coalescer(0.0, Order.OFFSET, 4)
    for number in range(1_000):
        change = Change(Visitor("pcId", str(number)), {"a": "1"})
        coalescer.add(change, PARTITION, FakeRecord(b"", 10 + number), 0.0, 10)
    probed = [int(coalescer.take_anywhere(0.0).visitor.id) for _ in range(10)]
    assert sum(number < 500 for number in probed) in range(3, 8)
    assert len(set(probed)) == 10


def _add(coalescer: Coalescer, visitor: str, offset: int, now: float = 0.0) -> None:
    change = Change(Visitor("pcId", visitor), {"a": str(offset)})
    coalescer.add(change, PARTITION, FakeRecord(b"", offset), now, 10)
    coalescer.added(1, 10)


def test_only_held_visitors_wait() -> None:
    """Wrong design: after a crash all visitors wait for a request's duration, not only those possibly in flight."""
    coalescer = Coalescer(0.0, Order.OFFSET, 4)
    coalescer.hold(Visitor("pcId", "held"), 10.0)
    for offset, visitor in enumerate(("held", "other", "third"), start=5_000):
        _add(coalescer, visitor, offset)
    assert coalescer.due_in(0.0) <= 0
    assert coalescer.take(0.0).visitor.id == "other"
    assert coalescer.due_in(0.0) <= 0
    assert coalescer.take_anywhere(0.0).visitor.id == "third", "a probe must not take the held one either"
    assert coalescer.due_in(0.0) == 10.0, "a worker that sleeps until the next is due must wake when the hold ends"


def test_a_held_update_goes_after_the_hold_merged_with_what_came_meanwhile() -> None:
    """Wrong design: a held update is forgotten, or a record that comes meanwhile makes a second update."""
    coalescer = Coalescer(0.0, Order.OFFSET, 4)
    coalescer.hold(Visitor("pcId", "held"), 10.0)
    _add(coalescer, "held", 5_100)
    assert coalescer.due_in(5.0) == 5.0
    _add(coalescer, "held", 5_101, 5.0)
    assert coalescer.due_in(9.5) == 0.5
    assert coalescer.due_in(10.0) <= 0
    taken = coalescer.take(10.0)
    assert (taken.records, dict(taken.attributes)) == (2, {"a": "5101"})
    assert coalescer.due_in(10.0) == math.inf


def test_a_held_update_is_dropped_with_its_partition() -> None:
    """Wrong design: a held update outlives a revoke, and is sent beside the next owner's."""
    coalescer = Coalescer(0.0, Order.OFFSET, 4)
    coalescer.hold(Visitor("pcId", "held"), 10.0)
    _add(coalescer, "held", 5_200)
    assert coalescer.due_in(0.0) > 0
    assert coalescer.drop_waiting([PARTITION]) == 1
    assert coalescer.due_in(20.0) == math.inf
    assert (len(coalescer), coalescer.records) == (0, 0)


@pytest.mark.parametrize(
    ("linger", "age", "left"),
    [
        (1.0, 0.0, 1.0),
        (1.0, 3_600.0, 1.0),  # A short linger is the same for a backlog: its records merge as new ones do.
        (GATHER_SECONDS, 5.0, GATHER_SECONDS),
        (3_600.0, 0.0, 3_600.0),
        (3_600.0, 1_800.0, 1_800.0),  # Wrong design: it restarts with each process, and nothing is ever sent.
        (3_600.0, 7_200.0, GATHER_SECONDS),  # Wrong design: a backlog is sent record by record, with nothing merged.
        (3_600.0, -50.0, 3_600.0),  # Wrong design: a producer whose clock is ahead makes a visitor wait longer.
    ],
)
def test_a_linger_counts_from_when_a_record_was_written(linger: float, age: float, left: float) -> None:
    """With a linger of an hour and a restart each half hour, one that counts from the read never ends."""
    assert linger_left(linger, age) == left


def test_the_oldest_of_a_partition_is_that_of_its_first_open_record() -> None:
    """Wrong design: the age is of the waiting updates, and ignores those in flight or merged."""
    partition = OffsetTracker(TopicPartition("t", 1), Start(0))
    coalescer = Coalescer(0.0, Order.OFFSET, 4)

    def add(visitor: str, offset: int) -> None:
        change = Change(Visitor("pcId", visitor), {"a": "1"})
        coalescer.add(change, partition, FakeRecord(b"", offset, timestamp_ms=1_000 * offset), 0.0, 10)

    assert coalescer.oldest_ms(partition) is None
    partition.open(0, None)
    assert coalescer.oldest_ms(partition) is None, "a dead letter has no update"
    for offset, visitor in enumerate("aba", start=1):
        add(visitor, offset)
    assert coalescer.oldest_ms(partition) == 1_000
    first = coalescer.take(0.0)
    add("a", 4)
    assert coalescer.oldest_ms(partition) == 1_000, "it is in flight, and the update after it is younger"
    coalescer.settle(first)
    assert coalescer.oldest_ms(partition) == 2_000


def test_a_retry_does_not_repeat_what_another_partition_replaced() -> None:
    """The newer value left with its partition, and its next owner sends it: an older one could land after that.

    Wrong design: of 1 and 3 (here) and 2 (the other topic, read last) the 3 is dropped with the 2, and 1 is sent again.
    """
    here, other = (OffsetTracker(TopicPartition(topic, 0), Start(0)) for topic in "tu")
    coalescer = Coalescer(0.0, Order.OFFSET, 4)

    def add(value: str, partition: OffsetTracker, offset: int) -> None:
        record = FakeRecord(b"", offset, topic=partition.name.topic)
        coalescer.add(Change(Visitor("pcId", "v"), {"a": value, value: "x"}), partition, record, 0.0, 10)
        coalescer.added(1, 10)

    add("1", here, 0)
    sent = coalescer.take(0.0)
    add("3", here, 1)
    add("2", other, 0)
    assert coalescer.drop_waiting([other]) == 1
    coalescer.give_back(sent, 0.0, 0)
    assert dict(coalescer.take(0.0).attributes) == {"1": "x", "3": "x"}
