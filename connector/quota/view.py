"""The window as people see it: what is used and by whom, what comes free when, and when it will be used up."""

from dataclasses import asdict, dataclass

from connector.quota.forecast import forecast
from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy

BUCKETS = 48
RECENT = 2
"""Parts of the window behind us that the current rate is taken from."""


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
    horizon_seconds: float
    """What is free is spread over it: `QUOTA_HORIZON_SECONDS`."""
    group_pace_per_second: float
    """What all replicas together may send now."""
    rate_per_second: float
    """The current rate: what replicas took in the last parts of the window. Bookings by hand are none of it."""
    slowed_seconds: float | None
    """From when the pace is below the current rate; None: not within a window."""
    used_up_seconds: float | None
    """When nothing is free any more at the current rate and the pace; None: not within a window."""
    used_forecast: tuple[int, ...]
    """Updates that will be used at the end of each coming part of the window, by the same forecast."""
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


def view(ledger: Ledger, terms: QuotaPolicy, now: float) -> View:
    """Look at the ledger at a moment of the brokers' clock."""
    limit, part = terms.limit, terms.window / BUCKETS
    history, releases, recent = [0] * BUCKETS, [0] * BUCKETS, 0
    used, leases, bookings = 0, [], []
    first: tuple[float, int] | None = None
    for (holder, _), lease in ledger.leases.items():
        left = lease.expires - now
        if left <= 0:
            continue
        updates = lease.updates
        used += updates
        if first is None or left < first[0]:
            first = left, updates
        age = max(0, int((now - lease.since) / part))
        history[max(0, BUCKETS - 1 - age)] += updates
        releases[min(int(left / part), BUCKETS - 1)] += updates
        if not holder:
            bookings.append(BookingView(updates, lease.name, round(left, 3)))
            continue
        if age < RECENT:
            recent += updates
        if lease.ends > now:
            leases.append(LeaseView(holder, lease.name, updates, round(lease.ends - now, 3)))
    free = max(0, limit - used)
    rate = recent / (RECENT * part)
    coming = forecast(free, rate, releases, part, terms.horizon)
    return View(
        limit=limit,
        window_seconds=terms.window,
        used=used,
        free=free,
        next_free_seconds=None if first is None else round(first[0], 3),
        next_free_updates=0 if first is None else first[1],
        horizon_seconds=terms.horizon,
        group_pace_per_second=round(terms.pace(free, ledger.until(now + terms.lease) - ledger.until(now)), 3),
        rate_per_second=round(rate, 3),
        slowed_seconds=coming.slowed_seconds,
        used_up_seconds=coming.used_up_seconds,
        used_forecast=tuple(max(0, round(limit - at_end)) for at_end in coming.free),
        history=tuple(history),
        releases=tuple(releases),
        leases=tuple(sorted(leases, key=lambda lease: lease.ends_in_seconds)),
        bookings=tuple(sorted(bookings, key=lambda booking: booking.free_in_seconds)),
    )
