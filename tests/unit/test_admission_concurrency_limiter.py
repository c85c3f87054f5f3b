"""Requests in flight: too few waste a fast endpoint, too many overload a slow one and make every request wait."""

from connector.admission.concurrency_limiter import EASE_FLOOR, FIRST, FORGET_SECONDS, WINDOW, ConcurrencyLimiter


def _rounds(slots: ConcurrencyLimiter, count: int, seconds: float, now: float = 0.0) -> float:
    """Run this many rounds with every slot in use; returns the time after them."""
    for _ in range(count):
        in_use = slots.slots
        now += seconds
        for _ in range(in_use):
            slots.answered(seconds, now, in_use)
    return now


def test_it_starts_small_and_is_at_full_speed_after_a_few_rounds() -> None:
    """64 at once from the start would overload a cold endpoint; adding one a round would take a minute."""
    slots = ConcurrencyLimiter(64)
    assert slots.slots == FIRST
    _rounds(slots, 4, 0.05)
    assert slots.slots == 64


def test_the_maximum_is_never_exceeded() -> None:
    """The user sets it."""
    for maximum in (1, 3, 8, 64):
        slots = ConcurrencyLimiter(maximum)
        _rounds(slots, 200, 0.05)
        assert slots.slots == maximum


def test_unused_slots_do_not_grow() -> None:
    """An idle night would end at the maximum, and the morning's first burst would use all of it."""
    slots = ConcurrencyLimiter(64)
    for turn in range(1_000):
        slots.answered(0.05, turn, 1)
    assert slots.slots == FIRST


def test_one_round_of_overload_cuts_once() -> None:
    """Sixty-four 503s to requests of one round are one signal; halving for each would end at one slot."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 10, 0.05)
    for _ in range(64):
        slots.overloaded(now - 0.05, now)
    assert slots.slots == 32
    slots.overloaded(now + 0.01, now + 0.06)
    assert slots.slots == 16


def test_one_slot_always_remains() -> None:
    """One request at a time is the minimum: with none, recovery would never be noticed."""
    slots = ConcurrencyLimiter(64)
    for turn in range(100):
        slots.overloaded(turn, turn)
    assert slots.slots == 1


def test_after_a_cut_it_grows_by_one_a_round() -> None:
    """What overloaded the endpoint a moment ago still does: doubling would oscillate at its cost."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 10, 0.05)
    slots.overloaded(now, now)
    _rounds(slots, 10, 0.05, now)
    assert 39 <= slots.slots <= 42


def test_after_an_outage_it_is_back_within_a_few_rounds() -> None:
    """Overload in an outage says nothing about the time after it."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 10, 0.05)
    for turn in range(10):
        slots.overloaded(now + turn, now + turn)
    slots.recovered(5)
    assert slots.slots == 5 + FIRST, "five probes still hang"
    _rounds(slots, 8, 0.05, now + 20)
    assert slots.slots == 64


def test_rising_latency_takes_slots_away_but_not_the_last() -> None:
    """An overloaded endpoint answers late long before it answers 503; but latency alone proves no overload."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 20, 0.05)
    for _ in range(40):
        now = _rounds(slots, 1, 0.2, now)
        if now > FORGET_SECONDS - 1:
            break
    assert EASE_FLOOR <= slots.slots < 40
    assert slots.slots >= EASE_FLOOR


def test_latency_that_stays_is_the_new_normal() -> None:
    """A slower endpoint is not an overloaded one: the recent minimum counts, not the all-time one."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 20, 0.05)
    _rounds(slots, 400, 0.2, now)
    assert slots.slots == 64


def test_a_few_slow_answers_take_nothing() -> None:
    """A window's median: an endpoint's slowest percent is normal."""
    slots = ConcurrencyLimiter(64)
    now = _rounds(slots, 20, 0.05)
    for turn in range(100 * WINDOW):
        slots.answered(5.0 if turn % 10 == 0 else 0.05, now, 64)
    assert slots.slots == 64
