"""The one place that every attempt passes, first or not: whether it may go now, and what its answer teaches."""

import math

from connector.admission.circuit_breaker import CircuitBreaker, Transition
from connector.admission.concurrency_limiter import ConcurrencyLimiter
from connector.admission.membership_lease import MembershipLease
from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.admission.quota_shares import QuotaShares
from connector.admission.rate_limiter import RateLimiter
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Priority

_DONE = frozenset({Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNKNOWN_VISITOR})
_OVERLOADED = frozenset({Verdict.THROTTLED, Verdict.TIMEOUT})
_UNSURE = frozenset({Verdict.UNAVAILABLE, Verdict.TIMEOUT})


Permit = tuple[int, QuotaGrant]
"""What an attempt carries from the gate and brings back: its number if it is a probe of the open circuit, else 0, and
what it was spent of. A plain tuple, since there is one a request."""


class Gate:
    """Circuit, lease, quota, slots and rate, one after the other; who waits for one of them is open for coalescing."""

    __slots__ = ("_shares", "allowance", "circuit", "closes_at", "concurrency", "in_flight", "lease", "lowest", "rate")

    def __init__(
        self, max_in_flight: int, allowance: QuotaBudget | None = None, shares: QuotaShares | None = None
    ) -> None:
        """Rate and lease are nothing yet: they come with the group.

        Without an `allowance` there is no quota; without `shares` every class may use all of it.
        """
        self.allowance = allowance or QuotaBudget()
        self._shares = shares
        self.lowest = Priority.LOW
        """The lowest class that may go."""
        self.circuit = CircuitBreaker()
        self.concurrency = ConcurrencyLimiter(max_in_flight)
        self.lease = MembershipLease()
        self.rate = RateLimiter(0.0)
        self.in_flight = 0
        """Requests on the wire."""
        self.closes_at = math.inf
        """Nothing goes after this."""

    def close_at(self, when: float) -> None:
        """Nothing goes after this moment, by the loop's clock."""
        self.closes_at = when

    def wait(self, now: float, boottime: float) -> float:
        """Seconds until an attempt may go; 0 or less: now; infinite: not before something changes.

        `boottime` is the time of the lease's clock.
        """
        if self.lease.left(boottime) <= 0 or now >= self.closes_at:
            return math.inf
        # A probe needs no slot: those may all be taken by requests that hang.
        if self.in_flight >= self.concurrency.slots and not self.circuit.is_open:
            return math.inf
        if self.allowance.current(boottime) is None:
            return math.inf
        return max(self.circuit.wait(now), self.rate.wait(now))

    def wait_ahead(self, now: float, boottime: float) -> float:
        """Likewise for an attempt of the highest class, which does not wait for the pace of the others."""
        if self.wait(now, boottime) == math.inf:
            return math.inf
        return max(self.circuit.wait(now), self.rate.wait_ahead(now))

    def window_filled(self, spent: int) -> None:
        """The quota's window holds `spent` requests."""
        if self._shares is not None:
            self.lowest = self._shares.look(spent)

    @property
    def has_spare(self) -> bool:
        """Whether more than one slot is free."""
        return self.in_flight + 1 < self.concurrency.slots

    def enter(self, now: float, boottime: float) -> Permit:
        """An attempt goes; it has spent its part of rate and quota, whatever comes of it."""
        grant = self.allowance.spend(boottime)
        self.in_flight += 1
        self.rate.spend(now)
        if self._shares is not None:
            self.lowest = self._shares.spend()
        return self.circuit.started(now), grant

    def leave(self, update: Update, answer: Answer, began: float, now: float, passed: Permit) -> Transition | None:
        """Learn from the answer to an attempt that began then."""
        first = update.attempts == 0
        probe, grant = passed
        verdict = answer.verdict
        if verdict in _DONE:
            self.concurrency.answered(now - began, now, self.in_flight)
        elif first and verdict in _OVERLOADED:
            self.concurrency.overloaded(began, now)
        self.in_flight -= 1
        if answer.local:
            grant.restore()  # It never left this machine.
        else:
            grant.settle(is_lost=verdict in _UNSURE and not answer.own)
        shift = self.circuit.settled(update.visitor, answer, now, first=first, probe=probe)
        if shift is Transition.CLOSED:
            self.concurrency.recovered(self.in_flight)
        return shift

    def abandon(self, passed: Permit) -> None:
        """The attempt was given up without an answer."""
        self.in_flight -= 1
        probe, grant = passed
        grant.settle(is_lost=True)
        self.circuit.abandoned(probe=probe)

    def spare(self, passed: Permit) -> None:
        """The attempt was not needed after all, so nothing was spent."""
        self.in_flight -= 1
        probe, grant = passed
        grant.restore()
        self.circuit.abandoned(probe=probe)
