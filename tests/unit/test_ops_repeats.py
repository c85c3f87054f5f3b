"""An outage of an hour is a dozen lines: this table shows which."""

from itertools import pairwise

from connector.ops.repeats import Repeats


def said(repeats: Repeats, key: str, times: list[float]) -> list[tuple[float, int]]:
    """When a line was written, and with which count."""
    return [(now, swallowed) for now in times if (swallowed := repeats.admit(key, now)) is not None]


def test_the_first_is_logged_and_then_ever_more_rarely() -> None:
    """At once, then after 1, 2, 4 … seconds, each with the count of suppressed lines."""
    times = [tenth / 10 for tenth in range(160)]
    assert said(Repeats(), "down", times) == [(0.0, 0), (1.0, 9), (3.0, 19), (7.0, 39), (15.0, 79)]


def test_the_interval_stops_growing_at_the_maximum() -> None:
    """A problem that lasts for days is still logged every five minutes."""
    times = [float(second) for second in range(3_000)]
    last = said(Repeats(initial=1, maximum=300), "down", times)[-3:]
    assert [later[0] - earlier[0] for earlier, later in pairwise(last)] == [300.0, 300.0]
    assert last[-1][1] == 299


def test_nothing_is_lost_from_the_count() -> None:
    """Written lines and suppressed counts add up to the calls."""
    repeats = Repeats(initial=1, maximum=10)
    times = [number * 0.37 for number in range(1_000)]
    lines = said(repeats, "down", times)
    final = repeats.admit("down", times[-1] + 10.0)
    assert final is not None
    assert len(lines) + sum(swallowed for _, swallowed in lines) + final == 1_000


def test_keys_do_not_suppress_each_other() -> None:
    """A missing topic must be logged also while a broker is down."""
    repeats = Repeats()
    assert repeats.admit("a", 0.0) == 0
    assert repeats.admit("b", 0.1) == 0
    assert repeats.admit("a", 0.2) is None


def test_a_key_that_was_quiet_for_long_restarts() -> None:
    """Next week's outage is logged at once, with the suppressed count of the last one."""
    repeats = Repeats(initial=1, maximum=10)
    assert said(repeats, "down", [0.0, 1.0, 3.0, 3.5]) == [(0.0, 0), (1.0, 0), (3.0, 0)]
    assert said(repeats, "down", [23.5, 24.0, 24.5, 25.0]) == [(23.5, 1), (24.5, 1)]


def test_a_key_that_keeps_coming_does_not_restart() -> None:
    """Quiet is measured from the last occurrence, not from the last line."""
    repeats = Repeats(initial=1, maximum=10)
    lines = said(repeats, "down", [number * 9.0 for number in range(20)])
    assert [now for now, _ in lines][-2:] == [144.0, 162.0]


def test_the_number_of_keys_is_bounded() -> None:
    """Keys made from data must not become a leak; the one unseen for longest is dropped."""
    repeats = Repeats(keys=2)
    assert [repeats.admit(key, 0.0) for key in "aba"] == [0, 0, None]
    assert repeats.admit("c", 0.0) == 0
    assert repeats.admit("a", 0.0) is None
    assert repeats.admit("b", 0.0) == 0
