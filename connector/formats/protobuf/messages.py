"""Protobuf messages as documents, without generated code: the registry's descriptors give the classes."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from connector.events.change import Refused
from connector.formats.document import SCHEMA, Node
from connector.formats.numbers import double_text, duration_text, single_text, utc_seconds
from connector.formats.protobuf.known import PREFIX

MAX_MESSAGES: Final = 10_000
"""Messages and entries of maps in one record: a million of them, of two bytes each, would hold the event loop."""
_NARROW: Final = 64
"""Fields up to which reading all of a message is quicker than asking for those that are set."""
_EXACT_DOUBLE: Final = 2.0**53

# Descriptors are `Any` here: their types say for each field that there may be no type of its message.
_Convert = Callable[[Any], Node]


class MessageReader:
    """Reads messages of one schema; what it must know of a message type it learns when the first one comes."""

    def __init__(self, *, zero_values: bool) -> None:
        """`zero_values`: a proto3 field without presence that holds its zero is in the document, and not absent."""
        self._zero_values = zero_values
        self._types: dict[str, _Type] = {}
        self._left = MAX_MESSAGES

    def read(self, message: Message) -> Node:
        """Return the document of a whole record."""
        self._left = MAX_MESSAGES
        return self.message(message)

    def message(self, message: Message) -> dict[str, Node]:
        """Return the document of a message within the record."""
        self.spend(1)
        name = message.DESCRIPTOR.full_name
        plan = self._types.get(name)
        if plan is None:
            plan = self._types[name] = _Type(message.DESCRIPTOR, self, zero_values=self._zero_values)
        return plan.read(message)

    def spend(self, messages: int) -> None:
        """Count messages against the record's bound, before they are read."""
        self._left -= messages
        if self._left < 0:
            raise TooManyMessages

    def converter(self, field: Any) -> _Convert | None:
        """Return what makes a value of the field a document; None where it is one already."""
        if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_GROUP):
            return self._well_known(field.message_type) or self.message
        if field.type == FieldDescriptor.TYPE_ENUM:
            return _enum(field.enum_type)
        return _SCALARS.get(field.type)

    def _well_known(self, descriptor: Any) -> _Convert | None:
        if not descriptor.file.name.startswith(PREFIX):
            return None
        free_form = {"Struct": self._struct, "ListValue": self._list, "Value": self._value}
        return free_form.get(descriptor.name) or _WELL_KNOWN.get(descriptor.name)

    def _struct(self, message: Any) -> Node:
        self.spend(len(message.fields))
        return {name: self._value(message.fields[name]) for name in message.fields}

    def _list(self, message: Any) -> Node:
        self.spend(len(message.values))
        return [self._value(item) for item in message.values]

    def _value(self, message: Any) -> Node:
        kind = message.WhichOneof("kind")
        if kind is None or kind == "null_value":
            return None
        value = getattr(message, kind)
        if kind == "struct_value":
            return self._struct(value)
        if kind == "list_value":
            return self._list(value)
        if kind == "number_value":
            return int(value) if value.is_integer() and abs(value) <= _EXACT_DOUBLE else double_text(value)
        text_or_truth: Node = value
        return text_or_truth


class TooManyMessages(Exception):
    """The record holds more messages than are read."""


class _Type:
    """How to read one type of message."""

    def __init__(self, descriptor: Any, reader: MessageReader, *, zero_values: bool) -> None:
        self._zero_values = zero_values
        self._spend = reader.spend
        self._scalars: list[tuple[str, _Convert | None, bool, bool]] = []  # name, convert, has presence, has a default
        self._messages: list[tuple[str, _Convert]] = []
        self._repeated: list[tuple[str, _Convert]] = []
        self._by_number: dict[int, tuple[str, _Convert | None]] | None = None
        for field in descriptor.fields:
            self._plan(field, reader)
        names = [name for name, *_ in self._scalars]
        self._get: Callable[[Any], Any] = attrgetter(*names) if len(names) > 1 else _each(names)
        if len(descriptor.fields) > _NARROW:
            self._by_number = {field.number: self._of(field, reader) for field in descriptor.fields}

    def _plan(self, field: Any, reader: MessageReader) -> None:
        name, convert = self._of(field, reader)
        if field.is_repeated:
            assert convert is not None  # noqa: S101 - `_of` gives each repeated field one
            self._repeated.append((name, convert))
        elif field.message_type is not None:
            assert convert is not None  # noqa: S101 - and each message
            self._messages.append((name, convert))
        else:
            self._scalars.append((name, convert, field.has_presence, bool(field.default_value)))

    def _of(self, field: Any, reader: MessageReader) -> tuple[str, _Convert | None]:
        if not field.is_repeated:
            return field.name, reader.converter(field)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return field.name, _map(field.message_type, reader)
        convert = reader.converter(field)
        if convert is None:
            return field.name, list
        is_counted = field.message_type is not None and convert != reader.message
        return field.name, _each_by(convert, reader.spend if is_counted else _free)

    def read(self, message: Message) -> dict[str, Node]:
        if self._by_number is not None:
            return self._read_wide(message, self._by_number)
        node: dict[str, Node] = {}
        has = message.HasField
        for (name, convert, presence, default), value in zip(self._scalars, self._get(message), strict=True):
            if presence:
                if (value and not default) or has(name):
                    node[name] = value if convert is None else convert(value)
            elif value or self._zero_values:
                node[name] = value if convert is None else convert(value)
        for name, convert in self._messages:
            if has(name):
                node[name] = convert(getattr(message, name))
        for name, convert in self._repeated:
            items = getattr(message, name)
            if items:
                node[name] = convert(items)
        return node

    def _read_wide(self, message: Message, by_number: dict[int, tuple[str, _Convert | None]]) -> dict[str, Node]:
        node: dict[str, Node] = {}
        for field, value in message.ListFields():
            if not field.is_extension:
                name, convert = by_number[field.number]
                node[name] = value if convert is None else convert(value)
        if self._zero_values:
            self._spend(len(self._scalars) // _NARROW)
            for name, convert, presence, _ in self._scalars:
                if not presence and name not in node:
                    value = getattr(message, name)
                    node[name] = value if convert is None else convert(value)
        return node


def check_names(descriptor: Any) -> None:
    """Refuse a type whose fields or inner types hide what is called on a message."""
    names = {field.name for field in descriptor.fields} | set(descriptor.nested_types_by_name)
    for name in sorted(names & _METHODS):
        raise Refused(SCHEMA, f"has a field or a type of the name {name}, which Protobuf's Python library needs itself")
    for inner in descriptor.nested_types:
        check_names(inner)


_METHODS: Final = frozenset({"DESCRIPTOR", "FromString", "HasField", "ListFields"})


def _each(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Do what `attrgetter` does, for fewer than two names."""
    return lambda message: tuple(getattr(message, name) for name in names)


def _each_by(convert: _Convert, spend: Callable[[int], None]) -> _Convert:
    def read(items: Any) -> Node:
        spend(len(items))
        return [convert(item) for item in items]

    return read


def _free(_: int) -> None:
    """Scalars cost little, and messages are counted when they are read."""


def _map(entry: Any, reader: MessageReader) -> _Convert:
    key = _key_text if entry.fields_by_name["key"].type != FieldDescriptor.TYPE_STRING else str
    convert = reader.converter(entry.fields_by_name["value"]) or _same

    def read(items: Any) -> Node:
        reader.spend(len(items))
        return {key(name): convert(items[name]) for name in items}

    return read


def _same(value: Node) -> Node:
    return value


def _key_text(key: object) -> str:
    return str(key).lower()  # a boolean or an integer


def _enum(enum: Any) -> _Convert:
    names: dict[int, str] = {}
    for value in enum.values:
        names.setdefault(value.number, value.name)
    return lambda number: names.get(number, number)


_SCALARS: Final[dict[int, _Convert]] = {
    FieldDescriptor.TYPE_FLOAT: single_text,
    FieldDescriptor.TYPE_DOUBLE: double_text,
}
_WELL_KNOWN: Final[dict[str, _Convert]] = {
    "Timestamp": lambda message: utc_seconds(message.seconds, message.nanos),
    "Duration": lambda message: duration_text(message.seconds, message.nanos),
    "FloatValue": lambda message: single_text(message.value),
    "DoubleValue": lambda message: double_text(message.value),
    "Any": lambda message: {"@type": message.type_url, "value": message.value},
    **dict.fromkeys(
        ("Int32Value", "UInt32Value", "Int64Value", "UInt64Value", "BoolValue", "StringValue", "BytesValue"),
        attrgetter("value"),
    ),
}
