"""The times derived from the window: small beside it, and never too small for a stall."""

import pytest

from connector.quota.policy import QuotaPolicy


@pytest.mark.parametrize(
    ("window", "lease", "margin"),
    [(86_400.0, 60.0, 10.0), (3_600.0, 12.5, 3.6), (600.0, 600 / 288, 0.6), (30.0, 1.0, 0.5), (1.0, 1.0, 0.5)],
)
def test_lease_and_margin_follow_the_window(window: float, lease: float, margin: float) -> None:
    """Fixed ones would waste a short window, or be too small in a long one."""
    terms = QuotaPolicy(limit=100, window=window, horizon=window / 24, request_timeout=10.0)
    assert terms.lease == pytest.approx(lease)
    assert terms.margin == pytest.approx(margin)
    assert terms.counted == pytest.approx(lease + 10.0 + margin + window)
    assert terms.settled == pytest.approx(margin + window)


def test_a_day_loses_a_thousandth_to_the_margins() -> None:
    """The test shows the cost of a longer lease."""
    terms = QuotaPolicy(limit=1_000_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
    assert terms.counted / terms.window < 1.001
