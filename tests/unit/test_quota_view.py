"""The window as operators see it: numbers that add up, and a forecast that includes what becomes free."""

import pytest

from connector.quota.ledger import Ledger
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Reserve, Return, Spend
from connector.quota.view import BUCKETS, RECENT, view

WINDOW, NOW = 480.0, 10_000.0
PART = WINDOW / BUCKETS
LIMIT = 1_000
TERMS = QuotaPolicy(limit=LIMIT, window=WINDOW, horizon=2.0, request_timeout=10.0)


def _reserve(holder: str, updates: int, counted: float = WINDOW + 20) -> Reserve:
    return Reserve(holder, 1, updates, LIMIT, counted, 5.0, name=f"host of {holder}")


def test_an_empty_ledger_is_all_free() -> None:
    """Nothing was sent: no next, no forecast."""
    seen = view(Ledger(), TERMS, NOW)
    assert (seen.used, seen.free, seen.next_free_seconds, seen.next_free_updates, seen.used_up_seconds) == (
        *(0, 1_000, None, 0, None),
    )
    assert seen.history == seen.releases == (0,) * BUCKETS


def test_the_numbers_add_up_and_say_what_comes_next() -> None:
    """Operators decide by them whether a backfill fits."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - 400)
    ledger.apply(_reserve("b", 100), NOW - 2)
    ledger.apply(Spend(50, WINDOW, "nightly"), NOW - 1)
    seen = view(ledger, TERMS, NOW)
    assert (seen.used, seen.free) == (450, 550)
    assert (seen.next_free_seconds, seen.next_free_updates) == (100.0, 300)
    assert sum(seen.history) == sum(seen.releases) == 450
    assert seen.history[-1] == 150
    assert seen.history[BUCKETS - 1 - 40] == 300
    assert seen.releases[10] == 300
    (lease,) = seen.leases
    assert (lease.holder, lease.name, lease.updates, lease.ends_in_seconds) == ("b", "host of b", 100, 3.0)
    (booking,) = seen.bookings
    assert (booking.updates, booking.note, booking.free_in_seconds) == (50, "nightly", WINDOW - 1)


def test_the_status_page_gets_numbers_alone() -> None:
    """Names of holders and notes are only for those who may read the ledger."""
    ledger = Ledger()
    ledger.apply(Spend(50, WINDOW, "nightly"), NOW - 1)
    assert set(view(ledger, TERMS, NOW).numbers()) == {
        *("limit", "window_seconds", "used", "free", "next_free_seconds", "next_free_updates", "used_up_seconds"),
        *("history", "releases", "horizon_seconds", "group_pace_per_second", "rate_per_second", "slowed_seconds"),
        "used_forecast",
    }


def test_bookings_are_shown_until_they_become_free() -> None:
    """A lease can be spent for a minute, a booking never: one must not hide the other."""
    ledger = Ledger()
    ledger.apply(Spend(50, WINDOW, "second"), NOW)
    ledger.apply(Spend(20, WINDOW / 2, "first"), NOW)
    assert [booking.note for booking in view(ledger, TERMS, NOW + 1).bookings] == ["first", "second"]
    assert [booking.note for booking in view(ledger, TERMS, NOW + WINDOW - 1).bookings] == ["second"]
    assert view(ledger, TERMS, NOW + WINDOW).bookings == ()


def test_an_expired_lease_is_not_shown_though_no_record_said_so() -> None:
    """The fold moves with records only; the view may be asked in between."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - WINDOW - 20)
    assert ledger.used == 300
    assert view(ledger, TERMS, NOW).used == 0


def test_a_returned_lease_is_not_held_any_more() -> None:
    """Its spent calls count, but the rest cannot be spent."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - 2)
    ledger.apply(Return("a", 1, 200), NOW - 1)
    seen = view(ledger, TERMS, NOW)
    assert (seen.used, seen.leases) == (100, ())


def test_more_than_the_limit_leaves_nothing_free() -> None:
    """After calls made elsewhere free is 0, never less."""
    ledger = Ledger()
    ledger.apply(Spend(1_500, WINDOW), NOW)
    assert (seen := view(ledger, TERMS, NOW)).free == 0
    assert seen.used_up_seconds == 0.0


@pytest.mark.parametrize(
    ("recent", "slowed", "used_up"),
    [
        # 10 a second of 800 free: for 78 s the pace allows it; of the 20 that are free then each second takes half.
        (200, 78.0, 84.0),
        (20, None, None),
        (0, None, None),
    ],
)
def test_the_forecast_is_the_current_rate_at_the_current_pace(
    recent: int, slowed: float | None, used_up: float | None
) -> None:
    """The fault: "used up in 95 s" beside "one every 40 s", because the forecast ignored the pace."""
    ledger = Ledger()
    if recent:
        ledger.apply(_reserve("a", recent), NOW - PART / 2)
    seen = view(ledger, TERMS, NOW)
    assert seen.rate_per_second == recent / (RECENT * PART)
    assert seen.slowed_seconds == slowed
    assert seen.used_up_seconds == (None if used_up is None else pytest.approx(used_up, abs=0.1))


def test_the_rest_at_a_slow_pace_lasts_as_long_as_the_pace_says() -> None:
    """One every 40 s: 90 free calls last for hours, however high the rate was before."""
    terms = QuotaPolicy(limit=1_000_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
    ledger = Ledger()
    ledger.apply(Reserve("a", 1, 999_910, 1_000_000, 86_470.0, 60.0), NOW)
    seen = view(ledger, terms, NOW)
    assert seen.free == 90
    assert seen.group_pace_per_second == pytest.approx(1 / 40)
    assert seen.slowed_seconds == 0
    assert seen.used_up_seconds is not None
    assert 4 * 3_600 < seen.used_up_seconds < 5 * 3_600
    assert list(seen.used_forecast[:-1]) == sorted(seen.used_forecast[:-1])
    assert 999_910 < seen.used_forecast[0] < 1_000_000


def test_a_manual_booking_is_no_rate_of_use() -> None:
    """Calls made once do not continue: they reduce what is free, and nothing else."""
    ledger = Ledger()
    ledger.apply(Spend(500, WINDOW, "nightly"), NOW - 1)
    seen = view(ledger, TERMS, NOW)
    assert (seen.rate_per_second, seen.slowed_seconds, seen.used_up_seconds) == (0, None, None)
    ledger.apply(_reserve("a", 20), NOW - 1)
    assert view(ledger, TERMS, NOW).rate_per_second == 1.0


def test_the_forecast_includes_what_becomes_free() -> None:
    """Calls from the beginning of the window become free before all is used."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 700, WINDOW), NOW - WINDOW + PART / 2)
    ledger.apply(_reserve("b", 200), NOW - PART / 2)
    seen = view(ledger, TERMS, NOW)
    assert seen.free == 100
    # In the first part 700 become free: without them the pace would slow it after 8 s.
    assert seen.slowed_seconds == pytest.approx(78.0)
    assert seen.used_forecast[0] == 300
