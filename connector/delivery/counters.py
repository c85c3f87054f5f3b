"""The pipeline's counts as plain integers: bumped for nothing on the hot path, read whole at a scrape."""

import enum
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from connector.delivery.answer import Verdict
from connector.delivery.start_position import MissedReason
from connector.events.concerns import Concern

REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EVENT_AGE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)


class Done(enum.StrEnum):
    """How a consumed record can end; each ends in exactly one."""

    ACCEPTED = "accepted"
    DEAD_LETTERED = "dead_lettered"
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"
    """Target has all of its values already (`COALESCE_UNCHANGED_SECONDS`), so no call was made."""
    EXPIRED = "expired"
    """It was older than `EVENT_MAX_AGE_SECONDS` when its turn came, so no call was made."""
    ALREADY_DONE = "already_done"
    HANDED_OVER = "handed_over"

    __hash__ = str.__hash__  # Enum's own is a Python call, on every update.


class Histogram:
    """Counts by upper bound, in seconds; the shape that Prometheus wants, without its lock a call."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` ascend; what is above the last one is counted as `+Inf`."""
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds

    def quantile(self, share: float) -> float | None:
        """The bound under which this share of the values lies, in seconds; None without values or beyond the last."""
        wanted = share * sum(self.counts)
        below = zip(self.bounds, accumulate(self.counts), strict=False)
        return next((bound for bound, count in below if count >= wanted > 0), None)


@dataclass(slots=True)
class Counters:
    """Counters since the start of the process. What is pending is not here: it is counted where it is held."""

    events_consumed: int = 0
    events_done: dict[Done, int] = field(default_factory=lambda: dict.fromkeys(Done, 0))
    records_missed: dict[MissedReason, int] = field(default_factory=lambda: dict.fromkeys(MissedReason, 0))
    events_skipped: dict[tuple[str, str], int] = field(default_factory=dict)
    """Events that a mapping skips, by its source and the condition that did not hold."""
    concerns: dict[Concern, int] = field(default_factory=lambda: dict.fromkeys(Concern, 0))
    """Updates that were sent although Target may not do with them what was meant."""
    updates_accepted: int = 0
    updates_dead_lettered: int = 0
    updates_unchanged: int = 0
    """Settled without a call, since Target had all of their values."""
    requests: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    request_seconds: Histogram = field(default_factory=lambda: Histogram(REQUEST_SECONDS))
    event_age_seconds: Histogram = field(default_factory=lambda: Histogram(EVENT_AGE_SECONDS))

    @property
    def updates_settled(self) -> int:
        """Updates that are done, but for dead letters: what a crash before the next commit repeats."""
        return self.updates_accepted + self.updates_unchanged

    @property
    def saved_by_merging(self) -> int:
        """Calls that were not made because an update stands for several records."""
        done = self.events_done
        return done[Done.ACCEPTED] + done[Done.UNCHANGED] - self.updates_settled

    def taken(self, consumed: int, *, skipped: int, already_done: int) -> None:
        """Records were taken in; of these some were skipped by a rule, and some settled by an earlier owner."""
        self.events_consumed += consumed
        self.events_done[Done.SKIPPED] += skipped
        self.events_done[Done.ALREADY_DONE] += already_done

    def skipped(self, source: str, condition: str) -> None:
        """A mapping's source skips an event by this condition; that it is done is counted with its batch."""
        self.events_skipped[source, condition] += 1

    def expect_skips(self, source: str, conditions: Iterable[str]) -> None:
        """A mapping's source may skip by these."""
        for condition in conditions:
            self.events_skipped.setdefault((source, condition), 0)
