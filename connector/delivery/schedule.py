"""Decides which of the waiting updates goes next: the highest class first, in it the one that is due longest.

Two kinds of updates take turns with the others, so that none waits for ever: those that failed repeatedly, and those
that rose a class by their age.
"""

import math
from collections.abc import Collection
from itertools import chain

from connector.delivery.due_queue import DueQueue
from connector.delivery.update import Update
from connector.events.change import Priority, Visitor

REPEAT_ATTEMPTS = 2
REPEAT_TURN = 32
REPEAT_SLOTS = 4
RISEN_TURN = 8
"""Of this number of turns of a class, one is that of an update which rose to it."""
GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
"""Steps of this size, wrapped at 1, never come near where they were before."""


class _Class:
    """The waiting updates of one class."""

    __slots__ = ("priority", "ready", "repeats")

    def __init__(self, priority: Priority) -> None:
        self.priority = priority
        self.ready = DueQueue()
        self.repeats = DueQueue()
        """Those that failed repeatedly."""


class Schedule:
    """The updates that may go when they are due; those behind one in flight are not here.

    An update that failed twice or more is a repeat failure. Repeat failures take one turn in `REPEAT_TURN` of their
    class while others wait, and at most a `REPEAT_SLOTS`-th of the slots, so that visitors who fail for good cannot
    starve the rest.

    An update that is due for longer than the aging rises a class, and takes one turn in `RISEN_TURN` there: with more,
    an old backlog of a low class would stand before every new update of a high one. What rose goes only in the turns of
    a class that may go: where none of that class is due, a part of the quota that is kept for it stays.
    """

    __slots__ = (
        *("_aging", "_all", "_classes", "_held", "_hold_ends", "_normal", "_parked", "_place", "_repeat_slots"),
        *("_repeats_in_flight", "_risen_turns", "_turns"),
    )

    def __init__(self, slots: int, aging: float) -> None:
        """`slots`: requests at once; `aging`: seconds after which an update that is due rises a class."""
        self._aging = aging
        self._all = tuple(_Class(priority) for priority in Priority)
        self._normal = self._all[Priority.NORMAL]
        self._classes: tuple[_Class, ...] = (self._normal,)
        """All that were ever needed: with one class only, a turn costs no choice."""
        self._repeat_slots = max(1, slots // REPEAT_SLOTS)
        self._repeats_in_flight = 0
        self._held: set[Visitor] = set()
        self._hold_ends = -math.inf
        self._parked: list[Update] = []
        self._turns = 0
        self._risen_turns = 0
        self._place = 0.0

    @property
    def has_classes(self) -> bool:
        """Whether there ever was an update of another class than normal."""
        return len(self._classes) > 1

    def push(self, update: Update) -> None:
        """It may go when it is due."""
        its = self._normal
        if update.priority is not Priority.NORMAL:
            its = self._all[update.priority]
            self._classes = self._all
        (its.repeats if update.charged_attempts >= REPEAT_ATTEMPTS else its.ready).push(update)

    def rise(self, update: Update, priority: Priority) -> None:
        """A change of a higher class was merged into it."""
        update.priority = priority
        if update.waits_in is not None:
            update.waits_in.leave(update)
            self.push(update)

    def hold(self, visitor: Visitor, until: float) -> None:
        """Nothing of this visitor goes before `until`, which is the same for all that are held at one time."""
        self._held.add(visitor)
        self._hold_ends = until

    def due_in(self, now: float, lowest: Priority) -> float:
        """Seconds until an update of class `lowest` or above may go; 0 or less: now; infinite: nothing is there."""
        if self._held:
            self._park(now)
        due = math.inf
        for its in self._classes:
            if its.priority <= lowest:
                due = min(due, self._due(its))
        return (min(due, self._hold_ends) if self._parked else due) - now

    def overdue(self, priority: Priority, now: float) -> float:
        """Seconds for which the update of this class that is due longest waits for its turn; 0: none is due."""
        return max(0.0, now - self._due(self._all[priority]))

    def take(self, now: float, lowest: Priority) -> Update:
        """The update whose turn it is; call it only when `due_in` is 0 or less."""
        return self._turn(now, lowest).pop()

    def take_anywhere(self, now: float, lowest: Priority) -> Update:
        """One that is due, each time from another place, evenly spread over all classes and all that wait."""
        self._place = (self._place + GOLDEN_RATIO) % 1.0
        due = [its for its in self._classes if its.priority <= lowest and self._due(its) <= now]
        place = self._place * len(due)
        queue = self._queue(due[int(place)], now)
        return queue.pop() if self._held else queue.pop_at(place % 1.0, now)

    def flew(self, update: Update) -> None:
        """It is in flight."""
        self._repeats_in_flight += update.charged_attempts >= REPEAT_ATTEMPTS

    def landed(self, update: Update) -> None:
        """It is in flight no more; told before its attempts change."""
        self._repeats_in_flight -= update.charged_attempts >= REPEAT_ATTEMPTS

    def keep(self, wanted: Collection[Update]) -> None:
        """Drop all others."""
        for queue in self._queues():
            queue.keep(wanted)
        self._parked = [update for update in self._parked if update in wanted]

    def _queues(self) -> tuple[DueQueue, ...]:
        return tuple(chain.from_iterable((its.ready, its.repeats) for its in self._classes))

    def _due(self, its: _Class) -> float:
        """When the first of a class may go."""
        ready = its.ready.due
        return min(ready, its.repeats.due) if self._repeats_in_flight < self._repeat_slots else ready

    def _turn(self, now: float, lowest: Priority) -> DueQueue:
        """The queue whose turn it is: of the highest class that has something due, or now and then what rose to it."""
        if len(self._classes) == 1:
            return self._queue(self._normal, now)
        highest = next(its for its in self._all if its.priority <= lowest and self._due(its) <= now)
        risen = [
            queue
            for its in self._all[highest.priority + 1 :]
            for queue in self._open(its)
            if queue.due + self._aging * (its.priority - highest.priority) <= now
        ]
        if not risen:
            return self._queue(highest, now)
        self._risen_turns += 1
        if self._risen_turns < RISEN_TURN:
            return self._queue(highest, now)
        self._risen_turns = 0
        return min(risen, key=lambda queue: queue.due)

    def _open(self, its: _Class) -> tuple[DueQueue, ...]:
        """The queues of a class that may have a turn."""
        return (its.ready, its.repeats) if self._repeats_in_flight < self._repeat_slots else (its.ready,)

    def _queue(self, its: _Class, now: float) -> DueQueue:
        """Of a class, those that failed repeatedly have their turns too."""
        repeats_may = its.repeats.due <= now and self._repeats_in_flight < self._repeat_slots
        self._turns += 1
        if repeats_may and (its.ready.due > now or self._turns >= REPEAT_TURN):
            self._turns = 0
            return its.repeats
        return its.ready

    def _park(self, now: float) -> None:
        """Set aside those in front that are held, or let them follow when the time is over."""
        if now >= self._hold_ends:
            parked, self._parked = self._parked, []
            self._held.clear()
            for update in parked:
                self.push(update)
            return
        for queue in self._queues():
            while queue.due <= now and queue.first().visitor in self._held:
                self._parked.append(queue.pop())
