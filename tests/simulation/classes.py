"""Which class goes next: judged at each turn of a replica, by a schedule of its own over what waits there.

1. No value goes in a lower class than its event has. No update has a class that no event of its visitor had.
2. The turn is the highest class's that has an update due, and of a class the update's that is due longest.
3. Except for what rose: of a class that has an update due for longer than the aging, once for each class between the
   two. It has its turn after exactly seven turns of higher ones at which such an update was there: sooner would be an
   inversion, later would let it starve.
4. A dead letter has at least the class of each value in it.

What waits is read of the coalescer's map of visitors, and not of the queues by which the schedule decides: an update
that is in no queue, or in that of another class, is due here. The schedule is only asked whom it holds.

A turn is the first request of an update. With the circuit open there are none: a probe is taken from anywhere, and does
not count. An update that failed repeatedly counts as due only while its share of the slots is free; it may go after
others of its class that are due later. So what rose of a class may be such an update, and another one of its class go.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from connector.delivery.answer import Answer
from connector.delivery.counters import Done
from connector.delivery.ports import Record
from connector.delivery.schedule import REPEAT_ATTEMPTS, REPEAT_SLOTS
from connector.delivery.update import Update
from connector.events.change import Priority, Visitor
from connector.pipeline.state import ReplicaState
from connector.target.render import Rendered, Request
from tests.simulation.ages import Render
from tests.support.fakes import parse

HIGHER_TURNS = 7
"""In a row, while an update that rose waits."""


class Classes:
    """The class of each event, by its serial number."""

    def __init__(self) -> None:
        self._of: dict[int, Priority] = {}
        self._had: dict[str, set[Priority]] = {}

    def appended(self, visitor: str, serials: Iterable[int], priority: Priority) -> None:
        """An event is in the log."""
        self._of.update(dict.fromkeys(serials, priority))
        self._had.setdefault(visitor, set()).add(priority)

    def fault(self, visitor: str, attributes: Mapping[str, str], priority: Priority) -> str:
        """Why these values may not go in this class; empty: they may."""
        for name, value in attributes.items():
            serial = int(value.partition(".")[0])
            if priority > (own := self._of[serial]):
                return f"{visitor} {name}={serial} of class {own.word} as {priority.word}"
        return "" if priority in self._had[visitor] else f"{visitor} as {priority.word}, which no event of it was"


class Turns:
    """Sees each turn of one replica; it is an observer of its pipeline."""

    def __init__(
        self, member: str, classes: Classes, aging: float, wrong: Callable[[str], None], counts: Counter[str]
    ) -> None:
        self._member = member
        self._classes = classes
        self._aging = aging
        self._wrong = wrong
        self._counts = counts
        self._begins = False
        """The next request is an update's first in this turn."""
        self._higher = 0
        """Turns of higher classes, while one that rose was there, since the last turn of such a one."""
        self.state: ReplicaState | None = None
        """Of the replica, when there is one."""

    def over(self, render: Render) -> Render:
        """Renders likewise, and sees that a turn begins: an update is rendered once in each."""

        def rendered(visitor: Visitor, attributes: Mapping[str, str]) -> Rendered:
            self._begins = True
            return render(visitor, attributes)

        return rendered

    def sent(self, update: Update, request: Request) -> None:
        visitor, attributes = parse(request)
        if fault := self._classes.fault(visitor, attributes, update.priority):
            self._wrong(f"{self._member} sends {fault}")
        begins, self._begins = self._begins, False
        assert self.state is not None
        # The first request leaves in the same step of the loop in which its update was taken: nothing came between.
        if begins and not self.state.gate.circuit.is_open:
            self._judge(self.state, update)

    def _judge(self, state: ReplicaState, update: Update) -> None:
        now, its = state.now(), update.priority
        due = self._due(state, update, now)
        longest = {each: min((other.due for other in there), default=math.inf) for each, there in due.items()}
        highest = next(each for each in Priority if longest[each] <= now)
        rose = [each for each in Priority if each > highest and longest[each] + self._aging * (each - highest) <= now]
        self._counts[f"turns of {its.word}"] += 1
        told = f"{self._member} sends {update.visitor.id} of {its.word}, due for {now - update.due:.3f} s,"
        if its is highest:
            self._higher += bool(rose)
            if self._higher > HIGHER_TURNS:
                self._wrong(f"{told} for the {self._higher}th time while {rose[0].word} has risen")
        elif its not in rose:
            self._wrong(f"{told} while {highest.word} is due for {now - longest[highest]:.3f} s")
        elif update.due + self._aging * (its - highest) > now:
            self._wrong(f"{told} which has not risen, with {highest.word} due")
        elif self._higher < HIGHER_TURNS:
            self._wrong(f"{told} after {self._higher} turns of higher ones, with {highest.word} due")
        else:
            self._higher = 0
            self._counts["turns of risen ones"] += 1
        fresh = [other for other in due[its] if other.charged_attempts < REPEAT_ATTEMPTS and other.due < update.due]
        if fresh and update.charged_attempts < REPEAT_ATTEMPTS:
            self._wrong(f"{told} before {fresh[0].visitor.id}, due for {now - fresh[0].due:.3f} s")

    def _due(self, state: ReplicaState, update: Update, now: float) -> Mapping[Priority, list[Update]]:
        """What was due, by class, before this update was taken; without repeat failures whose slots are all taken."""
        pending, flying = state.coalescer._pending, state.coalescer._flying  # noqa: SLF001 - see the module's lines
        held = state.coalescer._schedule._held  # noqa: SLF001 - likewise
        repeats = sum(it.charged_attempts >= REPEAT_ATTEMPTS for it in flying.values() if it is not update)
        may_repeat = repeats < max(1, state.config.max_in_flight // REPEAT_SLOTS)
        due: dict[Priority, list[Update]] = {each: [] for each in Priority}
        due[update.priority].append(update)
        for it in pending.values():
            is_free = it.visitor not in flying and it.visitor not in held
            if it.due <= now and is_free and (may_repeat or it.charged_attempts < REPEAT_ATTEMPTS):
                due[it.priority].append(it)
        return due

    def taken(self, record: Record, visitor: Visitor, *, merged: bool) -> None:
        """What waits is read at each turn."""

    def answered(self, update: Update, answer: Answer) -> None:
        """Likewise."""

    def settled(self, update: Update, how: Done) -> None:
        """Likewise."""
