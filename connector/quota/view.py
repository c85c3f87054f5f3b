"""The window as people see it: what is used and by whom, what comes free when, and when it will be used up."""

from dataclasses import asdict, dataclass

from connector.quota.ledger import Ledger

BUCKETS = 48
RECENT = 2
"""Buckets behind us from which the present use is told."""


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease that may still be spent."""

    holder: str
    name: str
    updates: int
    ends_in_seconds: float


@dataclass(frozen=True, slots=True)
class BookingView:
    """Calls that someone else made, which cannot be taken back."""

    updates: int
    note: str
    free_in_seconds: float


@dataclass(frozen=True, slots=True)
class View:
    """All of one moment. Updates, and seconds from now."""

    limit: int
    window_seconds: float
    used: int
    free: int
    next_free_seconds: float | None
    next_free_updates: int
    used_up_seconds: float | None
    """When nothing is free any more if the use goes on as in the last hours; None: not within a window."""
    history: tuple[int, ...]
    """Updates that count, by when they were booked: parts of the window, the oldest first."""
    releases: tuple[int, ...]
    """Updates that come free in the coming parts of the window."""
    leases: tuple[LeaseView, ...]
    bookings: tuple[BookingView, ...]
    """The next to come free first."""

    def numbers(self) -> dict[str, object]:
        """Everything but who holds leases, and what was booked by hand."""
        told = asdict(self)
        del told["leases"], told["bookings"]
        return told


def view(ledger: Ledger, limit: int, window: float, now: float) -> View:
    """Look at the ledger at a moment of the brokers' clock."""
    part = window / BUCKETS
    history, releases = [0] * BUCKETS, [0] * BUCKETS
    used, leases, bookings = 0, [], []
    first: tuple[float, int] | None = None
    for (holder, _), lease in sorted(ledger.leases.items(), key=lambda item: item[1].expires):
        left = lease.expires - now
        if left <= 0:
            continue
        used += lease.updates
        history[max(0, BUCKETS - 1 - int(max(0.0, now - lease.since) / part))] += lease.updates
        releases[min(int(left / part), BUCKETS - 1)] += lease.updates
        first = first or (left, lease.updates)
        if not holder:
            bookings.append(BookingView(lease.updates, lease.name, round(left, 3)))
        elif lease.ends > now:
            leases.append(LeaseView(holder, lease.name, lease.updates, round(lease.ends - now, 3)))
    free = max(0, limit - used)
    return View(
        limit=limit,
        window_seconds=window,
        used=used,
        free=free,
        next_free_seconds=None if first is None else round(first[0], 3),
        next_free_updates=0 if first is None else first[1],
        used_up_seconds=_used_up(free, sum(history[-RECENT:]) / RECENT, releases, part),
        history=tuple(history),
        releases=tuple(releases),
        leases=tuple(leases),
        bookings=tuple(bookings),
    )


def _used_up(free: float, use: float, releases: list[int], part: float) -> float | None:
    """Go through the coming parts of the window with the same use in each."""
    if not use:
        return None
    for number, comes in enumerate(releases):
        if free + comes < use:
            return round((number + max(0.0, free) / use) * part, 1)
        free += comes - use
    return None
