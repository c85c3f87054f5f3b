"""Whether the endpoint as a whole works: while it does not, every call is held back but one probe at a time."""

import enum
import math

from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Visitor

FAILURES_TO_OPEN = 8
VISITORS_TO_OPEN = 3
SICK_SHARE = 0.3
"""With this share of the recent first attempts failed, no failure is held against its update."""
UNLUCKY_SHARE = 0.2
"""With this share neither, as long as updates that failed get through later.

A measured share swings by a tenth around the true one, so three in ten are not missed. Updates that fail for ever,
up to that share of all, show nothing of the kind, and come to their end.
"""
BUSY_SHARE = 0.3
"""With this share of the recent answers 429 or 503, one of those is not held against its update."""
_FIRSTS = 50
"""First attempts that the share is of, about: the older it is, the less one counts."""
_PRESUMED = 5
"""First attempts that are taken to have gone well before the first one: one failure alone is no share."""
_ANSWERS = 20
FIRST_PROBE_SECONDS = 0.5
PROBE_SECONDS = 2.0
"""The longest pause between two probes: recovery is seen within it."""
UNAUTHORIZED_PROBE_SECONDS = 10.0
"""Slower, because only a person or a token file can change it, and every probe spends quota."""
SICK_SECONDS = 60.0
"""After this time without a first attempt, or a later success, the share says nothing of the endpoint.

Where updates that fail for ever fill what may be pending, neither comes: then they are counted, and end.
"""
DOUBT_SECONDS = 10.0
"""For this time after a first attempt failed, with no success since, other failures may be an outage that begins."""

LOCAL_SECONDS = 5.0
"""What fails in this process opens the circuit only after this time without a success: others may still have what it
lacks, such as connections, and their answers must not close again what it opened."""
LOCAL_PAUSE_SECONDS = 0.1
"""After such a failure, unless somebody gets through: it takes no time, so all that waits would be tried at once."""

_FAILED = frozenset(Verdict) - {Verdict.ACCEPTED, Verdict.REJECTED, Verdict.UNKNOWN_VISITOR}


class Transition(enum.Enum):
    """What an answer did to the circuit."""

    OPENED = "opened"
    CLOSED = "closed"


class CircuitBreaker:
    """Closed: all may go. Open: none but a probe now and then.

    A probe that has no answer yet does not keep the next one waiting for longer than `PROBE_SECONDS`: an endpoint that
    swallows requests would hide its recovery for a whole request timeout.

    One visitor that fails for good must not look like an outage, and an outage must not look like many visitors that
    fail for good. So the circuit opens on `FAILURES_TO_OPEN` failures without a success between them from at least
    `VISITORS_TO_OPEN` visitors (or without ever reaching the endpoint), and at the first 401 or 403. An update that
    fails again says nothing new of the endpoint when it is by a plain 500, and its token is nobody's news either.
    """

    __slots__ = (
        "_busy",
        "_doubt_until",
        "_doubted",
        "_failing_since",
        "_failures",
        "_firsts",
        "_probe_at",
        "_probed_at",
        "_probes",
        "_probing",
        "_recovered_at",
        "_serial",
        "_sick",
        "_sick_at",
        "_unreached",
        "_visitors",
        "is_doubtful",
        "opened_at",
        "reason",
        "successes",
    )

    def __init__(self) -> None:
        self.reason = ""
        """Why it is open; empty when it is closed."""
        self.opened_at = -math.inf
        """When it opened last, also while it is closed."""
        self.is_doubtful = False
        """Open by plain 500s, which may as well be the fault of all the updates that got them."""
        self.successes = 0
        """Answers of a working endpoint, so far."""
        self._failures = 0
        self._failing_since = -math.inf
        self._unreached = 0
        self._visitors: set[Visitor] = set()
        self._firsts = _PRESUMED
        self._sick = 0.0
        self._sick_at = self._recovered_at = -math.inf
        self._busy = 0.0
        self._doubt_until = -math.inf
        self._doubted: Visitor | None = None
        self._probing = 0
        self._serial = 0
        self._probes = 0
        self._probe_at = -math.inf
        self._probed_at = -math.inf

    @property
    def is_open(self) -> bool:
        """True while the endpoint is held to be down."""
        return bool(self.reason)

    def is_alone(self, update: Update) -> bool:
        """Whether others got through since this update failed last, so that its next failure is its own matter."""
        return 0 <= update.successes_at_failure < self.successes

    def blames(self, update: Update, answer: Answer, now: float) -> bool:
        """Whether a failed attempt counts against its update: the endpoint is otherwise healthy as far as one can tell.

        While a considerable share of first attempts fails, an update that failed several times was no more than
        unlucky, although others get through. What speaks of the endpoint (503, a timeout) counts only while others do.
        And nothing counts while an outage may just be opening: another visitor's first attempt failed a moment ago, and
        nobody got through since.
        """
        if self.reason or not answer.reached:
            return False
        if now < self._doubt_until and update.visitor != self._doubted:
            return False
        if self._is_sick(now):
            return False
        if answer.verdict is Verdict.THROTTLED and self._busy >= BUSY_SHARE:
            return False
        return self.is_alone(update) or answer.own or self._failures < FAILURES_TO_OPEN

    def wait(self, now: float) -> float:
        """Seconds until a request may go; 0 or less: now."""
        return self._probe_at - now

    def started(self, now: float) -> int:
        """A request goes on the wire; returns a number for it when it is a probe of the open circuit, else 0."""
        if not self.reason:
            return 0
        self._serial += 1
        self._probing = self._serial
        self._probed_at = now
        self._probe_at = now + self._longest_pause()
        return self._serial

    def settled(self, visitor: Visitor, answer: Answer, now: float, *, first: bool, probe: int) -> Transition | None:
        """Learn from an answer; `first` says that the update had not failed before."""
        current = self._probing != 0 and probe == self._probing
        if current:
            self._probing = 0
        failed = answer.verdict in _FAILED
        self._busy += ((answer.verdict is Verdict.THROTTLED) - self._busy) / _ANSWERS
        if not self.reason:  # While it is open only probes go, and tell of the outage alone.
            if first:
                if self._firsts < _FIRSTS:
                    self._firsts += 1
                self._sick += (failed - self._sick) / self._firsts
                self._sick_at = now
            elif not failed:
                self._recovered_at = now
        if not failed:
            self.successes += 1
            self._doubt_until = -math.inf
            return self._succeed() if self._failures or self.reason else None
        if first:
            # With two of them each is in doubt by the other.
            self._doubted = visitor if self._doubt_until == -math.inf or self._doubted == visitor else None
            self._doubt_until = now + DOUBT_SECONDS
        if self.is_open:
            # What was on the wire before it opened says nothing new; only a probe moves the next one.
            if current:
                self._schedule_probe(answer, now, self._probed_at)
            return None
        return self._fail(visitor, answer, now, first=first) if first or not answer.own else None

    def abandoned(self, *, probe: int) -> None:
        """A request was given up without an answer; if it was the newest probe, another may go."""
        if probe and probe == self._probing:
            self._probing = 0
            self._probe_at = -math.inf

    def _is_sick(self, now: float) -> bool:
        """Whether a considerable share of the recent first attempts failed."""
        recovering = now - self._recovered_at < SICK_SECONDS
        if self._sick >= SICK_SHARE:
            return recovering or now - self._sick_at < SICK_SECONDS
        return self._sick >= UNLUCKY_SHARE and recovering

    def _succeed(self) -> Transition | None:
        was_open = self.is_open
        self._probing = 0
        self.reason = ""
        self.is_doubtful = False
        self._probe_at = -math.inf
        self._failures = self._unreached = self._probes = 0
        self._visitors.clear()
        return Transition.CLOSED if was_open else None

    def _fail(self, visitor: Visitor, answer: Answer, now: float, *, first: bool) -> Transition | None:
        if not self._failures:
            self._failing_since = now
        self._failures += 1
        self._unreached = 0 if answer.reached else self._unreached + 1
        if first and len(self._visitors) < VISITORS_TO_OPEN:
            self._visitors.add(visitor)
        outage = self._failures >= FAILURES_TO_OPEN and (
            len(self._visitors) >= VISITORS_TO_OPEN or self._unreached >= FAILURES_TO_OPEN
        )
        refused = first and answer.verdict is Verdict.UNAUTHORIZED
        if answer.local and now - self._failing_since < LOCAL_SECONDS:
            self._probe_at = now + LOCAL_PAUSE_SECONDS
            return None
        if not outage and not refused:
            return None
        self.opened_at = now
        self._schedule_probe(answer, now, now)
        return Transition.OPENED

    def _schedule_probe(self, answer: Answer, now: float, since: float) -> None:
        """The pause counts from the last probe's beginning: its answer may have taken as long as the recovery."""
        # An outage may turn from one kind into another: the pause follows what was said last.
        self.reason = answer.verdict.value
        self.is_doubtful = answer.own
        delay = min(self._longest_pause(), FIRST_PROBE_SECONDS * 2.0 ** min(self._probes, 10))
        self._probes += 1
        self._probe_at = max(since + delay, now + (answer.retry_after or 0.0))

    def _longest_pause(self) -> float:
        return UNAUTHORIZED_PROBE_SECONDS if self.reason == Verdict.UNAUTHORIZED.value else PROBE_SECONDS
