"""The one place that every attempt passes, first or not: whether it may go now, and what its answer teaches."""

import math
from typing import NamedTuple

from connector.delivery.answer import Answer, Verdict
from connector.delivery.circuit import Circuit, Shift
from connector.delivery.concurrency import Concurrency
from connector.delivery.lease import Lease
from connector.delivery.rate import Rate
from connector.events.change import Visitor

_DONE = frozenset({Verdict.ACCEPTED, Verdict.REJECTED})
_OVERLOADED = frozenset({Verdict.THROTTLED, Verdict.TIMEOUT})


class Pass(NamedTuple):
    """Leave for one attempt: when it began, and its number if it is a probe of the open circuit (else 0)."""

    began: float
    probe: int


class Gate:
    """Circuit, lease, slots and rate, one after the other; whoever waits for one of them is open for coalescing."""

    __slots__ = ("circuit", "closes_at", "concurrency", "in_flight", "lease", "opens_at", "rate")

    def __init__(self, max_in_flight: int) -> None:
        """Rate and lease are nothing yet: they come with the group."""
        self.circuit = Circuit()
        self.concurrency = Concurrency(max_in_flight)
        self.lease = Lease()
        self.rate = Rate(0.0)
        self.in_flight = 0
        """Requests on the wire."""
        self.opens_at = -math.inf
        self.closes_at = math.inf
        """Nothing goes before the one or after the other."""

    def wait(self, now: float, awake: float) -> float:
        """Seconds until an attempt may go; 0 or less: now; infinite: not before something changes.

        `awake` is the time of the lease's clock.
        """
        if self.lease.left(awake) <= 0 or now >= self.closes_at:
            return math.inf
        # A probe needs no slot: those may all be taken by requests that hang.
        if self.in_flight >= self.concurrency.slots and not self.circuit.is_open:
            return math.inf
        return max(self.circuit.wait(now), self.rate.wait(now), self.opens_at - now)

    def enter(self, now: float) -> Pass:
        """An attempt goes; it has spent its part of the rate, whatever comes of it."""
        self.in_flight += 1
        self.rate.spend(now)
        return Pass(now, self.circuit.started(now))

    def leave(self, attempt: Pass, visitor: Visitor, answer: Answer, now: float, *, first: bool) -> Shift | None:
        """Learn from an attempt's answer; `first` says that its update had not failed before."""
        if answer.verdict in _DONE:
            self.concurrency.answered(now - attempt.began, now, self.in_flight)
        elif first and answer.verdict in _OVERLOADED:
            self.concurrency.overloaded(attempt.began, now)
        self.in_flight -= 1
        shift = self.circuit.settled(visitor, answer, now, first=first, probe=attempt.probe)
        if shift is Shift.CLOSED:
            self.concurrency.recovered(self.in_flight)
        return shift

    def abandon(self, attempt: Pass) -> None:
        """The attempt was given up without an answer, or was not needed after all."""
        self.in_flight -= 1
        self.circuit.abandoned(probe=attempt.probe)
