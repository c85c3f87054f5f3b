"""What a schema says can stand where in a document: to check paths before there is a record, and to show to people."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

_DEEPEST: Final = 8
"""Levels that are shown to people."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One place. Where types are recursive, a shape is inside of itself."""

    type: str
    """In the schema's words, for people."""
    fields: Mapping[str, "Shape"] = field(default_factory=dict, repr=False)
    items: "Shape | None" = field(default=None, repr=False)
    """What a list here holds."""
    values: "Shape | None" = field(default=None, repr=False)
    """What an object here holds, whatever the names."""
    is_open: bool = False
    """Anything may stand below."""
    note: str = ""
    """What a person has to know of it to map it."""
    branches: "tuple[Shape, ...]" = field(default=(), repr=False)
    """Of a union, what may stand here; none of them is a union itself."""

    @property
    def alternatives(self) -> "tuple[Shape, ...]":
        """What may stand here, each by itself."""
        return self.branches or (self,)

    def places(self, most: int) -> Iterator[tuple[str, "Shape"]]:
        """Give the first places below, each under its path as a mapping has it; of lists the first item."""
        count = 0
        waiting = [("", self, 0)]
        while waiting and count < most:
            path, shape, depth = waiting.pop()
            if path:
                count += 1
                yield path, shape
            if depth < _DEEPEST:
                below = [(inner, found, depth + 1) for one in shape.alternatives for inner, found in _below(path, one)]
                waiting += reversed(below)


def one_of(shapes: Iterable[Shape]) -> Shape:
    """Give the shape of a place where any of several may stand."""
    branches = tuple({id(one): one for shape in shapes for one in shape.alternatives}.values())
    if len(branches) == 1:
        return branches[0]
    types = " or ".join(dict.fromkeys(one.type for one in branches))
    notes = "; ".join(dict.fromkeys(one.note for one in branches if one.note))
    return Shape(types, note=notes, branches=branches)


def _below(path: str, shape: Shape) -> Iterator[tuple[str, Shape]]:
    for name, inner in shape.fields.items():
        yield _joined(path, name), inner
    if shape.items is not None:
        yield f"{path}[0]", shape.items
    if shape.values is not None:
        yield _joined(path, "NAME"), shape.values


def _joined(path: str, name: str) -> str:
    """Write a name behind a path; what cannot stand bare is quoted."""
    if name.replace("-", "_").isidentifier():
        return f"{path}.{name}" if path else name
    return f"{path}['{name}']"
