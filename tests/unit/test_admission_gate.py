"""The gate: an attempt that bypasses it is an uncounted call, or a zombie's."""

import math

from connector.admission.circuit_breaker import PROBE_SECONDS
from connector.admission.concurrency_limiter import FIRST
from connector.admission.gate import Gate
from connector.admission.membership_lease import MembershipLease
from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Visitor

FINE = Answer(Verdict.ACCEPTED)
BUSY = Answer(Verdict.THROTTLED, "HTTP 503")


def _update(number: int = 0, *, tries: int = 0) -> Update:
    update = Update(Visitor("pcId", str(number)), 0.0)
    update.attempts = tries
    return update


def _gate(slots: int = 64) -> Gate:
    gate = Gate(slots)
    gate.rate.limit(math.inf)
    gate.lease.seconds = 30.0
    gate.lease.renew(0.0)
    return gate


def test_a_lease_counts_from_the_moment_of_asking() -> None:
    """The group may have answered long before we read it; counted from the answer, it would outlive the session."""
    lease = MembershipLease()
    lease.seconds = 30.0
    assert lease.left(0.0) <= 0, "no commit was answered yet"
    lease.renew(100.0)
    assert lease.left(129.9) > 0
    assert lease.left(130.0) <= 0
    lease.renew(90.0)
    assert lease.left(129.9) > 0, "a late answer shortens nothing"


def test_nothing_goes_without_the_lease() -> None:
    """A replica that was frozen past its session would write old values over its successor's."""
    gate = _gate()
    assert gate.wait(0.0, 29.9) <= 0
    assert gate.wait(0.0, 30.0) == math.inf
    gate.lease.renew(31.0)
    assert gate.wait(0.0, 31.0) <= 0


def test_nothing_goes_beyond_the_slots() -> None:
    """More at once than the endpoint can serve only slows all of them."""
    gate = _gate()
    attempts = [gate.enter(0.0, 0.0) for _ in range(FIRST)]
    assert gate.wait(0.0, 0.0) == math.inf
    gate.leave(_update(), FINE, 0.0, 0.1, attempts[0])
    assert gate.wait(0.1, 0.1) <= 0


def test_an_abandoned_attempt_frees_its_slot() -> None:
    """Else every cancelled request would take a slot for good, until none is left."""
    gate = _gate(1)
    attempt = gate.enter(0.0, 0.0)
    assert gate.wait(0.0, 0.0) == math.inf
    gate.abandon(attempt)
    assert gate.in_flight == 0
    assert gate.wait(0.0, 0.0) <= 0


def test_a_probe_needs_no_slot() -> None:
    """After an outage of hanging requests one slot is left, and it hangs: recovery would be noticed 10 s late."""
    gate = _gate(1)
    for turn in range(8):
        attempt = gate.enter(0.0, 0.0)
        gate.leave(_update(turn), Answer(Verdict.TIMEOUT), 0.0, 1.0, attempt)
    assert gate.circuit.is_open
    gate.enter(2.0, 2.0)
    assert gate.wait(2.0 + PROBE_SECONDS, 2.0) <= 0


def test_only_first_attempts_count_as_overload() -> None:
    """One visitor that always times out would halve the slots for all at each of its retries."""
    gate = _gate()
    for turn in range(50):
        gate.leave(_update(tries=1), Answer(Verdict.TIMEOUT), turn, turn + 0.5, gate.enter(turn, turn))
    assert gate.concurrency.slots == FIRST
    gate.leave(_update(), BUSY, 60.0, 60.5, gate.enter(60.0, 60.0))
    assert gate.concurrency.slots == FIRST / 2


def test_an_expired_lease_is_renewed_only_by_a_later_request() -> None:
    """Wrong design: a commit requested before the expiry, when nothing was in flight, lets a request go."""
    lease = MembershipLease()
    lease.seconds = 30.0
    lease.renew(100.0)
    lease.expire(110.0)
    assert lease.left(110.0) <= 0
    lease.renew(109.0)
    assert lease.left(110.0) <= 0, "its answer came late; it was requested before"
    lease.renew(110.0)
    assert lease.left(111.0) == 29.0


def test_an_attempt_that_never_left_the_machine_spends_no_quota() -> None:
    """Without a free file there is no connection and no call: else a replica at that limit would use up the window."""
    gate = Gate(64, QuotaBudget(unlimited=False))
    gate.rate.limit(math.inf)
    gate.lease.seconds = 30.0
    gate.lease.renew(0.0)
    grant = QuotaGrant(1, 10, 20.0)
    gate.allowance.grants.append(grant)
    without_a_file = Answer(Verdict.UNAVAILABLE, "no file is left", local=True)
    gate.leave(_update(), without_a_file, 0.0, 0.1, gate.enter(0.0, 0.0))
    assert (grant.left, grant.flying) == (10, 0)
    gate.leave(_update(), FINE, 1.0, 1.1, gate.enter(1.0, 1.0))
    assert grant.left == 9
