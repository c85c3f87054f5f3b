"""The checks that the cluster steps rely on."""

from tests.support.kubernetes.world import sent_again


def test_a_value_that_was_accepted_before_is_found() -> None:
    """A repeat after a hand-over has the same number, or an older one: a count of requests shows neither."""
    log = [taken("a", 1, 0.1), taken("b", 1, 0.2), taken("a", 3, 0.3), taken("a", 3, 0.4), taken("a", 2, 0.5)]
    log += [{**taken("b", 1, 0.6), "applied": False}, taken("b", 2, 0.7)]
    assert [one["start"] for one in sent_again(reversed(log))] == [0.4, 0.5]


def taken(visitor: str, number: int, start: float) -> dict[str, object]:
    """A line of the sandbox's log."""
    return {"visitor": visitor, "attributes": {"seq": str(number)}, "start": start, "applied": True}
