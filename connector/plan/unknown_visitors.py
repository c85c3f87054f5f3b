"""How many calls an update takes on average where Target does not know some of the visitors."""

from connector.delivery.unknown_visitor import next_attempt


def calls_per_update(unknown_share: float, wait: float) -> float:
    """Return the calls; `wait` is TARGET_UNKNOWN_VISITOR_WAIT_SECONDS, with 0 no update is tried again."""
    calls, now = 1, 0.0
    due = next_attempt(None, now, wait)
    while due is not None:
        calls, now = calls + 1, due
        due = next_attempt(0.0, now, wait)
    return 1.0 + unknown_share * (calls - 1)
