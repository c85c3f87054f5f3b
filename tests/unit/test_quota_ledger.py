"""The fold of the ledger: what a record grants, takes off and expires, by the brokers' time alone."""

from typing import Any

from connector.quota.ledger import Key, Lease, Ledger
from connector.quota.records import Reserve, Return, Spend

LIMIT, COUNTED = 100, 60.0


def _reserve(holder: str, lease: int, updates: int, *, limit: int = LIMIT, weight: int = 1) -> Reserve:
    return Reserve(holder, lease, updates, limit, COUNTED, 5.0, weight, holder.upper())


def test_a_reserve_gets_what_is_free_and_no_more() -> None:
    """Granting the full request, or nothing when not all is free, would break the quota or waste it."""
    ledger = Ledger()
    assert ledger.apply(_reserve("a", 1, 70), 1_000.0) == 70
    assert ledger.apply(_reserve("b", 1, 70), 1_001.0) == 30
    assert ledger.apply(_reserve("c", 1, 1), 1_002.0) == 0
    assert (ledger.used, ledger.free(LIMIT, 1_002.0)) == (100, 0)


def test_a_lease_counts_exactly_until_its_time_is_over() -> None:
    """A moment too early is one request too many in a window."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 100), 1_000.0)
    assert ledger.apply(_reserve("b", 1, 1), 1_000.0 + COUNTED - 0.001) == 0
    assert ledger.free(LIMIT, 1_000.0 + COUNTED) == 100
    assert ledger.apply(_reserve("b", 2, 1), 1_000.0 + COUNTED) == 1


def test_a_return_frees_unspent_calls_once() -> None:
    """Taken off twice, or of an expired lease, it would free what others have spent."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 60), 1_000.0)
    ledger.apply(_reserve("b", 1, 40), 1_000.0)
    for _ in range(3):
        ledger.apply(Return("a", 1, 20), 1_001.0)
    assert ledger.used == 80
    ledger.apply(Return("a", 1, 60), 1_002.0)
    assert ledger.used == 40
    ledger.apply(Return("a", 1, 60), 1_003.0)
    ledger.apply(Return("nobody", 9, 60), 1_003.0)
    assert ledger.used == 40
    ledger.apply(Return("b", 1, 40), 1_000.0 + COUNTED)
    assert ledger.used == 0


def test_more_returned_than_granted_frees_the_lease_alone() -> None:
    """A wrong record of another process must free only its own lease."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 10), 1_000.0)
    ledger.apply(_reserve("b", 1, 10), 1_000.0)
    ledger.apply(Return("a", 1, 999), 1_001.0)
    assert ledger.used == 10


def test_an_answered_return_expires_the_rest_earlier_and_never_later() -> None:
    """It only says that all has arrived: written late, it must not prolong a lease's counting."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 10), 1_000.0)
    ledger.apply(_reserve("b", 1, 10), 1_000.0)
    ledger.apply(Return("a", 1, 4, 50.0), 1_002.0)
    ledger.apply(Return("b", 1, 0, 50.0), 1_030.0)
    assert ledger.next_release() == (1_052.0, 6)
    assert [ledger.until(when) for when in (1_051.9, 1_052.0, 1_059.9, 1_060.0)] == [0, 6, 6, 16]
    ledger.apply(Return("a", 1, 4, 50.0), 1_009.0)
    assert ledger.next_release() == (1_052.0, 6)


def test_a_reserve_that_is_written_twice_grants_once() -> None:
    """A producer that repeats itself would otherwise hold, and count, two leases of one number."""
    ledger = Ledger()
    assert ledger.apply(_reserve("a", 1, 10), 1_000.0) == 10
    assert ledger.apply(_reserve("a", 1, 10), 1_000.1) == 0
    assert ledger.used == 10


def test_time_does_not_go_back_with_another_brokers_clock() -> None:
    """An expired lease stays expired: else a fold would differ from the one before it."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 10), 1_000.0)
    ledger.apply(_reserve("b", 1, 10), 1_060.0)
    assert ledger.used == 10
    ledger.apply(_reserve("c", 1, 10), 1_059.0)
    assert (ledger.used, ledger.now) == (20, 1_060.0)
    assert ledger.next_release() == (1_120.0, 10)


def test_calls_made_elsewhere_count_also_above_the_limit() -> None:
    """The calls were made: the next request waits until all of them are out of the window."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 90), 1_000.0)
    assert ledger.apply(Spend(50, 30.0, "a script"), 1_001.0) == 0
    assert (ledger.used, ledger.free(LIMIT, 1_001.0)) == (140, -40)
    assert ledger.apply(_reserve("b", 1, 10), 1_002.0) == 0
    ledger.apply(Spend(5, 30.0), 1_003.0)
    assert ledger.used == 145
    assert ledger.apply(_reserve("b", 2, 10), 1_032.0) == 5


def test_a_lower_limit_holds_for_later_grants() -> None:
    """In a rolling upgrade two limits are in one log; each record has its own."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 80), 1_000.0)
    assert ledger.apply(_reserve("b", 1, 10, limit=50), 1_001.0) == 0
    assert ledger.apply(_reserve("c", 1, 50), 1_001.0) == 20


def test_a_holder_without_requests_for_two_leases_loses_its_share() -> None:
    """A replica that died, or has nothing to send, must not keep a part of the pace."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 1, weight=3), 1_000.0)
    ledger.apply(_reserve("b", 1, 1, weight=1), 1_008.0)
    assert ledger.active(1_010.0) == {"a": 3, "b": 1}
    assert ledger.active(1_010.1) == {"b": 1}


def test_a_holder_that_leaves_loses_its_share_at_once() -> None:
    """After each rollout the newcomers would otherwise have half of the pace for two leases; all bookings stay."""
    ledger = Ledger()
    ledger.apply(_reserve("a", 1, 10, weight=3), 1_000.0)
    ledger.apply(_reserve("b", 1, 10, weight=1), 1_000.0)
    ledger.apply(Return("a", 1, 0, leaves=True), 1_001.0)
    assert ledger.active(1_001.0) == {"b": 1}
    assert ledger.used == 20


def test_a_holder_of_few_calls_takes_no_share() -> None:
    """A probe leases what it sends, and must not slow the service down."""
    ledger = Ledger()
    assert ledger.apply(_reserve("probe", 1, 2, weight=0), 1_000.0) == 2
    assert ledger.active(1_000.0) == {}


def test_nothing_is_booked_at_first() -> None:
    """An empty log means that all is free, and nothing becomes free."""
    empty = Ledger()
    assert (empty.used, empty.next_release(), empty.until(1e12), empty.free(LIMIT, 0.0)) == (0, None, 0, LIMIT)


class CountingLeases(dict[Key, Lease]):
    """Counts the leases that are read, one by one or all of them."""

    looks = 0

    def get(self, key: Key, default: Any = None) -> Any:
        self.looks += 1
        return super().get(key, default)

    def values(self) -> Any:
        self.looks += len(self)
        return super().values()


def test_what_becomes_free_soon_is_found_without_reading_the_whole_day() -> None:
    """100 replicas hold 144,000 leases of a day: reading each took 14 ms of the event loop, every few seconds."""
    ledger = Ledger()
    for number in range(5_000):
        ledger.apply(Reserve("a", number, 1, 1 << 20, 86_400.0, 60.0), 1_000.0 + number)
    counting = ledger.leases = CountingLeases(ledger.leases)
    assert ledger.until(1_000.0 + 86_400.0 + 9) == 10
    assert ledger.free(1 << 20, 1_000.0 + 86_400.0 + 9) == (1 << 20) - 4_990
    assert 20 <= counting.looks < 60
