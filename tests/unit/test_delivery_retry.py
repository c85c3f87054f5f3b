"""When a failed update is retried: spread out, bounded, and never before Retry-After."""

import random

import pytest

from connector.delivery.retry import RetryPolicy

POLICY = RetryPolicy(initial=0.5, maximum=60.0, max_attempts=10)


@pytest.mark.parametrize(
    ("attempts", "ceiling"),
    [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (50, 60.0), (1_000_000, 60.0)],
)
def test_full_jitter_fills_the_whole_range(attempts: int, ceiling: float) -> None:
    """Delays are uniform from 0 to the ceiling; equal or half jitter would retry many failures at once."""
    rng = random.Random(attempts)
    delays = [POLICY.delay(attempts, None, rng) for _ in range(2_000)]
    assert 0 <= min(delays) < 0.05 * ceiling
    assert 0.95 * ceiling < max(delays) <= ceiling
    assert sum(delays) / len(delays) == pytest.approx(ceiling / 2, rel=0.1)


@pytest.mark.parametrize(("said", "least"), [(0.0, 0.0), (7.0, 7.0), (60.0, 60.0), (86_400.0, 60.0)])
def test_retry_after_is_a_floor_up_to_the_maximum(said: float, least: float) -> None:
    """Retry-After is a lower bound, capped at the maximum; uncapped, a day of it would stop a visitor for a day."""
    rng = random.Random(3)
    for attempts in range(12):
        assert least <= POLICY.delay(attempts, said, rng) <= 60.0
