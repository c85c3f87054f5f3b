"""Shares of the quota: what is kept for a higher class stays there, to the last request."""

import pytest

from connector.admission.gate import Gate
from connector.admission.quota_shares import shares_of
from connector.events.change import Priority

HIGH, NORMAL, LOW = Priority


def test_each_class_stops_at_its_share() -> None:
    """At 80 of 100 low stops, at 90 normal does, and high has the rest."""
    shares = shares_of(100, 0.8, 0.9)
    assert shares is not None
    assert [shares.look(spent) for spent in (0, 79, 80, 89, 90, 100)] == [LOW, LOW, NORMAL, NORMAL, HIGH, HIGH]


def test_what_is_sent_between_two_looks_counts_at_once() -> None:
    """Wrong design: a class goes on until the ledger is looked at again, a second and 200 requests later."""
    shares = shares_of(100, 0.8, 0.9)
    assert shares is not None
    shares.look(77)
    assert [shares.spend() for _ in range(4)] == [LOW, LOW, NORMAL, NORMAL]
    assert shares.look(70) is LOW, "requests of the day before left the window"


def test_without_a_share_nothing_is_held_back() -> None:
    """By default every class may use all of the quota."""
    assert shares_of(100, 1.0, 1.0) is None
    gate = Gate(4)
    gate.window_filled(1_000_000)
    assert gate.lowest is LOW


@pytest.mark.parametrize(("limit", "most"), [(3, 1), (1, 1), (1_000_000, 100_000)])
def test_a_share_is_never_nothing(limit: int, most: int) -> None:
    """A tenth of three requests is one: a class that could never go would wait for ever."""
    shares = shares_of(limit, 0.1, 1.0)
    assert shares is not None
    assert shares.look(most - 1) is LOW
    assert shares.look(most) is not LOW
