"""How old a change is, and what follows: how long its update lingers, and whether it is sent at all. Pure."""

from collections.abc import Callable

from connector.delivery.ports import Record
from connector.delivery.update import NO_TIME
from connector.events.change import Change

GATHER_SECONDS = 10.0
"""A record that is read late waits for others at least this long, if the linger is as long."""


def linger_left(linger: float, age: float) -> float:
    """Seconds that a record of this age still waits for others.

    A linger counts from when the record was written: else a process that is restarted more often than a linger of an
    hour would never send. Records of a backlog still wait for a while, in which those behind them are read and merged.
    """
    return max(min(linger, GATHER_SECONDS), linger - max(0.0, age))


def linger_begin(record: Record, linger: float, now: float, wall: Callable[[], float]) -> float:
    """From when a record's linger counts, by the loop's clock.

    `now` is that clock's time. The log's clock is the wall's: `wall` tells its time, in seconds since the epoch, and is
    asked only where it matters.
    """
    written = record.timestamp()[1]
    if linger <= GATHER_SECONDS or written < 0:
        return now
    return now + linger_left(linger, wall() - written / 1_000) - linger


def true_at(change: Change, record: Record) -> float:
    """When a change was true, in seconds since the epoch: as it says, else when its record was written."""
    said = change.occurred_at
    return record.timestamp()[1] / 1000 if said is None else said.timestamp()


def is_too_old(change: Change, record: Record, limit: float) -> bool:
    """Whether it was true before `limit`; a record without a time has no age."""
    return NO_TIME != true_at(change, record) < limit
