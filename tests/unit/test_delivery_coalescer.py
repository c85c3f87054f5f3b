"""Turns and slots, in small tables; what merges and what it stands for is the property test's."""

import math

from connector.delivery.coalescer import SUSPECT_ATTEMPTS, Coalescer, Order
from connector.delivery.offsets import PartitionOffsets, Start, TopicPartition
from connector.events.change import Change, Visitor
from tests.support.fakes import FakeRecord

PARTITION = PartitionOffsets(TopicPartition("t", 0), Start(0))


def _suspects(count: int, slots: int) -> Coalescer:
    """So many visitors whose updates failed too often to share the slots of the others."""
    coalescer = Coalescer(0.0, Order.OFFSET, slots)
    for number in range(count):
        change = Change(Visitor("pcId", str(number)), {"a": "1"})
        coalescer.add(change, PARTITION, FakeRecord(b"", number), 0.0, 10)
        coalescer.added(1, 10)
        coalescer.give_back(coalescer.take(0.0), 0.0, SUSPECT_ATTEMPTS)
    return coalescer


def test_a_waiting_dead_letter_takes_no_slot_of_others_that_failed() -> None:
    """A dead-letter topic that is down would keep the few slots of those that failed, and none would be tried again."""
    coalescer = _suspects(2, slots=4)
    first = coalescer.take(0.0)
    assert coalescer.due_in(0.0) == math.inf, "one in four slots is all that they get"
    coalescer.bury(first)
    assert coalescer.due_in(0.0) <= 0
    second = coalescer.take(0.0)
    coalescer.settle(first)
    assert coalescer.due_in(0.0) == math.inf
    coalescer.settle(second)
    assert (len(coalescer), coalescer.records, coalescer.size, coalescer.untried) == (0, 0, 0, 0)


def test_a_probe_comes_from_anywhere() -> None:
    """Those in front may all be bad: ten probes one after the other would all ask of the same corner."""
    coalescer = Coalescer(0.0, Order.OFFSET, 4)
    for number in range(1_000):
        change = Change(Visitor("pcId", str(number)), {"a": "1"})
        coalescer.add(change, PARTITION, FakeRecord(b"", 10 + number), 0.0, 10)
    probed = [int(coalescer.take_anywhere(0.0).visitor.id) for _ in range(10)]
    assert sum(number < 500 for number in probed) in range(3, 8)
    assert len(set(probed)) == 10
