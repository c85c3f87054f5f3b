"""What the judge remembers: each request, each broken rule, and each time one visitor had two requests in flight."""

import sys
from collections import Counter, deque
from itertools import islice
from typing import Any, Final, NamedTuple

from connector.sandbox.rules import RuleViolation, Update, Visitor, read_form
from connector.sandbox.window import RollingWindow

OVERLAP: Final = "two_in_flight"
GONE: Final = "client_gone"
# A client that gives up may start anew on another connection, and the server may read that request before it reads the
# end of the first. Overlaps that end so within this time are not held against the client.
_GIVE_UP_SECONDS: Final = 0.1
_KEPT_VIOLATIONS: Final = 10_000
_KEPT_DURATIONS: Final = 10_000


class Record(NamedTuple):
    """One request that ended. start, end: monotonic seconds. verdict: the status sent, or what came in its place.

    form: the parameters as they came, a quarter of the size of what they say; empty if they broke a rule. peer: the
    client's address and port, which a killed and a new process do not share.
    """

    n: int
    start: float
    end: float
    form: bytes
    verdict: str
    applied: bool
    client: str
    peer: tuple[str, int]

    @property
    def update(self) -> Update | None:
        """What the request asked for; None if it broke a rule."""
        update = read_form(self.form)
        return None if isinstance(update, list) else update

    def to_json(self) -> dict[str, Any]:
        """The form of a line of `/sandbox/log`."""
        update = self.update
        return {
            "n": self.n,
            "start": self.start,
            "end": self.end,
            "visitor": None if update is None else str(update.visitor),
            "attributes": {} if update is None else update.attributes,
            "verdict": self.verdict,
            "applied": self.applied,
            "client": self.client,
            "peer": list(self.peer),
        }


class Violation(NamedTuple):
    """One broken rule, when (monotonic seconds), by whom; two clients are joined by `|` for an overlap between them."""

    at: float
    rule: str
    detail: str
    client: str


class InFlightRequest:
    """One request between its arrival and its answer."""

    __slots__ = ("applied", "client", "followers", "form", "peer", "start", "visitor")

    def __init__(self, client: str, peer: tuple[str, int], start: float) -> None:
        self.client = client
        self.peer = peer
        self.start = start
        self.visitor: Visitor | None = None
        self.form = b""
        self.applied = False
        self.followers: list[InFlightRequest] = []  # requests of the same visitor that arrived before this one ended


class Journal:
    """The log of requests and the counters over it. `now` is always of one monotonic clock, in seconds."""

    def __init__(self, log_limit: int, window_seconds: float) -> None:
        self.log: deque[Record] = deque(maxlen=log_limit)
        self.violations: deque[Violation] = deque(maxlen=_KEPT_VIOLATIONS)
        self.violation_counts: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.requests = 0
        self.applied = 0
        self._ended = 0
        self._overlaps: Counter[bool] = Counter()  # by "the same client sent both"
        self._window = RollingWindow(window_seconds)
        self._durations: deque[float] = deque(maxlen=_KEPT_DURATIONS)
        self._in_flight: dict[Visitor, list[InFlightRequest]] = {}

    def arrive(self, client: str, peer: tuple[str, int], now: float) -> InFlightRequest:
        """A request is here: it counts, whatever becomes of it."""
        self.requests += 1
        self._window.add(now)
        return InFlightRequest(sys.intern(client), peer, now)

    def identify(self, passage: InFlightRequest, update: Update) -> None:
        """Its visitor is read: from here to its end another request for the same visitor is an overlap."""
        visitor = passage.visitor = update.visitor
        passage.form = update.form
        others = self._in_flight.setdefault(visitor, [])
        for other in others:
            other.followers.append(passage)
        others.append(passage)

    def break_rule(self, broken: RuleViolation, client: str, now: float) -> None:
        """A rule was broken."""
        self._violate(Violation(now, broken.rule.value, broken.detail, client))

    def end(self, passage: InFlightRequest, verdict: str, now: float) -> None:
        """Before the answer is written, or there is none: no client can have seen it, so an overlap is a true one."""
        if passage.visitor is not None:
            self._leave(passage, passage.visitor, now, gone=verdict == GONE)
        self.verdicts[verdict] += 1
        self.applied += passage.applied
        self._durations.append(now - passage.start)
        record = Record(
            self._ended,
            passage.start,
            now,
            passage.form,
            verdict,
            passage.applied,
            passage.client,
            passage.peer,
        )
        self.log.append(record)
        self._ended += 1

    def since(self, n: int) -> list[Record]:
        """The records from number `n` on, those that the log still holds."""
        return list(islice(self.log, max(0, n - (self._ended - len(self.log))), None))

    def stats(self) -> dict[str, Any]:
        """The counters, as `/sandbox/stats` shows them."""
        waiting = [passage for passages in self._in_flight.values() for passage in passages]
        overlaps = self._overlaps + Counter(
            follower.client == passage.client for passage in waiting for follower in passage.followers
        )
        durations = sorted(self._durations)
        return {
            "requests": self.requests,
            "applied": self.applied,
            "in_flight": self.requests - self._ended,
            "by_status": dict(self.verdicts),
            "overlapping": overlaps.total(),
            "overlapping_same_client": overlaps[True],
            "violations": dict(self.violation_counts),
            "violation_samples": [violation._asdict() for violation in islice(self.violations, 100)],
            "window_seconds": self._window.seconds,
            "fullest_window": self._window.fullest,
            "p50_ms": _quantile_ms(durations, 0.5),
            "p99_ms": _quantile_ms(durations, 0.99),
        }

    def _leave(self, passage: InFlightRequest, visitor: Visitor, now: float, *, gone: bool) -> None:
        others = self._in_flight[visitor]
        others.remove(passage)
        if not others:
            del self._in_flight[visitor]
        for follower in passage.followers:
            if gone and now - follower.start <= _GIVE_UP_SECONDS:
                continue
            same = follower.client == passage.client
            self._overlaps[same] += 1
            client = passage.client if same else f"{passage.client} | {follower.client}"
            self._violate(Violation(follower.start, OVERLAP, f"{now - follower.start:.3f} s", client))

    def _violate(self, violation: Violation) -> None:
        self.violations.append(violation)
        self.violation_counts[violation.rule] += 1


def _quantile_ms(durations: list[float], share: float) -> float:
    return round(durations[min(len(durations) - 1, int(share * len(durations)))] * 1_000, 3) if durations else 0.0
