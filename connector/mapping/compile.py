"""Compiles a source of a mapping, once at start, to a function from a document to changes.

Holds no state: the same record gives the same outcome, whatever came before. What one record costs is bounded by the
length of the mapping and of the record; nothing loops or searches but over the record's own items, which are limited.
"""

import enum
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from connector.events.change import Change, Priority, Refused, change_of
from connector.events.json_v1 import TIME_RULE, Nulls, is_time
from connector.formats.document import Node
from connector.formats.readers import Format
from connector.mapping.attributes import attributes_reader
from connector.mapping.conditions import test_of
from connector.mapping.copying import copier
from connector.mapping.model import Source
from connector.mapping.paths import Path, Root
from connector.mapping.priorities import priority_reader
from connector.mapping.values import identifier_text, reader
from connector.mapping.walk import MISSING, Get, Record, Unfit, getter

MAX_ITEMS = 5_000
"""Items of `each` in one record: all are mapped in one turn of the event loop."""
MAX_IDENTIFIER = 256
NO_VISITOR = "no visitor"
"""The condition that is counted for a mapped event without a visitor, where such events are skipped."""
UNAVAILABLE = "__debezium_unavailable_value"
"""What Debezium writes for a value that the database did not hand out (Postgres, TOAST): no value."""
_MAX_FIELD = 200  # characters of a refusal's field, which becomes a Kafka header


class Unmapped(enum.StrEnum):
    """What becomes of a mapped event without a visitor (`EVENT_UNMAPPED`)."""

    REFUSE = "refuse"
    SKIP = "skip"


class Skip(msgspec.Struct, frozen=True, gc=False):
    """An event that is not for us; `condition` is the text of the condition that did not hold."""

    condition: str


Item: TypeAlias = Change | Refused | Skip
"""What became of one item of `each`; without `each`, of the record."""


class Changes(msgspec.Struct, frozen=True, gc=False):
    """One entry for each item, in their order, so that an entry's place is the item's index."""

    items: tuple[Item, ...]


Outcome: TypeAlias = Changes | Skip


def compile_source(source: Source, nulls: Nulls, unmapped: Unmapped = Unmapped.REFUSE) -> "Compiled":
    """Return the function of one source; `nulls` decides what a null attribute becomes."""
    return Compiled(source, nulls, unmapped)


class Compiled:
    """One source as a function."""

    def __init__(self, source: Source, nulls: Nulls, unmapped: Unmapped) -> None:
        self.source = source
        self.nulls = nulls
        ignored = UNAVAILABLE if source.format is Format.DEBEZIUM else None
        find = _available if ignored else getter
        tests = [(str(one), test_of(one, find(one.path)), source.is_of_record(one.path)) for one in source.when]
        self._record_tests = tuple((text, holds) for text, holds, of_record in tests if of_record)
        self._item_tests = tuple((text, holds) for text, holds, of_record in tests if not of_record)
        self._each = None if source.each is None else getter(source.each)
        self._visitors = tuple(
            (kind, reader(value, find, Nulls.DROP, identifier_text)) for kind, value in source.visitor.items()
        )
        self._occurred = reader(source.occurred_at, find, Nulls.DROP) if source.occurred_at else None
        self._priority = priority_reader(source.priority, find)
        self._copies = tuple(copier(copy, getter(copy.path), nulls, ignored) for copy in source.copies)
        self._attributes_into = attributes_reader(source.attributes, find, nulls, plain=ignored is None)
        self._skips_unmapped = unmapped is Unmapped.SKIP
        self._visitor_paths = ", ".join(str(path) for value in source.visitor.values() for path in value.all_paths)
        self._time_paths = ", ".join(map(str, source.occurred_at.all_paths)) if source.occurred_at else ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every path that it reads, each once."""
        return tuple(dict.fromkeys(path for path, _ in self.source.uses()))

    def __call__(
        self,
        value: Node,
        key: Node,
        headers: Mapping[str, str],
        topic: str,
        timestamp_ms: int,
        schema: str | None = None,
    ) -> Outcome:
        """Return what the record asks for; raises `Refused` when the record as a whole cannot be read.

        `schema` is the text of the schema's id, to be named in refusals. Without `each` there is one item, which is
        never refused by itself: its refusal is the record's.
        """
        record = (value, key, headers, topic, timestamp_ms)
        try:
            for text, holds in self._record_tests:
                if not holds(value, record):
                    return Skip(text)
            if self._each is None:
                item = self._item(value, record)
                return item if type(item) is Skip else Changes((item,))
            items = self._items(self._each(value, record))
        except Unfit as unfit:
            raise self._refused(unfit, schema) from unfit
        return Changes(tuple([self._item_or_refusal(item, record, schema) for item in items]))

    def _items(self, items: Any) -> list[Any]:
        """Return the items of `each`: none where nothing stands at its path."""
        if items is MISSING or items is None:
            return []
        path = self.source.each or Path(Root.VALUE)
        if type(items) is not list:
            raise Unfit(path, "must be an array, for one change an item")
        if len(items) > MAX_ITEMS:
            raise Unfit(path, f"must have at most {MAX_ITEMS:,} items")
        return items

    def _item_or_refusal(self, item: Any, record: Record, schema: str | None) -> Item:
        try:
            for text, holds in self._item_tests:
                if not holds(item, record):
                    return Skip(text)
            return self._item(item, record)
        except Unfit as unfit:
            return self._refused(unfit, schema)

    def _item(self, item: Any, record: Record) -> Change | Skip:
        for kind, read in self._visitors:  # noqa: B007 - the first that has something
            identifier = read(item, record)
            if identifier:
                break
        else:
            return self._no_visitor()
        if len(identifier) > MAX_IDENTIFIER:
            raise Unfit(self._visitor_paths, f"must have at most {MAX_IDENTIFIER} characters, to identify a visitor")
        occurred = None
        if self._occurred is not None:
            occurred = self._occurred(item, record) or None
            if occurred is not None and not is_time(occurred):
                raise Unfit(self._time_paths, f"{TIME_RULE}; a number needs as, such as as: epoch-ms")
        attributes: dict[str, str] = {}
        for copy_into in self._copies:
            copy_into(attributes, item, record)
        self._attributes_into(attributes, item, record)
        priority = Priority.NORMAL if self._priority is None else self._priority(item, record)
        return change_of(kind, identifier, attributes, occurred, priority)

    def _no_visitor(self) -> Skip:
        if self._skips_unmapped:
            return Skip(NO_VISITOR)
        raise Unfit(self._visitor_paths, "must not all be missing or empty: one of them identifies the visitor")

    def _refused(self, unfit: Unfit, schema: str | None) -> Refused:
        """Name path, source and schema, and no value."""
        field = unfit.path if len(unfit.path) <= _MAX_FIELD else f"{unfit.path[: _MAX_FIELD - 1]}…"
        where = f"mapping of {self.source.name}" + (f", schema {schema}" if schema else "")
        return Refused(field, f"{unfit.reason} ({where})")


def _available(path: Path) -> Get:
    """Return a getter to which a value that the database did not hand out is missing."""
    get = getter(path)

    def get_available(item: Any, record: Record) -> Any:
        node = get(item, record)
        return MISSING if node == UNAVAILABLE else node

    return get_available
