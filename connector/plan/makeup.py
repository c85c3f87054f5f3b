"""Counts the calls by class and by the age of what they carry, so that each setting can be told what it saves."""

import math
from typing import Final

from connector.events.change import Priority, Visitor

AGES: Final = (3_600, 21_600, 86_400, 604_800)
"""Ages in seconds for which the calls that are older are counted: values that EVENT_MAX_AGE_SECONDS may have."""


class Makeup:
    """The newest change of each pending update, and the counts of those that became calls."""

    __slots__ = ("_newest", "_older", "_priority_calls")

    def __init__(self) -> None:
        self._newest: dict[Visitor, float] = {}
        self._priority_calls = dict.fromkeys(Priority, 0)
        self._older = [0] * len(AGES)

    def add(self, visitor: Visitor, when: float) -> None:
        """A change is merged into the visitor's pending update; it was true at `when`, in seconds since the epoch."""
        if when > self._newest.get(visitor, -math.inf):
            self._newest[visitor] = when

    def take(self, visitor: Visitor, now: float) -> float:
        """The visitor's update is not pending any more: return the age of its newest change."""
        return now - self._newest.pop(visitor)

    def count(self, priority: Priority, age: float) -> None:
        """An update with this class and age takes a call."""
        self._priority_calls[priority] += 1
        for place, most in enumerate(AGES):
            if age <= most:
                break
            self._older[place] += 1

    @property
    def by_class(self) -> dict[str, int]:
        """The calls of each class, by its name."""
        return {priority.word: calls for priority, calls in self._priority_calls.items()}

    @property
    def older_than(self) -> dict[int, int]:
        """By age in seconds, the calls whose newest change was older when their turn came."""
        return dict(zip(AGES, self._older, strict=True))
