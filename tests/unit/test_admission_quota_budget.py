"""The quota in hand: a grant is spent once, within its lease, and demand is announced."""

import pytest

from connector.admission.gate import Gate
from connector.admission.quota_budget import QuotaBudget, QuotaGrant
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Visitor

NOW = 100.0


def _allowance(*grants: QuotaGrant) -> tuple[QuotaBudget, list[None]]:
    allowance = QuotaBudget(unlimited=False)
    allowance.grants.extend(grants)
    rings: list[None] = []
    allowance.wanted = lambda: rings.append(None)
    return allowance, rings


def test_without_a_quota_a_call_is_always_allowed() -> None:
    """With QUOTA_UPDATES=0 no lease is ever requested, so none may be waited for."""
    allowance = QuotaBudget()
    assert allowance.current(1e18) is not None
    assert allowance.spend(1e18).number == 0


def test_with_a_quota_nothing_goes_before_a_grant() -> None:
    """A process that starts must not skip the check."""
    allowance, rings = _allowance()
    assert allowance.current(NOW) is None
    assert rings
    with pytest.raises(RuntimeError, match="without a grant"):
        allowance.spend(NOW)


def test_a_grant_is_spent_to_its_end_and_then_the_next() -> None:
    """The older one expires first: spent last, it would be returned instead."""
    allowance, _ = _allowance(QuotaGrant(1, 2, NOW + 1), QuotaGrant(2, 1, NOW + 2))
    assert [allowance.spend(NOW).number for _ in range(3)] == [1, 1, 2]
    assert allowance.current(NOW) is None


def test_a_grant_expires_though_something_is_left() -> None:
    """At the very moment of its end it is over: the lease counts from before that moment."""
    allowance, rings = _allowance(QuotaGrant(1, 5, NOW + 1))
    assert allowance.current(NOW + 0.999) is not None
    assert not rings
    assert allowance.current(NOW + 1) is None
    assert rings


def test_one_rings_when_half_of_it_is_left() -> None:
    """Asking only at zero would make every lease wait for a round trip."""
    allowance, rings = _allowance(QuotaGrant(1, 10, NOW + 1))
    for spent in range(1, 10):
        allowance.spend(NOW)
        assert len(rings) == (1 if spent >= 5 else 0)


@pytest.mark.parametrize(
    ("answer", "lost"),
    [
        (Answer(Verdict.ACCEPTED), False),
        (Answer(Verdict.REJECTED), False),
        (Answer(Verdict.THROTTLED), False),
        (Answer(Verdict.UNAUTHORIZED), False),
        (Answer(Verdict.UNCONFIRMED), False),
        (Answer(Verdict.UNAVAILABLE, own=True), False),
        (Answer(Verdict.UNAVAILABLE), True),
        (Answer(Verdict.TIMEOUT), True),
    ],
)
def test_every_attempt_spends_and_only_an_answer_of_the_endpoint_settles_it(answer: Answer, *, lost: bool) -> None:
    """A failed call is a call; and one that may still be in flight must not count as arrived."""
    allowance, _ = _allowance(grant := QuotaGrant(1, 3, NOW + 9))
    gate = Gate(8, allowance)
    passed = gate.enter(NOW, NOW)
    assert (grant.left, grant.flying) == (2, 1)
    gate.leave(Update(Visitor("pcId", "v"), 0.0), answer, NOW, NOW + 1, passed)
    assert (grant.left, grant.flying, grant.lost) == (2, 0, lost)


def test_an_abandoned_call_is_spent_and_may_still_arrive() -> None:
    """Closing the connection takes no request back."""
    allowance, _ = _allowance(grant := QuotaGrant(1, 3, NOW + 9))
    gate = Gate(8, allowance)
    gate.abandon(gate.enter(NOW, NOW))
    assert (grant.left, grant.flying, grant.lost) == (2, 0, True)


def test_an_unsent_call_is_not_spent() -> None:
    """An update without a request costs nothing, also when its grant was spent meanwhile."""
    allowance, _ = _allowance(grant := QuotaGrant(1, 1, NOW + 9))
    gate = Gate(8, allowance)
    gate.spare(gate.enter(NOW, NOW))
    assert (grant.left, grant.flying, grant.lost) == (1, 0, False)
    assert allowance.current(NOW) is grant
