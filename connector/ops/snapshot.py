"""The state of one process at one moment: what metrics and status page are made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.delivery.counters import Counters
from connector.events.change import Priority


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a scrape shows, read at one moment so that it reconciles: consumed = done + pending."""

    tally: Counters
    events_pending: int
    """Records whose update is not settled."""
    updates_pending: int
    """Visitors that wait."""
    updates_in_flight: int
    """Requests on the wire."""
    partitions_assigned: int
    circuit_open: bool
    paused: bool
    consumer_lag: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """By topic and partition, records behind the end of the log; only partitions whose end is known."""
    oldest_pending: Mapping[str, float] = field(default_factory=dict)
    """By topic, the age of the oldest record whose update waits; 0: none waits."""
    retention: Mapping[str, float] = field(default_factory=dict)
    """By topic, seconds for which it keeps a record; only where that is known and has an end."""
    quota_limit: int = 0
    """Updates in the window for the whole group; 0: no quota."""
    quota_used: int | None = 0
    quota_slowed_seconds: float | None = None
    """In how many seconds the pace of the quota is below the current rate; None: not within a window."""
    quota_used_up_seconds: float | None = None
    """In how many seconds nothing is free any more, at the current rate and that pace."""
    slots: int = 0
    """Requests that may be on the wire at once, now."""
    bytes_pending: int = 0
    letters_pending: int = 0
    """Dead letters not yet acknowledged."""
    overdue_seconds: float = 0.0
    """How long the update that is due longest has waited for its turn."""
    waiting: Mapping[Priority, tuple[int, float]] = field(default_factory=lambda: dict.fromkeys(Priority, (0, 0.0)))
    """By class the visitors whose update waits, and for how long the one that is due longest has waited."""
    commit_age_seconds: float = 0.0
    """Since the group last acknowledged a commit; 0 while nothing is owned."""
    token_expires_seconds: float | None = None
    """In how many seconds the token ends, below 0 once it has; None: not known."""
    start_time_seconds: float = 0.0
    """When the process started, since the epoch."""
    updates_unknown: int = 0
    """Updates that wait for Target to know their visitor."""
    schema_waits: int = 0
    """Partitions that wait for a schema."""
    version: str = ""
