"""The state that the ledger's records fold to: the same for every replica that reads them in the log's order.

It knows one clock only, the brokers' append times, which the records bring along.
"""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass

from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve, Return

Key = tuple[str, int]
"""A holder and the number of its lease; an empty holder for what was booked by hand."""


@dataclass(slots=True)
class Lease:
    """What counts now: `updates` until `expires`; it was made at `since` and may be spent until `ends`."""

    granted: int
    """What it was made with."""
    updates: int
    since: float
    ends: float
    expires: float
    name: str


@dataclass(frozen=True, slots=True)
class Participant:
    """Who asked last when, with how many partitions."""

    at: float
    held: float
    weight: int
    name: str = ""
    limit: int = 0
    window: float = 0.0
    """0: not told."""


class Ledger:
    """Updates that count now, and when they cease to; times are seconds of the brokers' clocks since the epoch."""

    __slots__ = ("_expiries", "askers", "leases", "now", "spends", "used")

    def __init__(self) -> None:
        self.now = -math.inf
        """The latest append time; it never goes back, so that all replicas drop a lease at the same record."""
        self.used = 0
        self.leases: dict[Key, Lease] = {}
        self.askers: dict[str, Participant] = {}
        self.spends = 0
        self._expiries: list[tuple[float, Key]] = []

    def apply(self, record: Record, appended: float) -> int:
        """Fold the next record; returns how many updates it was granted, for a reserve."""
        self.now = max(self.now, appended)
        self._expire()
        if isinstance(record, Reserve):
            return self._reserve(record)
        if isinstance(record, Return):
            self._return(record)
            return 0
        self.spends += 1
        self._book(("", self.spends), record.updates, 0.0, record.counted, record.note)
        return 0

    def free(self, limit: int, now: float) -> int:
        """How many updates the next reserve would be granted if it were appended now."""
        return limit - self.used + self.until(now)

    def until(self, when: float) -> int:
        """How many updates come free by then."""
        return sum(self.leases[key].updates for key in self._expiring(when))

    def _expiring(self, when: float) -> set[Key]:
        """The leases that cease to count by then: only their part of the heap is visited, not a whole day of leases."""
        heap, found, left = self._expiries, set(), [0]
        while left:
            index = left.pop()
            if index < len(heap) and heap[index][0] <= when:
                expires, key = heap[index]
                lease = self.leases.get(key)
                if lease is not None and lease.expires == expires:
                    found.add(key)
                left += (2 * index + 1, 2 * index + 2)
        return found

    def next_release(self) -> tuple[float, int] | None:
        """When the next lease ceases to count, and how many updates it has; None when nothing is booked."""
        while self._expiries:
            expires, key = self._expiries[0]
            lease = self.leases.get(key)
            if lease is not None and lease.expires == expires:
                return expires, lease.updates
            heapq.heappop(self._expiries)  # Returned, or it expires earlier by another entry.
        return None

    def active(self, now: float) -> Mapping[str, int]:
        """The weights of those who asked lately, and so are likely to send; the others leave their share to them."""
        self.askers = {holder: asker for holder, asker in self.askers.items() if now - asker.at <= 2 * asker.held}
        return {holder: asker.weight for holder, asker in self.askers.items()}

    def differing(self, terms: QuotaPolicy, now: float, who: str = "") -> list[Participant]:
        """Those but `who` who asked lately under another limit or for another window."""
        active = self.active(now)
        return [
            asker
            for holder, asker in self.askers.items()
            if holder in active and holder != who
            if asker.limit != terms.limit or asker.window not in (0.0, terms.window)
        ]

    def _reserve(self, record: Reserve) -> int:
        if record.weight:
            self.askers[record.holder] = Participant(
                *(self.now, record.held, record.weight),
                *(record.name, record.limit, record.window),
            )
        key = (record.holder, record.lease)
        granted = min(record.updates, max(0, record.limit - self.used))
        if key in self.leases or not granted:
            return 0  # A record that was written twice gives nothing twice.
        self._book(key, granted, record.held, record.counted, record.name)
        return granted

    def _return(self, record: Return) -> None:
        if record.leaves:
            self.askers.pop(record.holder, None)
        key = (record.holder, record.lease)
        lease = self.leases.get(key)
        if lease is None:
            return  # It came when the lease did not count any more.
        # By what was granted, not by what is left: a record that was written twice must take nothing off twice.
        spent = min(lease.updates, max(0, lease.granted - record.unused))
        self.used -= lease.updates - spent
        lease.updates = spent
        lease.ends = min(lease.ends, self.now)
        if not lease.updates:
            del self.leases[key]
        elif record.counted is not None and self.now + record.counted < lease.expires:
            lease.expires = self.now + record.counted
            heapq.heappush(self._expiries, (lease.expires, key))

    def _book(self, key: Key, updates: int, held: float, counted: float, name: str) -> None:
        expires = self.now + counted
        self.leases[key] = Lease(updates, updates, self.now, self.now + held, expires, name)
        self.used += updates
        heapq.heappush(self._expiries, (expires, key))

    def _expire(self) -> None:
        while self._expiries and self._expiries[0][0] <= self.now:
            expires, key = heapq.heappop(self._expiries)
            lease = self.leases.get(key)
            if lease is not None and lease.expires <= expires:
                self.used -= lease.updates
                del self.leases[key]
