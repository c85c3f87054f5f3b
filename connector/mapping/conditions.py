"""Compiles a condition of `when` to a function from a record to whether it holds."""

from collections.abc import Callable
from typing import Any, TypeAlias

from connector.mapping.model import Condition, Operator
from connector.mapping.walk import MISSING, Get, Record, plain_text

Holds: TypeAlias = Callable[[Any, Record], bool]


def test_of(condition: Condition, get: Get) -> Holds:
    """Return the function. Texts, numbers and booleans compare by their text; what is missing equals nothing."""
    if condition.operator is Operator.EXISTS:
        return _exists(get, wanted=condition.exists)
    if condition.operator is Operator.BEGINS:
        return _begins(get, condition.texts[0])
    texts = frozenset(condition.texts)
    if condition.operator is Operator.NOT_IN:
        return _not_in(get, texts)
    return _in(get, texts)


def _exists(get: Get, *, wanted: bool) -> Holds:
    def holds(item: Any, record: Record) -> bool:
        node = get(item, record)
        return (node is not MISSING and node is not None) is wanted

    return holds


def _begins(get: Get, text: str) -> Holds:
    def holds(item: Any, record: Record) -> bool:
        found = plain_text(get(item, record))
        return found is not None and found.startswith(text)

    return holds


def _in(get: Get, texts: frozenset[str]) -> Holds:
    def holds(item: Any, record: Record) -> bool:
        node = get(item, record)
        return (node if type(node) is str else plain_text(node)) in texts

    return holds


def _not_in(get: Get, texts: frozenset[str]) -> Holds:
    inside = _in(get, texts)
    return lambda item, record: not inside(item, record)
