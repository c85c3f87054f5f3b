"""Bugs planted in the classes of updates and their turns: they show which of its faults the simulation finds."""

import math
from collections import deque
from typing import Any

from connector.delivery import schedule
from connector.delivery.coalescer import Coalescer
from connector.delivery.schedule import Schedule
from connector.delivery.update import Update
from connector.events.change import Priority
from connector.events.json_v1 import encode_event
from connector.pipeline import dead_letter_writer
from tests.simulation.planting import Mutants, Patches

mutant = Mutants()
CLASS_MUTANTS = mutant.all


@mutant("class of the first event", "a value of class high waits with low, since its update began so", "classes", 2, 1)
def class_of_the_first_event(patch: Patches) -> None:
    """Merging leaves the class as it is."""
    patch.replace(Coalescer, "_rise", lambda *_: None)


@mutant("class lost in a retry", "a value that came while low was in flight is retried as low", "classes", 14, 25)
def class_lost_in_a_retry(patch: Patches) -> None:
    """What was in flight takes the values over, and not the class."""

    def absorb(original: Any, update: Update, newer: Update, **how: Any) -> None:
        newer.priority = update.priority
        original(update, newer, **how)

    patch.wrap(Update, "absorb", absorb)


@mutant("class of the last event", "a value of class high goes with low, since low came after it", "classes", 2, 1)
def class_of_the_last_event(patch: Patches) -> None:
    """The class is a value like any other."""

    def _rise(_: Any, coalescer: Coalescer, update: Update, priority: Priority) -> None:
        coalescer._count(update, -1)
        coalescer._schedule.rise(update, priority)
        coalescer._count(update, 1)

    patch.wrap(Coalescer, "_rise", _rise)


@mutant("classes do not age", "low has no turn while higher ones are due", "classes", 1, 5)
def classes_do_not_age(patch: Patches) -> None:
    """The order of the classes is strict."""

    def init(original: Any, its: Schedule, slots: int, _: float) -> None:
        original(its, slots, math.inf)

    patch.wrap(Schedule, "__init__", init)


@mutant("what rose takes all turns", "an old backlog of low stands before every update of high", "classes", 1, 5)
def what_rose_takes_all_turns(patch: Patches) -> None:
    """An update that rose is one of the higher class, and due longest there."""
    patch.replace(schedule, "RISEN_TURN", 1)


@mutant("rises all classes at once", "low goes before high after the time that takes it to normal", "classes", 2, 5)
def rises_all_classes_at_once(patch: Patches) -> None:
    """The aging is not multiplied by the classes in between."""

    def turn(original: Any, its: Schedule, now: float, lowest: Priority) -> Any:
        low = its._all[Priority.LOW]
        low.priority = Priority.NORMAL
        try:
            return original(its, now, lowest)
        finally:
            low.priority = Priority.LOW

    patch.wrap(Schedule, "_turn", turn)


@mutant("raised in its old queue", "an update of class high has its turn when low has one", "classes", 2, 1)
def raised_in_its_old_queue(patch: Patches) -> None:
    """It rises, and does not leave its queue."""

    def rise(_: Any, __: Schedule, update: Update, priority: Priority) -> None:
        update.priority = priority

    patch.wrap(Schedule, "rise", rise)


@mutant("raised to the end of its class", "an update that rose waits behind younger ones", "classes", 2, 1)
def raised_to_the_end_of_its_class(patch: Patches) -> None:
    """It joins the queue of its new class as the last one."""

    def rise(original: Any, its: Schedule, update: Update, priority: Priority) -> None:
        original(its, update, priority)
        ready = its._all[priority].ready
        if update.waits_in is ready:
            ready._queue = deque(it for it in ready._queue if it is not update)
            ready._heap = [entry for entry in ready._heap if entry[2] is not update]
            ready._queue.append(update)
            ready._look()

    patch.wrap(Schedule, "rise", rise)


@mutant("letter without a class", "a dead letter of class high is replayed as normal", "classes", 1, 5)
def letter_without_a_class(patch: Patches) -> None:
    """Only visitor and values are written."""
    patch.replace(dead_letter_writer, "encode_event", lambda *about, **_: encode_event(*about[:2]))
