"""The ledger's fold against a naive model: a list of all bookings, evaluated anew for each answer."""

import math
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve, Return, Spend, decode, encode
from connector.quota.view import view

TERMS = QuotaPolicy(limit=100, window=10.0, horizon=1.0, request_timeout=1.0)

HOLDERS = st.sampled_from(["a", "b", "c"])
NUMBERS = st.integers(1, 4)
UPDATES = st.integers(0, 60)
LIMITS = st.sampled_from([50, 100])
COUNTED = st.sampled_from([5.0, 10.0, 25.0])
STEPS = st.sampled_from([-2.0, 0.0, 0.0, 0.5, 3.0, 11.0])
"""Seconds between two append times: they may go back at another broker."""


@dataclass
class Booked:
    """One lease, or a manual booking."""

    key: tuple[str, int]
    granted: int
    updates: int
    expires: float


class Fold(RuleBasedStateMachine):
    """Feeds each record to the ledger and to the list."""

    @initialize()
    def start(self) -> None:
        """Nothing is booked yet."""
        self.ledger = Ledger()
        self.records: list[tuple[Record, float]] = []
        self.booked: list[Booked] = []
        self.clock, self.latest = 1_000.0, -math.inf
        self.spends = 0

    def _apply(self, record: Record, step: float) -> int:
        self.clock += step
        self.latest = max(self.latest, self.clock)
        self.booked = [each for each in self.booked if each.expires > self.latest and each.updates]
        self.records.append((record, self.clock))
        read = decode(encode(record))
        assert read is not None
        return self.ledger.apply(read, self.clock)

    @rule(holder=HOLDERS, lease=NUMBERS, updates=UPDATES, limit=LIMITS, counted=COUNTED, step=STEPS)
    def reserve(self, holder: str, lease: int, updates: int, limit: int, counted: float, step: float) -> None:
        """The grant is what is free, and each number is granted once."""
        granted = self._apply(Reserve(holder, lease, updates, limit, counted, 1.0), step)
        known = any(each.key == (holder, lease) for each in self.booked)
        free = limit - sum(each.updates for each in self.booked)
        assert granted == (0 if known else min(updates, max(0, free)))
        if granted:
            self.booked.append(Booked((holder, lease), granted, granted, self.latest + counted))

    @rule(
        holder=HOLDERS,
        lease=NUMBERS,
        unused=UPDATES,
        counted=st.none() | COUNTED,
        step=STEPS,
        times=st.integers(1, 2),
        leaves=st.booleans(),
    )
    def give_back(
        self, holder: str, lease: int, unused: int, counted: float | None, step: float, times: int, *, leaves: bool
    ) -> None:
        """However often it is written, it takes off the same, and never lets anything count for longer."""
        for _ in range(times):
            self._apply(Return(holder, lease, unused, counted, leaves), step)
            for each in self.booked:
                if each.key == (holder, lease):
                    each.updates = min(each.updates, max(0, each.granted - unused))
                    if counted is not None:
                        each.expires = min(each.expires, self.latest + counted)

    @rule(updates=st.integers(1, 60), counted=COUNTED, step=STEPS)
    def spend(self, updates: int, counted: float, step: float) -> None:
        """It counts whether there is room for it or not."""
        self._apply(Spend(updates, counted), step)
        self.spends += 1
        self.booked.append(Booked(("", self.spends), updates, updates, self.latest + counted))

    @invariant()
    def the_books_agree(self) -> None:
        """Used, free, what becomes free and when: equal to the list at any later moment."""
        if not hasattr(self, "ledger"):
            return
        booked = [each for each in self.booked if each.updates]
        assert self.ledger.used == sum(each.updates for each in booked) >= 0
        for ahead in (0.0, 4.0, 30.0):
            when = self.latest + ahead
            left = sum(each.updates for each in booked if each.expires > when)
            if self.records:
                assert self.ledger.free(100, when) == 100 - left
                seen = view(self.ledger, TERMS, when)
                assert seen.used == sum(seen.history) == sum(seen.releases) == left
                assert seen.free == max(0, 100 - left)
        release = self.ledger.next_release()
        assert release is None or release[0] in {each.expires for each in self.booked}
        assert (release is None) <= (not booked)
        if booked and release is not None:
            assert release[0] <= min(each.expires for each in booked)

    def teardown(self) -> None:
        """A late starter without queries in between folds the same."""
        if not hasattr(self, "ledger"):
            return
        late = Ledger()
        for record, appended in self.records:
            late.apply(record, appended)
        assert (late.used, late.now, late.leases) == (self.ledger.used, self.ledger.now, self.ledger.leases)


TestFold = Fold.TestCase
