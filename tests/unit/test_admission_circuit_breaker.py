"""The circuit breaker decides between "this update is bad" and "the endpoint is down"; both errors are costly."""

import math
import random

import pytest

from connector.admission.circuit_breaker import (
    DOUBT_SECONDS,
    FAILURES_TO_OPEN,
    LOCAL_PAUSE_SECONDS,
    PROBE_SECONDS,
    SICK_SECONDS,
    UNAUTHORIZED_PROBE_SECONDS,
    CircuitBreaker,
    Transition,
)
from connector.delivery.answer import Answer, Verdict
from connector.delivery.update import Update
from connector.events.change import Visitor

DOWN = Answer(Verdict.UNAVAILABLE, "HTTP 502")
BAD = Answer(Verdict.UNAVAILABLE, "HTTP 500", own=True)
UNREACHED = Answer(Verdict.UNAVAILABLE, "no connection", reached=False)
BUSY = Answer(Verdict.THROTTLED, "HTTP 429")
DENIED = Answer(Verdict.UNAUTHORIZED, "HTTP 401")
FINE = Answer(Verdict.ACCEPTED)


def _visitor(number: int) -> Visitor:
    return Visitor("mbox3rdPartyId", str(number))


def _update(number: int, *, seen: int = -1) -> Update:
    update = Update(_visitor(number), 0.0)
    update.successes_at_failure = seen
    return update


def _answer(
    circuit: CircuitBreaker, visitor: int, answer: Answer, now: float = 0.0, *, first: bool = True
) -> Transition | None:
    """One request, answered at once."""
    probe = circuit.started(now)
    return circuit.settled(_visitor(visitor), answer, now, first=first, probe=probe)


def _opened(answer: Answer = DOWN) -> CircuitBreaker:
    circuit = CircuitBreaker()
    for number in range(FAILURES_TO_OPEN):
        _answer(circuit, number, answer)
    assert circuit.is_open
    return circuit


def test_a_lone_visitor_who_always_fails_never_opens_it() -> None:
    """One poison update is its own fault; a plain counter of failures would stop all visitors for it."""
    circuit = CircuitBreaker()
    for turn in range(1_000):
        assert _answer(circuit, 1, DOWN, first=turn == 0) is None
    assert not circuit.is_open


def test_two_visitors_who_always_fail_do_not_open_it_either() -> None:
    """Two may be chance; three visitors are an outage."""
    circuit = CircuitBreaker()
    for turn in range(1_000):
        assert _answer(circuit, turn % 2, DOWN, first=turn < 2) is None


@pytest.mark.parametrize("answer", [DOWN, BUSY, Answer(Verdict.TIMEOUT)])
def test_eight_failures_from_three_visitors_open_it(answer: Answer) -> None:
    """The eighth failure opens it and the seventh does not; a wrong count wastes calls or trips on noise."""
    circuit = CircuitBreaker()
    shifts = [_answer(circuit, turn % 3, answer) for turn in range(8)]
    assert shifts == [None] * 7 + [Transition.OPENED]
    assert circuit.reason == answer.verdict.value
    assert not circuit.blames(_update(1), DOWN, 0.0)


@pytest.mark.parametrize("good", [FINE, Answer(Verdict.REJECTED, "HTTP 400")])
def test_any_answer_of_a_working_endpoint_starts_the_count_anew(good: Answer) -> None:
    """A rejection shows that the endpoint works; counting it as failure would stop the group for bad data."""
    circuit = CircuitBreaker()
    for _ in range(50):
        for number in range(7):
            assert _answer(circuit, number, DOWN) is None
        assert _answer(circuit, 9, good) is None


def test_an_endpoint_that_is_never_reached_opens_it_for_one_visitor() -> None:
    """Without a connection the update is not at fault, so one visitor is enough; else a quiet topic never opens it."""
    circuit = CircuitBreaker()
    shifts = [_answer(circuit, 1, UNREACHED, first=turn == 0) for turn in range(8)]
    assert shifts[-1] is Transition.OPENED


def test_an_answer_between_makes_it_reached() -> None:
    """Only a streak of unreached answers counts; one 500 between shows that the connection works."""
    circuit = CircuitBreaker()
    for turn in range(100):
        assert _answer(circuit, 1, DOWN if turn % 7 == 0 else UNREACHED, first=turn == 0) is None


def test_an_outage_counts_from_its_opening() -> None:
    """A failed probe must not make a long outage look new."""
    circuit = CircuitBreaker()
    for number in range(FAILURES_TO_OPEN):
        _answer(circuit, number, DOWN, 100.0 + number)
    opened_at = 100.0 + FAILURES_TO_OPEN - 1
    assert circuit.opened_at == opened_at
    for turn in range(1, 50):
        _answer(circuit, 0, DOWN, 200.0 + PROBE_SECONDS * turn, first=False)
    assert circuit.is_open
    assert circuit.opened_at == opened_at


def test_a_refused_token_opens_it_at_once() -> None:
    """A 401 is hardly ever one visitor's fault; counting to eight would waste calls and attempts."""
    assert _answer(CircuitBreaker(), 1, DENIED) is Transition.OPENED


def test_a_visitor_who_is_refused_again_does_not_open_it_again() -> None:
    """A firewall may refuse one visitor's values for ever: each of its retries would stop all others for a while."""
    assert _answer(CircuitBreaker(), 1, DENIED, first=False) is None


def test_an_update_that_fails_while_others_get_through_is_blamed() -> None:
    """Few others fail: another update's success between two failures shows whose fault it is, of either kind."""
    circuit = CircuitBreaker()
    for turn in range(100):
        _answer(circuit, turn, FINE if turn % 10 else DOWN)
    for answer in (BAD, DOWN, Answer(Verdict.TIMEOUT)):
        assert circuit.blames(_update(-1, seen=circuit.successes - 1), answer, 0.0)


@pytest.mark.parametrize("answer", [BAD, DOWN, BUSY, Answer(Verdict.TIMEOUT)])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_nobody_is_blamed_while_a_considerable_share_of_first_attempts_fails(answer: Answer, share: float) -> None:
    """At random many healthy updates fail several times, and others succeed between: chance, for either kind.

    Catches a circuit for which "others succeeded since it failed last" is proof, and one whose measure of the share
    drops below it by chance.
    """
    rng, circuit, blamed = random.Random(1), CircuitBreaker(), 0
    for number in range(5_000):
        now = number / 50
        _answer(circuit, number, answer if rng.random() < share else FINE, now)
        _answer(circuit, -1, answer if rng.random() < share else FINE, now, first=False)
        if number > 100:
            blamed += circuit.blames(_update(-2, seen=circuit.successes - 1), answer, now)
    assert blamed <= 5_000 * 0.01


def test_updates_that_always_fail_are_blamed_though_they_are_many() -> None:
    """A quarter of all visitors fails, and none of them ever succeeds: that is no chance."""
    circuit, blamed = CircuitBreaker(), 0
    for number in range(5_000):
        _answer(circuit, number, FINE if number % 4 else BAD)
        _answer(circuit, number - 4, BAD, first=False)
        blamed += circuit.blames(_update(-2, seen=circuit.successes - 1), BAD, 0.0)
    assert blamed > 5_000 * 0.7, "all but a moment after each first failure"


def test_failed_probes_of_an_outage_do_not_count_afterwards() -> None:
    """An hour of one visitor's probes must not look like an endpoint where all first attempts fail."""
    circuit = CircuitBreaker()
    for number in range(1_000):
        _answer(circuit, number, FINE)
    for number in range(FAILURES_TO_OPEN):
        _answer(circuit, number, DOWN)
    for turn in range(100):
        _answer(circuit, -turn, DOWN, 2.0 * turn)
    assert _answer(circuit, 1, FINE, 200.0) is Transition.CLOSED
    assert circuit.blames(_update(2, seen=circuit.successes - 1), BAD, 200.0)


def test_nobody_is_blamed_for_a_429_while_many_are_asked_to_wait() -> None:
    """Under steady throttling others succeed all the time: healthy updates would become dead letters by chance."""
    circuit = CircuitBreaker()
    for turn in range(100):
        _answer(circuit, turn, BUSY if turn % 2 else FINE, first=False)
    assert not circuit.blames(_update(-1, seen=0), BUSY, 0.0)
    for turn in range(100):
        _answer(circuit, turn, FINE)
    assert circuit.blames(_update(-1, seen=0), BUSY, 0.0)


def test_old_failures_do_not_count_now() -> None:
    """Without new updates for a minute the share of failed ones would never change, and no update be blamed."""
    circuit = CircuitBreaker()
    for turn in range(50):
        _answer(circuit, turn, FINE if turn % 2 else DOWN)
    assert not circuit.blames(_update(-1), BAD, SICK_SECONDS - 1)
    assert circuit.blames(_update(-1), BAD, SICK_SECONDS)


def test_one_probe_at_a_time_and_another_when_it_hangs() -> None:
    """Many probes would overload a slow endpoint again; waiting for a hanging probe would miss the recovery."""
    circuit = _opened()
    assert circuit.wait(0.0) > 0
    at = circuit.wait(0.0)
    assert circuit.wait(at) <= 0
    probe = circuit.started(at)
    assert probe
    assert circuit.wait(at) == PROBE_SECONDS
    assert circuit.settled(_visitor(1), DOWN, at + 0.1, first=False, probe=probe) is None
    assert 0 < circuit.wait(at + 0.1) <= PROBE_SECONDS
    hanging = circuit.started(at + 5)
    assert circuit.wait(at + 5 + PROBE_SECONDS) <= 0
    newer = circuit.started(at + 5 + PROBE_SECONDS)
    assert circuit.settled(_visitor(1), DOWN, at + 9, first=False, probe=hanging) is None
    assert circuit.wait(at + 5 + PROBE_SECONDS) == PROBE_SECONDS, "the older one shows nothing new"
    assert circuit.settled(_visitor(2), FINE, at + 9, first=False, probe=newer) is Transition.CLOSED


def test_an_abandoned_probe_lets_another_go() -> None:
    """An abandoned probe frees its place; else the circuit would wait for ever for its answer."""
    circuit = _opened()
    at = circuit.wait(0.0)
    probe = circuit.started(at)
    assert probe
    circuit.abandoned(probe=probe)
    assert circuit.wait(at) <= 0
    assert circuit.started(at)
    circuit.abandoned(probe=0)
    assert circuit.wait(at) == PROBE_SECONDS


@pytest.mark.parametrize("late", [DOWN, DENIED, Answer(Verdict.THROTTLED, "HTTP 503", retry_after=50.0)])
def test_a_late_failure_from_before_the_opening_neither_ends_nor_moves_the_probe(late: Answer) -> None:
    """64 old answers show nothing new; if each moved the probe, recovery would be noticed late."""
    circuit = _opened()
    at = circuit.wait(0.0)
    for number in range(64):
        assert circuit.settled(_visitor(number), late, 0.1, first=True, probe=0) is None
    assert circuit.wait(0.0) == at
    assert circuit.started(at)
    assert circuit.settled(_visitor(1), late, at, first=True, probe=0) is None
    assert circuit.wait(at) == PROBE_SECONDS


def test_a_probe_of_an_earlier_opening_does_not_end_a_later_one() -> None:
    """At most one probe is in flight, also when it opens twice; a bare flag lets an old answer free a third."""
    circuit = _opened()
    first_probe = circuit.started(0.5)
    # An old request succeeds and closes it; then it fails again while the first probe still hangs.
    assert circuit.settled(_visitor(5), FINE, 1.0, first=True, probe=0) is Transition.CLOSED
    for number in range(FAILURES_TO_OPEN):
        _answer(circuit, number, DOWN, 2.0)
    assert circuit.is_open
    assert circuit.started(10.0)
    circuit.settled(_visitor(1), DOWN, 10.0, first=False, probe=first_probe)
    assert circuit.wait(10.0) == PROBE_SECONDS


@pytest.mark.parametrize("answer", [DOWN, BUSY, UNREACHED, Answer(Verdict.TIMEOUT)])
def test_recovery_is_noticed_within_two_seconds(answer: Answer) -> None:
    """However long the outage, the next probe is at most 2 s away; an unbounded backoff misses the recovery."""
    circuit = _opened(answer)
    now, probes = 0.0, 0
    while now < 3_600:
        wait = circuit.wait(now)
        assert wait <= 2.0
        now += wait
        _answer(circuit, 1, answer, now, first=False)
        probes += 1
    assert probes <= 1 + 3_600 / 2 + 4
    now += circuit.wait(now)
    assert _answer(circuit, 1, FINE, now) is Transition.CLOSED
    assert circuit.wait(now) <= 0
    assert circuit.blames(_update(2), DOWN, now)


def test_a_refused_token_is_probed_slowly() -> None:
    """An operator must replace the token, and each probe is a call: one in 10 s, no more and no less."""
    circuit = CircuitBreaker()
    _answer(circuit, 1, DENIED)
    now, probes = 0.0, 0
    while now < 3_600:
        wait = circuit.wait(now)
        assert wait <= UNAUTHORIZED_PROBE_SECONDS
        now += wait
        _answer(circuit, 1, DENIED, now)
        probes += 1
    assert probes <= 3_600 / UNAUTHORIZED_PROBE_SECONDS + 6


@pytest.mark.parametrize("by_probe", [False, True])
def test_retry_after_moves_the_probe(*, by_probe: bool) -> None:
    """Retry-After holds when it opens and at each probe; a fixed pause would break it."""
    slow = Answer(Verdict.THROTTLED, "HTTP 503", retry_after=30.0)
    circuit = _opened(DOWN if by_probe else slow)
    now = 0.0
    if by_probe:
        now = circuit.wait(0.0)
        _answer(circuit, 1, slow, now, first=False)
    assert circuit.wait(now) == 30.0


def test_few_bad_visitors_leave_it_healthy_and_many_do_not() -> None:
    """Retries of bad updates show nothing new, first attempts do: counting retries would spare poison for ever."""
    circuit = CircuitBreaker()
    for turn in range(500):
        _answer(circuit, turn, FINE)
        for poison in range(5):
            _answer(circuit, -poison, DOWN, first=False)
        assert circuit.blames(_update(-1), DOWN, 0.0)
    for turn in range(50):
        _answer(circuit, turn, FINE if turn % 2 else DOWN)
    assert not circuit.blames(_update(-1), DOWN, 0.0)


def test_bad_updates_alone_are_no_outage() -> None:
    """Updates that get a 500 each time become dead letters; an open circuit would keep them, and the offset."""
    circuit = CircuitBreaker()
    for number in range(10):
        _answer(circuit, number, BAD if number % 2 else FINE)
    now = SICK_SECONDS
    for turn in range(100):
        assert _answer(circuit, turn % 5, BAD, now, first=False) is None
        assert circuit.blames(_update(turn % 5), BAD, now)


def test_a_lone_visitor_in_an_outage_is_not_blamed() -> None:
    """A 502 counts only while others succeed; else an outage in a quiet night makes dead letters."""
    circuit = CircuitBreaker()
    blamed = 0
    for turn in range(100):
        _answer(circuit, 1, DOWN, first=turn == 0)
        blamed += circuit.blames(_update(1), DOWN, 0.0)
    assert blamed < FAILURES_TO_OPEN
    assert not circuit.blames(_update(1), UNREACHED, 0.0)


def test_nobody_is_blamed_while_an_outage_may_be_opening() -> None:
    """With few attempts allowed, a count of failures alone makes dead letters before the circuit is open."""
    circuit = CircuitBreaker()
    for _ in range(10):
        _answer(circuit, 1, FINE)
    _answer(circuit, 2, BAD, 1.0)
    assert circuit.blames(_update(2), BAD, 1.0), "alone, it may be its own fault"
    _answer(circuit, 3, BAD, 2.0)
    assert not circuit.blames(_update(2), BAD, 3.0)
    assert not circuit.blames(_update(3), BAD, 3.0)
    assert circuit.blames(_update(3), BAD, 2.0 + DOUBT_SECONDS), "no other update tries: it was no outage"
    _answer(circuit, 4, BAD, 13.0)
    _answer(circuit, 5, FINE, 13.0)
    assert circuit.blames(_update(3), BAD, 13.0), "others get through"


def test_a_local_failure_opens_it_only_when_no_update_succeeds() -> None:
    """Others may hold what is short locally: opened at once, their answers would close it, again and again."""
    local = Answer(Verdict.UNAVAILABLE, "no files", reached=False, local=True)
    circuit, now = CircuitBreaker(), 0.0
    for turn in range(1_000):
        now += 0.01
        assert _answer(circuit, turn, FINE if turn % 50 == 0 else local, now) is None
        assert circuit.wait(now) == (pytest.approx(LOCAL_PAUSE_SECONDS) if turn % 50 else -math.inf)
    shifts = []
    for turn in range(60):
        now += 0.1
        shifts.append(_answer(circuit, turn, local, now))
    assert shifts[:45] == [None] * 45
    assert Transition.OPENED in shifts
