"""The faults that the sandbox can be told to show, drawn by a seeded random so that a failure can be repeated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from connector.sandbox.fates import PROMPT, Processing
from connector.sandbox.fault_text import PROCESSING, Fault, Kind
from connector.sandbox.window import RollingWindow

_TEN_THOUSANDTHS = 10_000


@dataclass(frozen=True, slots=True)
class Draw:
    """What happens to one request.

    delay: seconds to wait before the answer. fault: what takes the answer's place, if anything. processing: of the
    update, when it is accepted.
    """

    delay: float
    fault: Fault | None
    processing: Processing = PROMPT


class FaultPlan:
    """An ordered list of faults in force from `now` on; delays add up, of the others the first that hits decides.

    What happens to an accepted update after its answer adds to these, and takes no answer's place.

    `now` is in seconds of one monotonic clock throughout; `start` and `end` of a fault count from the plan's own start.
    """

    def __init__(self, faults: Sequence[Fault], rng: random.Random, now: float) -> None:
        self._faults = tuple(faults)
        self._rng = rng
        self._begun_at = now
        self._drawn = [0] * len(self._faults)
        self._windows = [RollingWindow(fault.seconds) if fault.kind is Kind.QUOTA else None for fault in self._faults]
        self._token_renewed = False

    @property
    def drawn(self) -> dict[str, int]:
        """How often each fault hit, by its text."""
        counts: dict[str, int] = {}
        for fault, count in zip(self._faults, self._drawn, strict=True):
            counts[fault.text] = counts.get(fault.text, 0) + count
        return counts

    def draw(self, visitor_id: str | None, now: float) -> Draw:
        """Decide for one request; a request without a readable visitor meets only the faults for everyone."""
        delay = 0.0
        decided: Fault | None = None
        processing = PROMPT
        for index, fault in enumerate(self._faults):
            if fault.kind is Kind.FETCH:
                continue
            # A quota counts every request, also one that another fault answers: each left the client's process.
            window = self._windows[index]
            within_quota = window is not None and window.add(now) <= fault.requests
            adds = fault.kind is Kind.DELAY or fault.kind in PROCESSING
            if within_quota or (decided is not None and not adds):
                continue
            if not self._hits(fault, self._drawn[index], visitor_id, now):
                continue
            self._drawn[index] += 1
            if fault.kind is Kind.DELAY:
                delay += fault.seconds
            elif fault.kind in PROCESSING:
                processing = self._processed(processing, fault)
            else:
                decided = fault
        return Draw(delay, decided, processing)

    def draw_fetch(self, visitor_id: str, now: float) -> Fault | None:
        """Decide for one profile fetch."""
        for index, fault in enumerate(self._faults):
            if fault.kind is Kind.FETCH and self._hits(fault, self._drawn[index], visitor_id, now):
                self._drawn[index] += 1
                return fault
        return None

    def _processed(self, processing: Processing, fault: Fault) -> Processing:
        """With this fault added."""
        match fault.kind:
            case Kind.LAG:
                lag = self._rng.uniform(fault.seconds, fault.most_seconds)
                return replace(processing, lag=processing.lag + lag)
            case Kind.LOST:
                return replace(processing, is_lost=True)
            case Kind.REORDERED:
                return replace(processing, is_reordered=True)
            case _:
                return replace(processing, overwritten_after=fault.seconds)

    def token_renewed(self) -> None:
        """A new token was set: what answered 401 because the old one had ended stops."""
        self._token_renewed = True

    def _hits(self, fault: Fault, drawn: int, visitor_id: str | None, now: float) -> bool:
        age = now - self._begun_at
        if fault.kind is Kind.UNAUTHORIZED_AFTER and (self._token_renewed or age < fault.seconds):
            return False
        if not fault.start <= age < fault.end or (fault.limit is not None and drawn >= fault.limit):
            return False
        if not _matches(fault, visitor_id):
            return False
        return fault.probability >= 1 or self._rng.random() < fault.probability


def _matches(fault: Fault, visitor_id: str | None) -> bool:
    if fault.visitor_share is None and fault.visitor_contains is None:
        return True
    if visitor_id is None:
        return False
    if fault.visitor_contains is not None:
        return fault.visitor_contains in visitor_id
    digest = int.from_bytes(blake2b(visitor_id.encode(), digest_size=8).digest())
    return digest % _TEN_THOUSANDTHS < (fault.visitor_share or 0) * _TEN_THOUSANDTHS
