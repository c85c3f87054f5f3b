"""The rate limit keeps its bound in every window, and uses its whole rate."""

import math
import random

import pytest

from connector.admission.rate_limiter import BURST_SECONDS, RateLimiter


def _sends(
    rate: RateLimiter, start: float, end: float, lateness: random.Random | None = None, late: float = 0.0
) -> list[float]:
    """Send as a worker does: check, sleep as long as told (and a little longer), check again."""
    now, sent = start, []
    while now < end:
        wait = rate.wait(now)
        if wait <= 0:
            rate.spend(now)
            sent.append(now)
        else:
            now += max(wait, 1e-9) + (lateness.uniform(0, late) if lateness else 0.0)
    return sent


@pytest.mark.parametrize("per_second", [0.1, 1.0, 7.0, 200.0, 3_000.0])
@pytest.mark.parametrize("late", [0.0, 0.004, 0.5])
def test_no_window_holds_more_than_its_share(per_second: float, late: float) -> None:
    """In any w seconds at most 1 + rate * (w + burst); a token bucket of a second's burst doubles the first second."""
    sent = _sends(RateLimiter(per_second), 1_000.0, 1_000.0 + 600 / per_second, random.Random(1), late)
    for first in range(len(sent)):
        for last in range(first, min(first + 50, len(sent))):
            window = sent[last] - sent[first]
            assert last - first + 1 <= 1 + per_second * (window + BURST_SECONDS) + 1e-6


@pytest.mark.parametrize("per_second", [10.0, 200.0, 2_000.0])
def test_timers_that_fire_late_lose_nothing(per_second: float) -> None:
    """With timers up to 8 ms late, 10 s carry 99 % of their sends; plain gaps would lose each lateness."""
    sent = _sends(RateLimiter(per_second), 0.0, 10.0, random.Random(2), 0.008)
    assert len(sent) >= per_second * 10 * 0.99
    assert len(sent) <= per_second * 10 * 1.01 + 1 + per_second * BURST_SECONDS


def test_it_says_its_rate() -> None:
    """A replica's share of the group's rate, with its two extremes: no limit, and zero."""
    assert [RateLimiter(each).per_second for each in (0.25, 200.0, math.inf)] == [0.25, 200.0, math.inf]
    assert RateLimiter(0.0).per_second == 0.0


def test_an_idle_hour_accumulates_nothing() -> None:
    """After idleness the burst is 10 ms' worth and no more; a bucket that fills would flood the endpoint."""
    rate = RateLimiter(200.0)
    rate.spend(0.0)
    assert len(_sends(rate, 3_600.0, 3_600.0 + 1e-6)) <= 1 + 200 * BURST_SECONDS


def test_a_new_rate_counts_from_the_last_send() -> None:
    """A limiter that restarts would give a burst at each change; one that keeps the old wait would sleep an hour."""
    rate = RateLimiter(1.0)
    rate.spend(0.0)
    for _ in range(50):
        rate.limit(1.0)
    assert rate.wait(0.0) > 0.9
    rate.limit(100.0)
    assert len(_sends(rate, 0.0, 10.0)) == pytest.approx(1_000, rel=0.01)
    rate.limit(1 / 3_600)
    assert rate.wait(10.0) > 3_500
    rate.limit(100.0)
    assert rate.wait(10.1) <= 0, "the quota's pace may be an update an hour, until quota becomes free"


def test_no_limit_never_waits() -> None:
    """An infinite rate lets all through at once; 1/inf must not become a wait or a NaN."""
    rate = RateLimiter(math.inf)
    for _ in range(1_000):
        assert rate.wait(5.0) <= 0
        rate.spend(5.0)


def test_zero_lets_nothing_through_until_it_is_raised() -> None:
    """At 0 (no partition is owned) nothing goes, and the next assignment must free it."""
    rate = RateLimiter(0.0)
    assert rate.wait(1e9) == math.inf
    rate.limit(100.0)
    assert rate.wait(1e9) <= 0
    rate.spend(1e9)
    rate.limit(0.0)
    assert rate.wait(2e9) == math.inf


def test_what_goes_ahead_does_not_wait_for_the_pace() -> None:
    """A loan is funded while the pace is an update in ten minutes: it goes, and the others wait no hour for it."""
    rate = RateLimiter(0.0)
    rate.limit(1 / 600, 1.0)
    rate.spend(0.0)
    assert rate.wait(1.0) > 590
    assert rate.wait_ahead(0.5) == pytest.approx(0.5)
    for second in range(1, 100):
        assert rate.wait_ahead(float(second)) <= 0
        rate.spend(float(second))
        assert rate.wait_ahead(second + 0.9) > 0, "but not faster than its own rate"
    assert 600 - 1 <= rate.wait(99.0) <= 1_200


def test_what_goes_ahead_keeps_the_rate_of_all() -> None:
    """Wrong design: the higher class has a limiter of its own, and both together send twice the rate."""
    rate = RateLimiter(0.0)
    rate.limit(100.0, 100.0)
    now, sent = 0.0, 0
    while now < 10.0:
        wait = (rate.wait_ahead if sent % 2 else rate.wait)(now)
        if wait <= 0:
            rate.spend(now)
            sent += 1
        else:
            now += wait
    assert sent <= 1 + 100 * (10 + BURST_SECONDS) + 1
