"""Reads from a JSON text only what a mapping uses: everything else is passed over without becoming an object.

The types are generated from the tree of all paths of a source. A text that does not fit them, such as a list where the
mapping expects an object, is read whole by the plain reader that was handed in; so is one that is not JSON at all,
since the plain reader knows the words of the refusal. The mapping finds the same either way: a property test holds that.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec

from connector.mapping.copying import dotted_prefixes
from connector.mapping.model import Node, Source
from connector.mapping.paths import Path, Root, Select, Step

# msgspec reads an integer's `-0` as 0. The search may hit inside a text too; that costs time and nothing else.
_minus_zero = re.compile(rb"-0[\s,}\]]").search


class FastJson:
    """One source's reader of record values. Holds no state."""

    def __init__(self, source: Source, plain: Callable[[bytes], Node]) -> None:
        """`plain` reads any JSON text whole, numbers as they are written, and refuses what is none."""
        tree = _tree(source)
        self._plain = plain
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(tree.type(), float_hook=str).decode

    def decode(self, value: bytes) -> Node:
        """Return the value, or at least all of it that the mapping uses."""
        try:
            if not value.isascii():
                value.decode()  # msgspec checks the texts that it keeps, not those that it passes over
            if b"-0" not in value or not _minus_zero(value):
                node: Node = self._decode(value)
                return node
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass
        return self._plain(value)


@dataclass(slots=True)
class _Part:
    """What the mapping uses of one place in the text: all of it, some fields, or items."""

    whole: bool = False
    fields: "dict[str, _Part]" = field(default_factory=dict)
    items: "_Part | None" = None

    def at(self, steps: Iterable[Step | None]) -> "_Part":
        """Return the part at the end of the steps, made if it is not there yet; None steps to the items of `each`."""
        part = self
        for step in steps:
            if isinstance(step, str):
                part = part.fields.setdefault(step, _Part())
                continue
            part.items = part.items or _Part()
            part = part.items
            if isinstance(step, Select):
                part.at(step.names).whole = True
        return part

    def type(self) -> Any:
        """Return what msgspec is to read: `Any` reads whole, a `TypedDict` passes over what it does not name."""
        if self.whole or not (self.fields or self.items):
            return Any
        read: Any = None
        if self.fields:
            read = _typed_dict("Part", {name: part.type() for name, part in self.fields.items()}, total=False) | None
        return list[self.items.type()] | read if self.items else read  # type: ignore[misc]


_typed_dict: Any = TypedDict  # whose static form takes literal names only


def _tree(source: Source) -> _Part:
    tree = _Part()
    items: tuple[Step | None, ...] = () if source.each is None else (*source.each.steps, None)
    tree.at(items)

    def at(path: Path, *more: str) -> _Part:
        if path.root is Root.ITEM:
            return tree.at((*items, *path.steps, *more))
        return tree.at((*path.steps, *more)) if path.root is Root.VALUE else _Part()

    for path, place in source.uses():
        if place not in ("each", "copy.from"):
            at(path).whole = True
    for copy in source.copies:
        if copy.only is None:
            at(copy.path).whole = True
        for name in copy.only or ():
            for key in dotted_prefixes(name):
                at(copy.path, key).whole = True
    return tree
