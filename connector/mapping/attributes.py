"""Compiles `attributes`: those that stand side by side in one object, which are most, are read in one loop."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from connector.events.json_v1 import Nulls
from connector.mapping.model import Value
from connector.mapping.paths import Path, Root
from connector.mapping.values import Getter, Read, reader
from connector.mapping.walk import MISSING, Get, Record

AttributesInto: TypeAlias = Callable[[dict[str, str], Any, Record], None]
"""Adds the attributes of an item to those that are there, over them. Raises `Unfit`."""
_Groups: TypeAlias = tuple[tuple[Get | None, tuple[tuple[str, str, Read], ...]], ...]
"""For each object its getter, None for the item itself, and its fields: key, attribute, the way for what is rare."""


def attributes_reader(values: Mapping[str, Value], getter: Getter, nulls: Nulls, *, plain: bool) -> AttributesInto:
    """Return the function that reads all attributes; not `plain`: `getter` may hide a text that stands there."""
    siblings: dict[Path, list[tuple[str, str, Read]]] = {}
    others: list[tuple[str, Read]] = []
    for name, value in values.items():
        read = reader(value, getter, nulls)
        if plain and is_plain(value):
            (path,) = value.paths
            siblings.setdefault(Path(path.root, path.steps[:-1]), []).append((str(path.steps[-1]), name, read))
        else:
            others.append((name, read))
    groups = tuple((_parent(path, getter), tuple(fields)) for path, fields in siblings.items())
    return _reading(groups, tuple(others))


def _reading(groups: _Groups, others: tuple[tuple[str, Read], ...]) -> AttributesInto:  # noqa: C901 - flat: the loop of most records
    def attributes_into(attributes: dict[str, str], item: Any, record: Record) -> None:
        for get, fields in groups:
            parent = item if get is None else get(item, record)
            if type(parent) is not dict:
                continue
            for key, name, read in fields:
                node = parent.get(key, MISSING)
                kind = type(node)
                if kind is str:
                    attributes[name] = node
                elif kind is bool:
                    attributes[name] = "true" if node else "false"
                elif kind is int:
                    attributes[name] = str(node)
                elif node is not MISSING and (text := read(item, record)) is not None:
                    attributes[name] = text
        for name, read in others:
            if (text := read(item, record)) is not None:
                attributes[name] = text

    return attributes_into


def is_plain(value: Value) -> bool:
    """Whether a value is what stands, as it stands, in a field of an object that names lead to."""
    if len(value.paths) != 1 or value.conversion or value.table is not None or value.default is not None:
        return False
    (path,) = value.paths
    return path.root is Root.ITEM and bool(path.steps) and all(isinstance(step, str) for step in path.steps)


def _parent(path: Path, getter: Getter) -> Get | None:
    return getter(path) if path.steps else None
