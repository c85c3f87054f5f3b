"""Rate and guard against brute force: their shortcuts must equal a full count."""

import hypothesis.strategies as st
from hypothesis import example, given

from connector.admission.rate_limiter import BURST_SECONDS, RateLimiter
from connector.delivery.dead_letter_limit import RECENT, DeadLetterLimit


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 700)), max_size=20),
    st.sampled_from([0, 3, 500, 2_000]),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)
@example([(True, 600), (False, 998), (True, 1)], 0, 0.5)
def test_the_guard_says_what_a_list_of_all_that_settled_says(
    steps: list[tuple[bool, int]], max_in_a_row: int, max_ratio: float
) -> None:
    """Streak and share are exact; a running sum that drifts at the window's edge stops a healthy process."""
    guard = DeadLetterLimit(max_in_a_row, max_ratio)
    settled: list[bool] = []
    in_a_row = 0
    for failed, count in steps:
        if not failed:
            settled += [False] * count
            in_a_row = 0
            guard.passed(count)
            continue
        for _ in range(count):
            settled.append(True)
            in_a_row += 1
            expected = bool(max_in_a_row) and in_a_row > max_in_a_row
            if max_ratio and len(settled) >= RECENT:
                expected = expected or sum(settled[-RECENT:]) > max_ratio * RECENT
            assert (guard.failed() is not None) == expected


@given(st.sampled_from([0.5, 20.0, 200.0, 2_000.0]), st.lists(st.floats(0, 0.3), min_size=1, max_size=60))
def test_no_timing_of_attempts_gets_more_than_the_rate(per_second: float, gaps: list[float]) -> None:
    """No window holds more than its bound, at any timing; a limiter that assumes regular calls would exceed it."""
    rate, now = RateLimiter(per_second), 100.0
    sent: list[float] = []
    for gap in gaps:
        now += gap
        while rate.wait(now) <= 0:
            rate.spend(now)
            sent.append(now)
    # The worst window that ends at a send begins at the send with the least `count - rate * time` before it.
    least = float("inf")
    for count, at in enumerate(sent):
        least = min(least, count - per_second * at)
        assert count - per_second * at - least <= per_second * BURST_SECONDS + 1e-6
