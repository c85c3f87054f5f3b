"""The window as people see it: numbers that add up, and a forecast that goes through what comes free."""

import pytest

from connector.quota.ledger import Ledger
from connector.quota.records import Reserve, Return, Spend
from connector.quota.view import BUCKETS, view

WINDOW, NOW = 480.0, 10_000.0
PART = WINDOW / BUCKETS
LIMIT = 1_000


def _reserve(holder: str, updates: int, counted: float = WINDOW + 20) -> Reserve:
    return Reserve(holder, 1, updates, LIMIT, counted, 5.0, name=f"host of {holder}")


def test_an_empty_ledger_is_all_free() -> None:
    """Nobody has sent anything: no next, no forecast."""
    seen = view(Ledger(), LIMIT, WINDOW, NOW)
    assert (seen.used, seen.free, seen.next_free_seconds, seen.next_free_updates, seen.used_up_seconds) == (
        *(0, 1_000, None, 0, None),
    )
    assert seen.history == seen.releases == (0,) * BUCKETS


def test_the_numbers_add_up_and_say_what_comes_next() -> None:
    """Whoever reads them decides by them whether a backfill fits."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - 400)
    ledger.apply(_reserve("b", 100), NOW - 2)
    ledger.apply(Spend(50, WINDOW, "nightly"), NOW - 1)
    seen = view(ledger, LIMIT, WINDOW, NOW)
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
    """Names of holders and what people wrote into notes are for whoever may read the ledger."""
    ledger = Ledger()
    ledger.apply(Spend(50, WINDOW, "nightly"), NOW - 1)
    assert set(view(ledger, LIMIT, WINDOW, NOW).numbers()) == {
        *("limit", "window_seconds", "used", "free", "next_free_seconds", "next_free_updates", "used_up_seconds"),
        *("history", "releases"),
    }


def test_bookings_are_seen_until_they_come_free() -> None:
    """A lease's time to be spent is over in a minute, a booking's never began: the one must not hide the other."""
    ledger = Ledger()
    ledger.apply(Spend(50, WINDOW, "second"), NOW)
    ledger.apply(Spend(20, WINDOW / 2, "first"), NOW)
    assert [booking.note for booking in view(ledger, LIMIT, WINDOW, NOW + 1).bookings] == ["first", "second"]
    assert [booking.note for booking in view(ledger, LIMIT, WINDOW, NOW + WINDOW - 1).bookings] == ["second"]
    assert view(ledger, LIMIT, WINDOW, NOW + WINDOW).bookings == ()


def test_what_is_over_is_not_seen_though_no_record_said_so() -> None:
    """The fold moves with records only; people look in between."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - WINDOW - 20)
    assert ledger.used == 300
    assert view(ledger, LIMIT, WINDOW, NOW).used == 0


def test_a_returned_lease_is_not_held_any_more() -> None:
    """What was sent of it counts, but nobody may spend it."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 300), NOW - 2)
    ledger.apply(Return("a", 1, 200), NOW - 1)
    seen = view(ledger, LIMIT, WINDOW, NOW)
    assert (seen.used, seen.leases) == (100, ())


def test_more_than_the_limit_leaves_nothing_free() -> None:
    """After calls made elsewhere free is 0, never less."""
    ledger = Ledger()
    ledger.apply(Spend(1_500, WINDOW), NOW)
    assert (seen := view(ledger, LIMIT, WINDOW, NOW)).free == 0
    assert seen.used_up_seconds == 0.0


@pytest.mark.parametrize(("recent", "seconds"), [(200, 80.0), (20, None), (0, None)])
def test_the_forecast_is_when_the_present_use_ends_it(recent: int, seconds: float | None) -> None:
    """At 100 a part, 800 free last eight parts; what comes free meanwhile would make it longer."""
    ledger = Ledger()
    if recent:
        ledger.apply(_reserve("a", recent), NOW - PART / 2)
    assert view(ledger, LIMIT, WINDOW, NOW).used_up_seconds == seconds


def test_the_forecast_counts_on_what_comes_free() -> None:
    """What was sent in the beginning of the window comes back before all is used."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 700, WINDOW), NOW - WINDOW + PART / 2)
    ledger.apply(_reserve("b", 200), NOW - PART / 2)
    assert view(ledger, LIMIT, WINDOW, NOW).used_up_seconds == pytest.approx(80.0)
