"""From a JSON text to its outcome: most records by structs generated from the mapping, the rest by the plain way.

The structs have a field for each name on the mapping's paths; all else in the text is passed over without becoming an
object. The fast way only ever gives a result where nothing is unusual. For everything else, which is a shape that does
not fit, a value that is refused, an integer written `-0` or what is no JSON, the text is read whole by the plain reader
and mapped as any document. So the plain way alone decides what a record means; a property test holds the two together.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import astuple

from connector.events.change import PC_ID, Change, Priority, Visitor, change_of
from connector.events.json_v1 import Nulls, is_time, known_fractions, known_seconds
from connector.formats.document import Node
from connector.formats.readers import Format
from connector.mapping.attributes import is_plain
from connector.mapping.compile import MAX_IDENTIFIER, Changes, Compiled, Outcome, Skip
from connector.mapping.conditions import test_of
from connector.mapping.copying import copier
from connector.mapping.json_structs import NoStruct, StructTree, Unusual, minus_zero
from connector.mapping.model import Source, Value
from connector.mapping.priorities import priority_reader
from connector.mapping.values import identifier_text, reader
from connector.mapping.walk import MISSING, Record, Unfit

Plain: TypeAlias = Callable[[bytes], Node]
"""Reads any JSON text whole, numbers as they are written; raises `Refused` for what is none."""


class JsonMapper:
    """From a record whose value is plain JSON to its outcome. Holds no state."""

    def __init__(self, compiled: Compiled, plain: Plain) -> None:
        """`plain` reads what is unusual."""
        self._compiled = compiled
        self._plain = plain
        self._decode: Callable[[bytes], Any] | None = None
        # A value that is the event itself: with `each` all of a list would have to be read.
        if compiled.source.format is Format.JSON and not compiled.source.each:
            with suppress(NoStruct):
                self._prepare(compiled.source, compiled.nulls)

    def _prepare(self, source: Source, nulls: Nulls) -> None:
        """Make what the fast way reads by; raises `NoStruct` where the mapping has none."""
        plain = {value.paths[0]: name for name, value in source.attributes.items() if is_plain(value)}
        tree = StructTree([path for path, _ in source.uses()], first=plain)
        self._tests = tuple((str(one), test_of(one, tree.getter(one.path))) for one in source.when)
        self._visitors = tuple(
            (kind, reader(value, tree.getter, Nulls.DROP, identifier_text)) for kind, value in source.visitor.items()
        )
        kind, first = next(iter(source.visitor.items()))
        self._kind = kind
        self._identifier = tree.leaf(first.paths[0]) if _is_leaf(first, tree) else None
        self._time = reader(source.occurred_at, tree.getter, Nulls.DROP) if source.occurred_at else None
        occurred = source.occurred_at
        self._plain_time = tree.leaf(occurred.paths[0]) if occurred and _is_leaf(occurred, tree) else None
        self._priority = priority_reader(source.priority, tree.getter)
        self._copies = tuple(copier(copy, tree.getter(copy.path, checked=False), nulls) for copy in source.copies)
        self._sole_copy = None
        if len(source.copies) == 1 and source.copies[0].is_plain and tree.is_leaf(source.copies[0].path):
            self._sole_copy = tree.leaf(source.copies[0].path)
        self._drops_nulls = nulls is Nulls.DROP
        leaves = {path: name for path, name in plain.items() if tree.is_leaf(path)}
        others = {name: value for name, value in source.attributes.items() if name not in leaves.values()}
        self._columns = tree.columns(leaves)
        self._others = tuple((name, reader(value, tree.getter, nulls)) for name, value in others.items())
        self._decode = tree.decoder()

    def __call__(  # noqa: C901, PLR0912 - one function, since each call in it would be a tenth of its time
        self,
        value: bytes,
        key: Node,
        headers: Mapping[str, str],
        topic: str,
        timestamp_ms: int,
        schema: str | None = None,
    ) -> Outcome:
        """Return what the record asks for; raises `Refused`, also for what is no JSON."""
        if self._decode is None:
            return self._compiled(self._plain(value), key, headers, topic, timestamp_ms, schema)
        try:
            if not value.isascii():
                value.decode()  # msgspec checks the texts that it keeps, not those that it passes over
            item = self._decode(value)
            record: Record = (value, key, headers, topic, timestamp_ms)
            for text, holds in self._tests:
                if not holds(item, record):
                    return Skip(text)
            identifier = self._identifier(item) if self._identifier is not None else None
            if type(identifier) is str and 0 < len(identifier) <= MAX_IDENTIFIER:
                kind = self._kind
            else:
                kind, identifier = self._visitor(item, record)
            occurred = None
            if self._time is not None:
                occurred = self._plain_time and self._plain_time(item)
                if type(occurred) is not str:
                    occurred = self._time(item, record)
                known = not occurred or (occurred[:19] in known_seconds and occurred[19:] in known_fractions)
                if not known and not is_time(occurred or ""):
                    raise Unusual  # noqa: TRY301 - as above
            attributes = self._copied(item, record, value) if self._copies else {}
            for read_struct, names in self._columns:
                for name, node in zip(names, astuple(read_struct(item))):  # noqa: B905 - the fields that are no attributes come last
                    form = type(node)
                    if form is str:
                        attributes[name] = node
                    elif form is bool:
                        attributes[name] = "true" if node else "false"
                    elif form is int and (node or not minus_zero(value)):
                        attributes[name] = str(node)
                    elif node is not MISSING and (node is not None or not self._drops_nulls):
                        raise Unusual  # noqa: TRY301 - as above
            for name, read in self._others:
                if (told := read(item, record)) is not None:
                    attributes[name] = told
            priority = Priority.NORMAL if self._priority is None else self._priority(item, record)
            if kind != PC_ID:
                return Changes((Change(Visitor(kind, identifier), attributes, occurred or None, "", priority),))
            return Changes((change_of(kind, identifier, attributes, occurred or None, priority),))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unusual, Unfit):
            return self._compiled(self._plain(value), key, headers, topic, timestamp_ms, schema)

    def _copied(self, item: Any, record: Record, value: bytes) -> dict[str, str]:
        if self._sole_copy is not None:
            tree = self._sole_copy(item)
            if type(tree) is dict and _made_texts(tree, value):
                return tree
        attributes: dict[str, str] = {}
        for copy_into in self._copies:
            copy_into(attributes, item, record)
        if "0" in attributes.values() and minus_zero(value):
            raise Unusual
        return attributes

    def _visitor(self, item: Any, record: Record) -> tuple[str, str]:
        for kind, read in self._visitors:
            identifier = read(item, record)
            if identifier:
                if len(identifier) <= MAX_IDENTIFIER:
                    return kind, identifier
                break
        raise Unusual


def _made_texts(tree: dict[str, Any], value: bytes) -> bool:
    """Make texts of a flat object's values, in their places; False where one is neither text, number nor boolean."""
    for name, node in tree.items():
        form = type(node)
        if form is str:
            continue
        if form is int and (node or not minus_zero(value)):
            tree[name] = str(node)
        elif form is bool:
            tree[name] = "true" if node else "false"
        else:
            return False
    return "" not in tree


def _is_leaf(value: Value, tree: StructTree) -> bool:
    return is_plain(value) and tree.is_leaf(value.paths[0])
