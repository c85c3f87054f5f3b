"""Generated msgspec structs that read from a JSON text only what some paths lead to."""

import operator
import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any

import msgspec

from connector.mapping.paths import Path, Root, Step
from connector.mapping.walk import MISSING, Get, Record, getter

# msgspec reads an integer's `-0` as 0. The search may hit inside a text too; that costs time and nothing else.
minus_zero = re.compile(rb"-0[\s,}\]]").search


_CONTAINERS = (list, dict)


class NoStruct(Exception):
    """No structs can be made for these paths."""


class Unusual(Exception):
    """The text has something that structs do not give back as it is written."""


class StructTree:
    """Structs for the names on some paths. What a path leads to, and a list on its way, is a leaf and is read whole."""

    def __init__(self, paths: Iterable[Path], first: Container[Path] = ()) -> None:
        """Raises `NoStruct` where nothing would be passed over. The leaves of `first` are the first of their struct."""
        self._root: dict[str, Any] = {}
        self._whole: set[tuple[str, ...]] = set()
        for path in paths:
            if path.root is Root.ITEM:
                self._whole.add(_names(path))
        for names in sorted(self._whole):
            if any(names[:count] in self._whole for count in range(len(names))):
                self._whole.discard(names)
        if () in self._whole:
            raise NoStruct
        for names in sorted(self._whole, key=lambda names: (Path(Root.ITEM, names) not in first, len(names), names)):
            part = self._root
            for name in names[:-1]:
                part = part.setdefault(name, {})
            part[names[-1]] = None
        try:
            self._struct, self._fields = _struct(self._root)
        except (TypeError, ValueError) as error:
            raise NoStruct from error

    def decoder(self) -> Callable[[bytes], Any]:
        """Return the function that reads a text. A float becomes its text as it stands."""
        return msgspec.json.Decoder(self._struct, float_hook=str).decode

    def is_leaf(self, path: Path) -> bool:
        """Whether a path ends where a struct's field is read whole."""
        return _names(path) == path.steps and path.steps in self._whole

    def leaf(self, path: Path) -> Callable[[Any], Any]:
        """Return the function that reads one leaf; MISSING if it is not in the text."""
        fetch: Callable[[Any], Any] = operator.attrgetter(self._place(path.steps))
        return fetch

    def columns(self, names: Mapping[Path, str]) -> tuple[tuple[Callable[[Any], Any], tuple[str, ...]], ...]:
        """Return, for each struct with leaves among these paths, how to read it, and the names for its first fields.

        The paths are all leaves, and all that were given as `first`.
        """
        found: dict[tuple[str, ...], dict[str, str]] = {}
        for path, name in names.items():
            steps = tuple(map(str, path.steps))
            found.setdefault(steps[:-1], {})[steps[-1]] = name
        columns = []
        for steps, wanted in found.items():
            fields = self._fields
            for step in steps:
                fields = fields[step][1]
            read = operator.attrgetter(self._place(steps)) if steps else _itself
            columns.append((read, tuple(wanted[name] for name in list(fields)[: len(wanted)])))
        return tuple(columns)

    def getter(self, path: Path, *, checked: bool = True) -> Get:
        """Return a getter of structs; `checked`: it raises `Unusual` for a number that may have been written `-0`."""
        if path.root is not Root.ITEM:
            return getter(path)
        names = _names(path)
        leaf = next(names[:count] for count in range(1, len(names) + 1) if names[:count] in self._whole)
        fetch = operator.attrgetter(self._place(leaf))
        rest = Path(Root.ITEM, path.steps[len(leaf) :])
        walk = getter(rest) if rest.steps else None

        def get(item: Any, record: Record) -> Any:
            node = fetch(item)
            if checked and type(node) is not str and (node == 0 or type(node) in _CONTAINERS):
                _check_exact(record)
            return node if walk is None else walk(node, record)

        return get

    def _place(self, names: Iterable[Step]) -> str:
        fields, place = self._fields, []
        for name in names:
            field, fields = fields[str(name)]
            place.append(field)
        return ".".join(place)


def _itself(item: Any) -> Any:
    return item


def _names(path: Path) -> tuple[str, ...]:
    """Return the names before the first step into a list."""
    names = []
    for step in path.steps:
        if not isinstance(step, str):
            break
        names.append(step)
    return tuple(names)


def _struct(parts: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the struct of some names, and for each name its field and what is in it."""
    fields = []
    places: dict[str, Any] = {}
    for number, (name, inner) in enumerate(parts.items()):
        field = f"f{number}"
        if inner is None:
            fields.append((field, Any, msgspec.field(default=MISSING, name=name)))
            places[name] = (field, {})
        else:
            struct, inner_places = _struct(inner)
            fields.append((field, struct, msgspec.field(default=struct(), name=name)))
            places[name] = (field, inner_places)
    return msgspec.defstruct("Part", fields, frozen=True, gc=False), places


def _check_exact(record: Record) -> None:
    """Raise `Unusual` where the text, which stands in the place of the value, may have a number written `-0`."""
    if isinstance(record[0], bytes) and minus_zero(record[0]):
        raise Unusual
