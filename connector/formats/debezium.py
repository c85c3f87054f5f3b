"""Change events of Debezium: the envelope, or the row alone where Connect unwrapped it."""

from typing import Final

from connector.events.change import Refused
from connector.formats.document import VALUE, Node

UNAVAILABLE: Final = "__debezium_unavailable_value"
"""What stands for a column that the database did not log, such as a large one of Postgres: it has no value here."""
_UNAVAILABLE: Final = (UNAVAILABLE, UNAVAILABLE.encode(), "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", [UNAVAILABLE])
_TRACES: Final = (b"__debezium_unav", b"X19kZWJleml1bV91bmF2")
_ROWS: Final = ("before", "after")


def change_event(tree: Node, data: bytes) -> Node:
    """Return the event without the columns that have no value; `Refused` names what is no change of a row.

    `data` is what the tree was read from: most records have no such column, and need no look at each of theirs.
    """
    if type(tree) is not dict:
        return tree
    is_whole = not any(trace in data for trace in _TRACES)
    if "op" in tree:
        if is_whole:
            return tree
        for name in _ROWS:
            row = tree.get(name)
            if type(row) is dict:
                tree[name] = _available(row)
        return tree
    other = _other(tree)
    if other is not None:
        raise Refused(VALUE, f"must be a change of a row, and is {other}: name its topic in no source")
    return tree if is_whole else _available(tree)


def _available(row: dict[str, Node]) -> dict[str, Node]:
    if any(value in _UNAVAILABLE for value in row.values() if type(value) in (str, bytes, list)):
        return {name: value for name, value in row.items() if value not in _UNAVAILABLE}
    return row


def _other(tree: dict[str, Node]) -> str | None:
    names = tree.keys()
    if {"databaseName", "ddl"} <= names or {"source", "tableChanges"} <= names:
        return "Debezium's note of a schema change"
    if {"status", "id", "event_count", "data_collections"} <= names:
        return "Debezium's note of a transaction"
    if names == {"ts_ms"}:
        return "Debezium's heartbeat"
    return None
