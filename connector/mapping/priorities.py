"""Compiles the rules of `priority` to a function, or to nothing where all changes have the same priority."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from connector.events.change import Priority
from connector.mapping.conditions import test_of
from connector.mapping.model import PriorityRule
from connector.mapping.paths import Path
from connector.mapping.walk import Get, Record

PriorityOf: TypeAlias = Callable[[Any, Record], Priority]


def priority_reader(rules: Sequence[PriorityRule], find: Callable[[Path], Get]) -> PriorityOf | None:
    """Return the function: the first rule whose conditions all hold decides, and without one it is normal.

    None: every change is normal. `find` makes the getter of a path.
    """
    if not rules:
        return None
    compiled = [(rule.priority, [test_of(one, find(one.path)) for one in rule.when]) for rule in rules]

    def priority_of(item: Any, record: Record) -> Priority:
        for priority, tests in compiled:
            if all(holds(item, record) for holds in tests):
                return priority
        return Priority.NORMAL

    return priority_of
