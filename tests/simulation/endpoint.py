"""The endpoint: it applies an update at a random time, independent of what the sender does meanwhile.

A request may still take effect after its sender gave up, but only within the request timeout: HTTP cannot promise
more. A request is applied within that time after it left, or never.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from connector.delivery.answer import Answer, Verdict
from connector.target.render import Request
from tests.simulation.oracle import Oracle
from tests.simulation.timeline import Lane, Process
from tests.support.fakes import parse

FINE = Answer(Verdict.ACCEPTED)
REJECTED = Answer(Verdict.REJECTED, "HTTP 400")
FAILED = Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True)
REFUSED = Answer(Verdict.UNAVAILABLE, "refused", reached=False)
RESET = Answer(Verdict.UNAVAILABLE, "the connection broke off")
ANSWERS = {
    "500": FAILED,
    "503": Answer(Verdict.THROTTLED, "HTTP 503"),
    "429": Answer(Verdict.THROTTLED, "HTTP 429"),
    "401": Answer(Verdict.UNAUTHORIZED, "HTTP 401"),
}
SILENCE = Answer(Verdict.TIMEOUT, "no whole answer in time")

REJECTED_PREFIX = "r"
"""Visitors whose id has this prefix are always rejected."""
FAILING_PREFIX = "f"
"""Likewise, but with a plain 500."""
UNKNOWN = Answer(Verdict.UNKNOWN_VISITOR, "HTTP 404")
UNKNOWN_PREFIX = "u"
"""Visitors that Target knows some time after it was first asked, before an update has waited to its end."""
NEVER_KNOWN_PREFIX = "n"
"""Visitors that Target never knows."""
STUCK_PREFIX = "s"
"""A plain 500, until the faults end."""


class Fate(NamedTuple):
    """Outcome of a request: `answer` after `seconds` (None: never), applied after `applied` (or not)."""

    answer: Answer | None
    seconds: float
    applied: float | None


@dataclass
class Health:
    """Current state of the endpoint."""

    outage: str = ""
    """One of `OUTAGES`; empty: none."""
    retry_after: float | None = None
    trouble: float = 0.0
    """Share of requests that fail alone, at random."""
    slowness: float = 0.05
    cured: bool = False
    """Stuck visitors recover."""


OUTAGES = (*ANSWERS, "hang", "hang_applied", "refused", "reset")


class Endpoint:
    """Decides each request's fate when it arrives."""

    def __init__(self, health: Health, rng: random.Random, timeout: float, unknown_wait: float = 0.0) -> None:
        """`unknown_wait`: seconds that an update waits for its visitor to be known."""
        self._unknown_wait = unknown_wait
        self._known_at: dict[str, float] = {}
        self.health = health
        self._rng = rng
        self._timeout = timeout

    def _is_unknown(self, visitor: str, now: float) -> bool:
        if not visitor.startswith(UNKNOWN_PREFIX):
            return visitor.startswith(NEVER_KNOWN_PREFIX)
        if visitor not in self._known_at:
            self._known_at[visitor] = now + self._rng.uniform(0.0, 0.95) * self._unknown_wait
        return now < self._known_at[visitor]

    def fate(self, visitor: str, now: float) -> Fate:  # noqa: PLR0911 - one line for each fate
        rng, health = self._rng, self.health
        seconds = rng.random() * health.slowness if rng.random() < 0.9 else rng.random() * self._timeout * 0.98
        if health.outage:
            return self._in_outage(health.outage, seconds)
        if rng.random() < health.trouble:
            return self._alone(seconds)
        if self._is_unknown(visitor, now):
            return Fate(UNKNOWN, seconds, None)
        if visitor.startswith(REJECTED_PREFIX):
            return Fate(REJECTED, seconds, None)
        if visitor.startswith(FAILING_PREFIX) or (visitor.startswith(STUCK_PREFIX) and not health.cured):
            return Fate(FAILED, seconds, None)
        if seconds > self._timeout / 2:
            # A slow request may have been applied long before its answer, or just then.
            return Fate(FINE, seconds, seconds * rng.random() if rng.random() < 0.5 else seconds)
        return Fate(FINE, seconds, seconds)

    def _in_outage(self, kind: str, seconds: float) -> Fate:
        rng = self._rng
        if kind == "refused":
            return Fate(REFUSED, 0.001, None)
        if kind in ANSWERS:
            answer = ANSWERS[kind]
            after = self.health.retry_after if answer.verdict is Verdict.THROTTLED else None
            return Fate(replace(answer, retry_after=after), seconds, None)
        if kind == "reset":
            return Fate(RESET, seconds, seconds * rng.random() if rng.random() < 0.3 else None)
        if kind == "hang_applied":
            return Fate(None, 0.0, rng.uniform(0.0, self._timeout) if rng.random() < 0.5 else None)
        return Fate(None, 0.0, None)

    def _alone(self, seconds: float) -> Fate:
        rng = self._rng
        kind = rng.choice((*OUTAGES, "unconfirmed", "hang_applied", "hang"))
        if kind == "unconfirmed":
            return Fate(Answer(Verdict.UNCONFIRMED, "an empty body"), seconds, seconds)
        if kind == "401":  # Never alone: it is about the token.
            kind = "503"
        return self._in_outage(kind, seconds)


class Sender:
    """One replica's connection to the endpoint."""

    def __init__(
        self,
        process: Process,
        endpoint: Endpoint,
        oracle: Oracle,
        timeout: float,
        member: str,
    ) -> None:
        self._process = process
        self._endpoint = endpoint
        self._oracle = oracle
        self._timeout = timeout
        self._member = member
        self.freeze_at_send: Callable[[], None] | None = None
        """Called once, when the next request has left."""

    def bound(self, seconds: float) -> None:
        self._timeout = min(self._timeout, seconds)

    def renew(self) -> None:
        """It has no connections."""

    async def send(self, request: Request) -> Answer:
        visitor, attributes = parse(request)
        loop = asyncio.get_running_loop()
        sent = self._oracle.sent(self._member, visitor, attributes)
        fate = self._endpoint.fate(visitor, self._process.timeline.now)
        if fate.applied is not None:
            self._process.timeline.after(min(fate.applied, self._timeout), self._oracle.applied, sent)
        ended: asyncio.Future[Answer] = loop.create_future()
        if fate.answer is not None:
            self._process.timeline.after(fate.seconds, self._answered, ended, fate.answer)
        timer = loop.call_later(self._timeout, _end, ended, SILENCE)
        if self.freeze_at_send is not None:
            freeze, self.freeze_at_send = self.freeze_at_send, None
            freeze()
        try:
            answer = await ended
        except asyncio.CancelledError:
            self._oracle.cut(sent)
            raise
        timer.cancel()
        self._oracle.answered(sent, answer)
        return answer

    def _answered(self, ended: "asyncio.Future[Answer]", answer: Answer) -> None:
        """It reaches the machine, frozen or not; the loop sees it when it runs."""
        self._process.later(Lane.LOOP, 0.0, _end, ended, answer)


def _end(ended: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not ended.done():
        ended.set_result(answer)
