"""Whose turn it is: classes before each other, and what waited long among them, so that nothing waits for ever."""

import math
import random
from collections import Counter

import pytest

from connector.delivery.due_queue import LEAST_GONE, DueQueue
from connector.delivery.schedule import REPEAT_ATTEMPTS, RISEN_TURN, Schedule
from connector.delivery.update import Update
from connector.events.change import Priority, Visitor

AGING = 100.0
HIGH, NORMAL, LOW = Priority


def _update(number: int, priority: Priority, due: float = 0.0, attempts: int = 0) -> Update:
    update = Update(Visitor("pcId", str(number)), due, priority)
    update.charged_attempts = attempts
    return update


def _schedule(*updates: Update, slots: int = 64) -> Schedule:
    schedule = Schedule(slots, AGING)
    for update in updates:
        schedule.push(update)
    return schedule


def _take(schedule: Schedule, now: float, lowest: Priority = LOW) -> str:
    assert schedule.due_in(now, lowest) <= 0
    return schedule.take(now, lowest).visitor.id


def test_a_higher_class_goes_first_and_in_it_the_one_that_is_due_longest() -> None:
    """Wrong design: one queue by due time, in which a funded loan waits behind a newsletter."""
    schedule = _schedule(
        _update(1, LOW, 0.0),
        _update(2, NORMAL, 5.0),
        _update(3, HIGH, 9.0),
        _update(4, HIGH, 8.0),
        _update(5, LOW, 1.0),
    )
    assert [_take(schedule, 10.0) for _ in range(5)] == ["4", "3", "2", "1", "5"]
    assert schedule.due_in(10.0, LOW) == math.inf


def test_what_is_not_due_does_not_hold_up_the_lower_classes() -> None:
    """A high one that lingers, or waits for its retry, is nobody's reason to wait."""
    schedule = _schedule(_update(1, HIGH, 20.0), _update(2, LOW, 0.0))
    assert schedule.due_in(10.0, HIGH) == 10.0
    assert _take(schedule, 10.0) == "2"


@pytest.mark.parametrize(("lowest", "due"), [(HIGH, 3.0), (NORMAL, 2.0), (LOW, 1.0)])
def test_only_the_classes_that_may_go_are_due(lowest: Priority, due: float) -> None:
    """Where the quota is kept for high, a worker that wakes for low would spin."""
    schedule = _schedule(_update(1, LOW, 1.0), _update(2, NORMAL, 2.0), _update(3, HIGH, 3.0))
    assert schedule.due_in(0.0, lowest) == due


def test_with_one_class_a_share_holds_it_back_too() -> None:
    """Wrong design: classes are only looked at once there are several, and normal takes what is kept for high."""
    schedule = _schedule(_update(1, NORMAL, 0.0))
    assert not schedule.has_classes
    assert schedule.due_in(0.0, HIGH) == math.inf


def test_what_waited_long_has_one_turn_in_eight_of_the_class_above() -> None:
    """Wrong designs: without a turn low starves; with all turns an old backlog of low stands before a new high one."""
    lows = [_update(number, LOW, 0.0) for number in range(100)]
    normals = [_update(number, NORMAL, AGING) for number in range(100, 200)]
    schedule = _schedule(*lows, *normals)
    assert all(int(_take(schedule, AGING - 0.1 + 0.1)) >= 100 for _ in range(RISEN_TURN - 1))
    taken = ["low" if int(_take(schedule, AGING)) < 100 else "normal" for _ in range(8 * RISEN_TURN)]
    assert Counter(taken) == {"low": 8, "normal": 7 * 8}


def test_a_class_rises_by_one_after_the_aging_and_by_two_after_twice_that() -> None:
    """Low stands beside high only when it has waited twice as long."""
    for now, risen in ((2 * AGING - 1, 0), (2 * AGING, 2)):
        schedule = _schedule(
            *[_update(number, LOW, 0.0) for number in range(10)],
            *[_update(number, HIGH, 0.0) for number in range(10, 30)],
        )
        taken = [int(_take(schedule, now)) for _ in range(2 * RISEN_TURN)]
        assert sum(number < 10 for number in taken) == risen


def test_what_rose_goes_only_in_the_turns_of_a_class_that_may_go() -> None:
    """What is kept for high is not spent on an old backlog where no high one is due."""
    schedule = _schedule(*[_update(number, LOW, 0.0) for number in range(10)])
    assert schedule.due_in(10 * AGING, NORMAL) == math.inf
    for number in range(10, 10 + RISEN_TURN):
        schedule.push(_update(number, HIGH, 10 * AGING))
    taken = [int(_take(schedule, 10 * AGING, HIGH)) for _ in range(RISEN_TURN)]
    assert [number < 10 for number in taken] == [False] * (RISEN_TURN - 1) + [True]


def test_an_update_that_rises_leaves_its_queue() -> None:
    """Wrong designs: it goes twice, or its place in the old queue hides who is due there."""
    low, other = _update(1, LOW, 0.0), _update(2, LOW, 7.0)
    schedule = _schedule(low, other)
    schedule.rise(low, HIGH)
    assert schedule.due_in(0.0, HIGH) == 0.0
    assert _take(schedule, 0.0) == "1"
    assert schedule.due_in(0.0, LOW) == 7.0


def test_an_update_that_failed_repeatedly_keeps_its_class() -> None:
    """High that fails for good takes a turn of high, not all of them, and low does not become normal by failing."""
    schedule = _schedule(
        _update(1, LOW, 0.0, REPEAT_ATTEMPTS), _update(2, HIGH, 0.0, REPEAT_ATTEMPTS), _update(3, HIGH, 5.0)
    )
    assert [_take(schedule, 5.0) for _ in range(3)] == ["3", "2", "1"]


def test_an_old_repeat_failure_does_not_lend_its_age_to_a_fresh_update() -> None:
    """Wrong design: the class rose by the age of its repeat failure, and the turn goes to what came a moment ago."""
    highs = [_update(number, HIGH, 0.0) for number in range(RISEN_TURN + 1)]
    schedule = _schedule(_update(100, LOW, 0.0, REPEAT_ATTEMPTS), _update(101, LOW, 2 * AGING), *highs)
    taken = [_take(schedule, 2 * AGING) for _ in range(RISEN_TURN)]
    assert taken[-1] == "100", "it has risen itself"
    assert _take(schedule, 2 * AGING) != "101"


def test_a_probe_comes_from_every_class() -> None:
    """Wrong design: all of high are bad, and the circuit stays open for the others."""
    schedule = _schedule(*[_update(number, Priority(number % 3), 0.0) for number in range(300)])
    probed = Counter(schedule.take_anywhere(0.0, LOW).priority for _ in range(90))
    assert all(count >= 20 for count in probed.values()), probed
    assert len(probed) == 3


def test_entries_of_those_that_left_do_not_pile_up() -> None:
    """Wrong design: the front of a class waits for the quota for hours, and each visitor that rose leaves an entry."""
    queue, other = DueQueue(), DueQueue()
    queue.push(_update(0, LOW, 0.0))
    for number in range(1, 5_000):
        update = _update(number, LOW, float(number))
        queue.push(update)
        queue.leave(update)
        other.push(update)
    assert len(queue._queue) + len(queue._heap) <= 2 * LEAST_GONE + 2  # noqa: SLF001 - the bound is on what it keeps
    assert queue.due == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_a_due_queue_agrees_with_a_sorted_list(seed: int) -> None:
    """Pushes by any due time, leaves from anywhere, and takes: the one that is due first, always."""
    rng = random.Random(seed)
    queue, held = DueQueue(), list[Update]()
    for number in range(400):
        kind = rng.random()
        if kind < 0.5 or not held:
            update = _update(number, NORMAL, rng.choice((float(number), rng.uniform(0, 400))))
            queue.push(update)
            held.append(update)
        elif kind < 0.75:
            gone = held.pop(rng.randrange(len(held)))
            queue.leave(gone)
        elif kind < 0.8:
            held = [update for update in held if rng.random() < 0.9]
            queue.keep(set(held))
        else:
            taken = queue.pop()
            assert taken.due == min(update.due for update in held)
            held.remove(taken)
        assert queue.due == min((update.due for update in held), default=math.inf)
