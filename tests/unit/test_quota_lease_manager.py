"""One replica's side of the ledger: what it requests and when, what it may spend, and what it returns."""

import math
import random
from collections.abc import Sequence

import pytest

from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.quota.lease_manager import AGAIN, FIRST_UPDATES, IDLE, PROBES, RETRY_SECONDS, Demand, LeaseManager
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Record, Reserve, Return

TERMS = QuotaPolicy(limit=1_000, window=600.0, horizon=1.0, request_timeout=10.0)
DAY = QuotaPolicy(limit=1_000_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
EPOCH = 1_700_000_000.0
BUSY = Demand(waiting=5, in_flight=0, partitions=3, per_second=math.inf)
QUIET = Demand(waiting=0, in_flight=0, partitions=3, per_second=math.inf)


class Desk:
    """A holder and a log that accepts all at once; the holder's clock and the brokers' differ."""

    def __init__(self, terms: QuotaPolicy = TERMS, *, caught_up: bool = True) -> None:
        self.holder = LeaseManager(
            terms, QuotaBudget(unlimited=False), random.Random(1), who="me", name="host", offset=-math.inf
        )
        self.holder.caught_up = caught_up
        self.terms = terms

    def read(self, records: Sequence[Record], at: float) -> None:
        """Read them back from the log."""
        for record in records:
            self.holder.read(record, EPOCH + at, at)

    def turn(self, at: float, need: Demand = BUSY) -> list[Record]:
        """Decide, and read the resulting records."""
        records = self.holder.decide(at, need)
        self.read(records, at)
        return records

    def fill(self, updates: int, at: float = 0.0) -> None:
        """Another holder leases this much."""
        self.read([Reserve("other", int(at), updates, self.terms.limit, self.terms.counted, 1.0)], at)

    @property
    def grants(self) -> list[QuotaGrant]:
        """What is in hand."""
        return list(self.holder.allowance.grants)

    def spend(self, count: int, at: float) -> QuotaGrant:
        """Send requests and answer them."""
        for _ in range(count):
            grant = self.holder.allowance.spend(at)
            grant.flying -= 1
        return grant

    def use_up(self, leases: int) -> float:
        """Request this many leases and spend each wholly, one each tenth of a second; returns when the last was."""
        for number in range(leases):
            self.turn(number / 10)
            self.spend(self.grants[-1].size, number / 10)
        return leases / 10


def test_it_asks_only_on_demand_and_when_all_was_read() -> None:
    """By a partial log it would request what others have; an idle replica would hold what they need."""
    desk = Desk(caught_up=False)
    assert desk.turn(0.0) == []
    desk.holder.caught_up = True
    assert desk.turn(TERMS.lease, QUIET) == []
    (asked,) = desk.turn(TERMS.lease)
    assert asked == Reserve("me", 1, FIRST_UPDATES, 1_000, TERMS.counted, TERMS.lease, 3, "host", TERMS.window)


def test_nothing_may_be_spent_before_the_own_record_is_read() -> None:
    """A request is not yet a grant."""
    desk = Desk()
    desk.fill(995)
    records = desk.holder.decide(0.0, BUSY)
    assert desk.holder.asking
    assert desk.grants == []
    desk.read(records, 0.1)
    assert [grant.size for grant in desk.grants] == [5]
    assert not desk.holder.asking


def test_a_lease_ends_by_when_it_was_asked_for() -> None:
    """It counts from its append, which may be just after the request: read late, it ends no later."""
    desk = Desk()
    records = desk.holder.decide(50.0, BUSY)
    desk.read(records, 51.0)
    assert [grant.ends for grant in desk.grants] == [50.0 + TERMS.lease]


def test_a_lease_read_past_its_end_is_returned_whole() -> None:
    """Frozen between append and read: it must not be spent, and should not be lost."""
    desk = Desk()
    records = desk.holder.decide(50.0, BUSY)
    desk.read(records, 60.0)
    assert desk.holder.allowance.current(60.0) is None
    returned = desk.turn(60.0)
    assert returned[0] == Return("me", 1, FIRST_UPDATES, TERMS.settled)
    assert desk.holder.ledger.leases.keys() == {("me", 2)}


def test_one_is_requested_at_a_time() -> None:
    """While the ledger does not answer, repeated requests would lease the whole quota at once."""
    desk = Desk()
    assert len(desk.holder.decide(0.0, BUSY)) == 1
    assert desk.holder.decide(TERMS.lease * 0.9, BUSY) == []
    (again,) = desk.holder.decide(TERMS.lease * 1.1, BUSY)
    assert isinstance(again, Reserve)
    assert again.lease == 2


@pytest.mark.no_cover
def test_a_holder_that_can_append_and_not_read_takes_little_of_the_window() -> None:
    """A missing right, or a transaction that hides the log: a new request each minute would take the day."""
    desk = Desk(DAY)
    desk.holder.per_second = math.inf
    asked = [record for second in range(86_400) for record in desk.holder.decide(float(second), BUSY)]
    assert all(isinstance(record, Reserve) and record.updates <= PROBES for record in asked)
    assert 50 < len(asked) < 120
    assert desk.holder.blind == len(asked) - 1
    desk.read([asked[-1]], 86_400.0)
    assert desk.holder.blind == 0


def test_it_asks_ahead_where_events_come_one_by_one() -> None:
    """No update waits at any decision then, and each lease's first update would wait for the ledger."""
    desk = Desk()
    desk.turn(0.0)
    flying = Demand(waiting=0, in_flight=1, partitions=3, per_second=math.inf)
    assert desk.turn(TERMS.lease * 0.5, flying) == []
    assert [type(record) for record in desk.turn(TERMS.lease * 0.8, QUIET)] == [Reserve]
    assert desk.holder.in_hand == 2 * FIRST_UPDATES


def test_a_grant_that_is_not_waited_for_is_returned() -> None:
    """An append that was reported failed, or given up, and landed later."""
    desk = Desk()
    records = desk.holder.decide(0.0, BUSY)
    desk.holder.failed(1, 0.0)
    assert not desk.holder.asking
    assert desk.holder.decide(RETRY_SECONDS * 0.9, BUSY) == []
    desk.read(records, RETRY_SECONDS)
    assert desk.grants == []
    given_back, asked = desk.turn(RETRY_SECONDS)
    assert given_back == Return("me", 1, FIRST_UPDATES)
    assert isinstance(asked, Reserve)
    assert desk.holder.ledger.used == FIRST_UPDATES


def test_a_failure_of_an_earlier_request_is_ignored() -> None:
    """Its report may come when the next is already requested."""
    desk = Desk()
    desk.holder.decide(0.0, BUSY)
    desk.holder.decide(TERMS.lease * 1.1, BUSY)
    desk.holder.failed(1, 5.0)
    assert desk.holder.asking


def test_a_used_up_lease_doubles_the_next() -> None:
    """From ten to what can be sent within a lease, in a few round trips; a crash wastes in proportion."""
    desk = Desk(DAY)
    sizes, at = [], 0.0
    for _ in range(5):
        (asked,) = [record for record in desk.turn(at) if isinstance(record, Reserve)]
        sizes.append(asked.updates)
        desk.spend(asked.updates, at)
        at += 0.1
    assert sizes == [10, 20, 40, 80, 160]


def test_a_lease_that_was_too_large_makes_the_next_smaller() -> None:
    """Another replica needs what is held unused."""
    desk = Desk(DAY)
    at = desk.use_up(5)
    desk.turn(at)
    assert desk.grants[-1].size == 320
    desk.spend(40, at)
    ended = desk.turn(at + DAY.lease)
    assert [type(record) for record in ended] == [Return, Reserve]
    assert isinstance(ended[1], Reserve)
    assert ended[1].updates == 50


def test_it_asks_before_the_last_is_spent() -> None:
    """Else every lease begins with a wait for a round trip."""
    desk = Desk()
    desk.turn(0.0)
    desk.spend(4, 0.1)
    assert desk.turn(0.1) == []
    desk.spend(1, 0.1)
    assert [type(record) for record in desk.turn(0.1)] == [Reserve]


def test_it_asks_before_the_last_ends() -> None:
    """The rest of a lease that ends in a moment is not in hand."""
    desk = Desk()
    desk.turn(0.0)
    assert desk.turn(TERMS.lease * 0.7) == []
    assert [type(record) for record in desk.turn(TERMS.lease * 0.8)] == [Reserve]


def test_nothing_is_requested_when_nothing_is_free() -> None:
    """A full window must not fill the ledger with useless requests."""
    desk = Desk()
    desk.fill(1_000)
    assert [type(record) for record in desk.turn(0.5)] == [Reserve], "once, to learn the brokers' time"
    assert desk.turn(1.0) == []
    assert desk.turn(TERMS.counted - 0.1) == []
    assert [type(record) for record in desk.turn(TERMS.counted + 0.1)] == [Reserve]
    assert len(desk.grants) == 1


def test_a_holder_that_got_less_than_requested_waits_a_while() -> None:
    """Sixteen replicas that all request the last call at each decision would dominate the ledger."""
    desk = Desk()
    desk.fill(997)
    desk.turn(0.0)
    desk.spend(3, 0.0)
    desk.read([Return("other", 0, 500)], 0.0)
    assert [type(record) for record in desk.turn(TERMS.lease * AGAIN * 0.79)] == [Return]
    assert [type(record) for record in desk.turn(TERMS.lease * AGAIN * 1.21)] == [Reserve]


def test_a_lease_in_hand_is_returned_when_nothing_is_sent() -> None:
    """An idle replica holds nothing; a request in flight is not idle."""
    desk = Desk()
    desk.turn(0.0)
    assert desk.turn(TERMS.lease * IDLE * 0.3, QUIET) == []
    desk.turn(TERMS.lease * IDLE * 0.4, Demand(0, 1, 3, math.inf))
    assert desk.turn(TERMS.lease * IDLE * 1.3, QUIET) == []
    assert desk.turn(TERMS.lease * IDLE * 1.45, QUIET) == [Return("me", 1, FIRST_UPDATES, TERMS.settled)]
    assert desk.holder.in_hand == desk.holder.ledger.used == 0
    assert desk.holder.allowance.current(TERMS.lease * IDLE * 1.45) is None


@pytest.mark.parametrize("lost", [False, True])
def test_the_rest_is_settled_when_all_is_answered_and_not_before(*, lost: bool) -> None:
    """With one in flight its arrival is not known yet; with one lost it never is."""
    desk = Desk()
    desk.turn(0.0)
    grant = desk.holder.allowance.spend(0.0)
    end = TERMS.lease
    assert desk.turn(end, QUIET)[0] == Return("me", 1, FIRST_UPDATES - 1)
    assert desk.turn(end + 1, QUIET) == []
    grant.flying -= 1
    grant.lost = lost
    assert desk.turn(end + 2, QUIET) == ([] if lost else [Return("me", 1, 0, TERMS.settled)])
    assert desk.turn(end + 3, QUIET) == []
    release = desk.holder.ledger.next_release()
    assert release is not None
    assert release[0] - EPOCH == pytest.approx(TERMS.counted if lost else end + 2 + TERMS.settled, abs=1e-3)


def test_in_a_long_window_settling_is_not_worth_a_record() -> None:
    """A day's lease that is used up costs one record, and counts a thousandth longer."""
    desk = Desk(DAY)
    desk.turn(0.0)
    desk.spend(FIRST_UPDATES, 0.0)
    assert [type(record) for record in desk.turn(0.1)] == [Reserve]


def test_while_the_endpoint_is_down_it_asks_for_probes() -> None:
    """Leases for a whole minute of sending would be wasted one after the other."""
    desk = Desk(DAY)
    at = desk.use_up(5)
    (asked,) = desk.turn(at, Demand(500, 0, 3, 200.0, circuit_open=True))
    assert isinstance(asked, Reserve)
    assert asked.updates == PROBES


def test_the_pace_spreads_what_is_free_and_what_becomes_free() -> None:
    """At the end of a day updates are slow and not stopped, and what becomes free is not delayed by an hour."""
    desk = Desk(DAY)
    desk.fill(640_000)
    desk.turn(2 * DAY.lease, QUIET)
    assert desk.holder.per_second == pytest.approx(100.0)
    desk = Desk(DAY)
    desk.fill(1_000_000)
    desk.turn(DAY.counted - DAY.lease / 2, QUIET)
    assert desk.holder.per_second == pytest.approx(1_000_000 / DAY.lease)
    desk.turn(DAY.counted - DAY.lease / 4, Demand(0, 0, 3, 50.0))
    assert desk.holder.per_second == 50.0


def test_the_pace_is_shared_by_partitions_among_those_that_send() -> None:
    """Per replica, one with one partition of ten would take half; idle ones would keep a part for nothing."""
    desk = Desk(DAY)
    other = Reserve("other", 1, 0, DAY.limit, DAY.counted, DAY.lease, weight=9)
    desk.read([other], 0.0)
    desk.turn(1.0, Demand(0, 0, 1, math.inf))
    whole = DAY.limit / DAY.horizon
    assert desk.holder.per_second == pytest.approx(whole / 10)
    desk.turn(2 * DAY.lease + 5, Demand(0, 0, 1, math.inf))
    assert desk.holder.per_second == pytest.approx(whole)


def test_a_lease_is_no_larger_than_what_can_be_sent_in_it() -> None:
    """The rest would be returned at its end, and no other could have it meanwhile."""
    desk = Desk(DAY)
    for at in (0.0, 0.1, 0.2):
        desk.turn(at)
        desk.spend(desk.grants[-1].size, at)
    (asked,) = desk.turn(0.3, Demand(500, 0, 3, 0.5))
    assert isinstance(asked, Reserve)
    assert asked.updates == 30


def test_at_the_end_all_is_returned_and_nothing_is_spent() -> None:
    """A drained replica returns its leases to the others."""
    desk = Desk()
    desk.turn(0.0)
    desk.spend(3, 0.0)
    desk.read(records := desk.holder.close(0.5), 0.5)
    assert records == [Return("me", 1, FIRST_UPDATES - 3, TERMS.settled), Return("me", 1, 0, leaves=True)]
    assert desk.holder.allowance.current(0.5) is None
    assert desk.holder.ledger.used == 3
    assert desk.holder.ledger.active(EPOCH + 0.5) == {}


def test_a_holder_that_never_asked_leaves_without_a_record() -> None:
    """An idle replica that is scaled down needs no record."""
    assert Desk().holder.close(0.5) == []


def test_a_foreign_record_is_ignored_and_still_gives_the_time() -> None:
    """A foreign record in the topic has an append time as every other."""
    desk = Desk()
    desk.holder.read(None, EPOCH + 7.0, 7.0)
    assert desk.holder.ledger.used == 0
    assert desk.holder.now(8.0) == EPOCH + 8.0


def test_time_is_that_of_the_record_with_the_least_delay() -> None:
    """A log read from its beginning is old; it must not set the time to yesterday."""
    desk = Desk()
    desk.holder.read(None, EPOCH - 80_000.0, 0.0)
    desk.holder.read(None, EPOCH + 1.0, 1.2)
    desk.holder.read(None, EPOCH + 2.0, 9.0)
    assert desk.holder.now(10.0) == pytest.approx(EPOCH + 9.8)


@pytest.mark.parametrize("wrong", [-7_200.0, 7_200.0])
def test_a_machine_with_a_wrong_clock_asks_once_and_learns_the_time(wrong: float) -> None:
    """After a night without replicas a clock two hours behind would take the window to be full for two more."""
    desk = Desk()
    desk.fill(TERMS.limit)
    desk.holder = LeaseManager(
        TERMS, QuotaBudget(unlimited=False), random.Random(1), who="me", name="host", offset=EPOCH + wrong
    )
    desk.fill(TERMS.limit)
    desk.holder.caught_up = True
    later = TERMS.counted + 1.0
    assert desk.turn(later), "it asks"
    assert desk.grants, "and gets what became free meanwhile"
    assert desk.holder.now(later) == EPOCH + later
