"""Compiles a path to a function that finds its value in a record. Missing is never an error."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from connector.formats.document import Node
from connector.mapping.paths import Path, Root, Select, Step

MAX_SEARCHED = 1_000
"""Items of a list that a search looks at, and that `join` takes: what one record costs must be bounded."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Missing:
    """The type of `MISSING`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()
"""Nothing stands at the path. A null does stand there: it is None."""

Record: TypeAlias = tuple[Node, Node, Mapping[str, str], str, int]
"""Value, key, headers, topic, and timestamp in milliseconds, negative if there is none."""
Get: TypeAlias = Callable[[Any, Record], Any]
"""From an item (without `each`: the value) and its record to what stands at a path: a Node or MISSING."""


class Unfit(Exception):
    """What stands at a path cannot be used. `reason` follows the path in a sentence and has no value in it."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(reason)
        self.path = str(path)
        self.reason = reason


def plain_text(node: Any) -> str | None:
    """Return the text of a text, boolean or whole number, None for everything else."""
    if isinstance(node, str):
        return node
    if isinstance(node, bool):
        return "true" if node else "false"
    return str(node) if isinstance(node, int) else None


def getter(path: Path) -> Get:
    """Return the function that finds what stands at a path; it raises `Unfit` where a search would be too long."""
    steps = path.steps
    if path.root is Root.ITEM and all(isinstance(step, str) for step in steps):
        return _by_names(tuple(map(str, steps)))
    if path.root is Root.ITEM:
        return lambda item, _: _walk(item, steps, path)
    if path.root is Root.VALUE:
        return lambda _, record: _walk(record[0], steps, path)
    if path.root is Root.KEY:
        return lambda _, record: MISSING if record[1] is None else _walk(record[1], steps, path)
    return _of_the_record(path)


def _of_the_record(path: Path) -> Get:
    if path.root is Root.HEADERS:
        name = str(path.steps[0])
        return lambda _, record: record[2].get(name, MISSING)
    if path.root is Root.TOPIC:
        return lambda _, record: record[3]
    return lambda _, record: _time_text(record[4])


def _by_names(names: tuple[str, ...]) -> Get:
    """Most paths are one name or two."""
    if len(names) == 1:
        (name,) = names

        def get_one(item: Any, _: Record) -> Any:
            return item.get(name, MISSING) if type(item) is dict else MISSING

        return get_one

    def get(item: Any, _: Record) -> Any:
        for name in names:
            if type(item) is not dict:
                return MISSING
            item = item.get(name, MISSING)
        return item

    return get


def _walk(node: Any, steps: tuple[Step, ...], path: Path) -> Any:
    for step in steps:
        if type(step) is str:
            node = node.get(step, MISSING) if type(node) is dict else MISSING
        elif type(node) is not list:
            return MISSING
        elif type(step) is int:
            node = node[step] if -len(node) <= step < len(node) else MISSING
        elif type(step) is Select:
            node = _search(node, step, path)
    return node


def _search(items: list[Any], select: Select, path: Path) -> Any:
    if len(items) > MAX_SEARCHED:
        raise Unfit(path, f"must not search a list of more than {MAX_SEARCHED:,} items")
    name = select.names[0] if len(select.names) == 1 and not select.begins else None
    for item in items:
        if name is not None and type(item) is dict and type(node := item.get(name)) is str:
            if node == select.text:
                return item
            continue
        text = plain_text(_walk(item, select.names, path))
        if text is not None and (text.startswith(select.text) if select.begins else text == select.text):
            return item
    return MISSING


def _time_text(milliseconds: int) -> str | Missing:
    """Return a record's timestamp in RFC 3339; MISSING for none, and for one beyond the year 9999."""
    if milliseconds < 0:
        return MISSING
    try:
        moment = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return MISSING
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
