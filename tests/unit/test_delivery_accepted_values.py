"""The bounds of what is remembered; the property test holds what it says to a Target that keeps values."""

import math

from connector.delivery.accepted_values import ATTRIBUTE_BYTES, MOST_ATTRIBUTES, VISITOR_BYTES, AcceptedValues
from connector.delivery.offset_tracker import TopicPartition
from connector.events.change import Visitor

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)
ONE, TWO, THREE = (Visitor("pcId", name) for name in "123")


def _memory(seconds: float = 60.0, most: int = 100) -> AcceptedValues:
    accepted = AcceptedValues(seconds, most)
    accepted.open(-math.inf)
    return accepted


def _accept(
    accepted: AcceptedValues, visitor: Visitor, now: float, partition: TopicPartition = P0, **values: str
) -> None:
    accepted.accepted(visitor, values, [partition], now, now)


def test_the_visitor_that_was_accepted_longest_ago_goes_first() -> None:
    """Wrong design: the first that came goes, although it was accepted again a moment ago."""
    accepted = _memory(most=2)
    for now, visitor in enumerate((ONE, TWO, ONE, THREE)):
        _accept(accepted, visitor, now, a="x")
    known = [visitor for visitor in (ONE, TWO, THREE) if accepted.unchanged(visitor, {"a": "x"}, 4.0)]
    assert known == [ONE, THREE]
    assert accepted.size == 2 * (VISITOR_BYTES + ATTRIBUTE_BYTES)


def test_visitors_with_many_attributes_do_not_break_the_bound() -> None:
    """Wrong design: visitors alone are counted, and each may have a thousand attributes."""
    accepted = _memory(most=3)
    many = {f"a{number}": "x" for number in range(2 * MOST_ATTRIBUTES)}
    for visitor in (ONE, TWO, THREE):
        accepted.accepted(visitor, many, [P0], 0.0, 0.0)
    assert len(accepted) == 1
    assert accepted.unchanged(THREE, many, 0.0) == list(many)
    accepted.accepted(THREE, many | {f"b{number}": "x" for number in range(MOST_ATTRIBUTES * 3)}, [P0], 0.0, 0.0)
    assert (len(accepted), accepted.size) == (0, 0)


def test_what_is_over_leaves_by_itself() -> None:
    """Wrong design: visitors who never come again stay until the bound is reached."""
    accepted = _memory(seconds=60.0)
    for now in range(100):
        _accept(accepted, Visitor("pcId", f"v{now}"), float(now), a="x")
    assert len(accepted) == 61


def test_a_value_of_another_attribute_is_another_value() -> None:
    """Wrong design: the digest is of the value alone, and `b` is left out because `a` has the same."""
    accepted = _memory()
    _accept(accepted, ONE, 0.0, a="gold", b="silver")
    assert accepted.unchanged(ONE, {"a": "silver", "b": "gold"}, 1.0) == []
    assert accepted.unchanged(TWO, {"a": "gold"}, 1.0) == ()


def test_a_partition_takes_the_visitors_along_that_came_over_it_too() -> None:
    """One of a visitor's partitions is enough: its next owner writes that visitor."""
    accepted = _memory()
    _accept(accepted, ONE, 0.0, P0, a="x")
    _accept(accepted, ONE, 0.0, P1, b="x")
    _accept(accepted, TWO, 0.0, P0, a="x")
    _accept(accepted, THREE, 0.0, P1, a="x")
    accepted.release([P1])
    assert len(accepted) == 1
    assert accepted.unchanged(TWO, {"a": "x"}, 0.0) == ["a"]
    accepted.release([P0])
    assert (len(accepted), accepted.size) == (0, 0)
    _accept(accepted, ONE, 1.0, P0, a="x")
    assert accepted.unchanged(ONE, {"a": "x"}, 1.0) == ["a"]


def test_nothing_is_remembered_while_others_may_write() -> None:
    """Nor what was taken before that ended: it may have been written over before its answer came."""
    accepted = AcceptedValues(60.0, 100)
    _accept(accepted, ONE, 0.0, a="x")
    accepted.open(10.0)
    accepted.open(20.0)
    accepted.accepted(ONE, {"a": "x"}, [P0], 9.0, 11.0)
    assert len(accepted) == 0
    accepted.accepted(ONE, {"a": "x"}, [P0], 10.0, 11.0)
    assert accepted.unchanged(ONE, {"a": "x"}, 12.0) == ["a"]
    accepted.close()
    accepted.accepted(ONE, {"a": "x"}, [P0], 30.0, 30.0)
    assert (len(accepted), accepted.size) == (0, 0)
