"""Protobuf messages as documents, without generated code: the registry's descriptors give the classes."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError

from connector.events.change import Refused
from connector.formats.document import SCHEMA, Node
from connector.formats.numbers import decimal_text, double_text, duration_text, single_text, utc_seconds
from connector.formats.protobuf.known import DECIMAL, PREFIX

MAX_MESSAGES: Final = 10_000
"""Messages and entries of maps in one record: a million of them, of two bytes each, would hold the event loop."""
_NARROW: Final = 64
"""Fields up to which reading all of a message is quicker than asking for those that are set."""
_MAX_SCALE: Final = 1_000
_EXACT_DOUBLE: Final = 2.0**53

# Descriptors are `Any` here: their types say for each field that there may be no type of its message.
_Convert = Callable[[Any], Node]
_GetAll = Callable[[Any], tuple[Any, ...]]


class MessageReader:
    """Reads messages of one schema; what it must know of a message type it learns when the first one comes."""

    def __init__(self, *, zero_values: bool) -> None:
        """`zero_values`: a proto3 field without presence that holds its zero is in the document, and not absent."""
        self.zero_values = zero_values
        self._types: dict[str, MessageType] = {}
        self._left = MAX_MESSAGES

    def begin(self) -> None:
        """Begin a record: its messages are counted from here."""
        self._left = MAX_MESSAGES

    def spend(self, messages: int) -> None:
        """Count messages against the record's bound, before they are read."""
        self._left -= messages
        if self._left < 0:
            raise TooManyMessages

    def type_of(self, descriptor: Any) -> "MessageType":
        """Return the one reader of a type of message."""
        name = descriptor.full_name
        found = self._types.get(name)
        if found is None:
            found = self._types[name] = MessageType(descriptor, self)
        return found

    def converter(self, field: Any) -> _Convert | None:
        """Return what makes a value of the field a document; None where it is one already."""
        if field.message_type is not None:
            return self._well_known(field.message_type) or self.type_of(field.message_type).read
        if field.enum_type is not None:
            return _enum(field.enum_type)
        return _SCALARS.get(field.type)

    def _well_known(self, descriptor: Any) -> _Convert | None:
        if descriptor.file.name == DECIMAL and descriptor.name == "Decimal" and _is_decimal(descriptor):
            return _decimal
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


class MessageType:
    """Reads one type of message. Most of the work is one `attrgetter` and one comprehension for all its scalars."""

    def __init__(self, descriptor: Any, reader: MessageReader) -> None:
        self._descriptor = descriptor
        self._reader = reader
        self._is_planned = False
        self._has_presence = False
        self._implicit: list[str] = []  # scalars without presence: absent where they hold their zero
        self._explicit: list[str] = []  # scalars with presence and no default but zero
        self._defaulted: list[str] = []  # scalars of proto2 whose default is no zero
        self._converts: list[tuple[str, _Convert]] = []  # those of the three that are no document as they are
        self._messages: list[tuple[str, _Convert]] = []
        self._repeated: list[tuple[str, _Convert]] = []
        self._by_number: dict[int, tuple[str, _Convert | None]] | None = None
        self._get_implicit: _GetAll = _nothing
        self._get_explicit: _GetAll = _nothing

    def read(self, message: Any) -> dict[str, Node]:
        """Return the document of a message; `TooManyMessages` when the record's bound is passed."""
        if not self._is_planned:
            self._plan()
        if self._by_number is not None:
            return self._read_wide(message, self._by_number)
        values = self._get_implicit(message)
        node: dict[str, Node]
        if self._reader.zero_values or all(values):
            node = dict(zip(self._implicit, values, strict=True))
        else:
            node = {name: value for name, value in zip(self._implicit, values, strict=True) if value}
        if self._has_presence:
            self._add_present(node, message)
        for name, convert in self._converts:
            if name in node:
                node[name] = convert(node[name])
        for name, convert in self._repeated:
            if items := getattr(message, name):
                node[name] = convert(items)
        return node

    def _add_present(self, node: dict[str, Node], message: Any) -> None:
        has = message.HasField
        values = self._get_explicit(message)
        scalars = zip(self._explicit, values, strict=True)
        node.update(scalars if all(values) else {name: value for name, value in scalars if value or has(name)})
        for name in self._defaulted:
            if has(name):
                node[name] = getattr(message, name)
        for name, convert in self._messages:
            if has(name):
                self._reader.spend(1)
                node[name] = convert(getattr(message, name))

    def _read_wide(self, message: Any, by_number: dict[int, tuple[str, _Convert | None]]) -> dict[str, Node]:
        node: dict[str, Node] = {}
        for field, value in message.ListFields():
            if not field.is_extension:
                name, convert = by_number[field.number]
                if field.message_type is not None and not field.is_repeated:
                    self._reader.spend(1)
                node[name] = value if convert is None else convert(value)
        if self._reader.zero_values:
            self._reader.spend(len(self._implicit) // _NARROW)
            converts = dict(self._converts)
            for name in self._implicit:
                if name not in node:
                    node[name] = converts.get(name, _same)(getattr(message, name))
        return node

    def _plan(self) -> None:
        for field in self._descriptor.fields:
            self._plan_field(field)
        self._get_implicit, self._get_explicit = _all_of(self._implicit), _all_of(self._explicit)
        if len(self._descriptor.fields) > _NARROW:
            self._by_number = {
                field.number: (field.name, self._repeated_converter(field) or self._reader.converter(field))
                for field in self._descriptor.fields
            }
        self._has_presence = bool(self._explicit or self._defaulted or self._messages)
        self._is_planned = True

    def _plan_field(self, field: Any) -> None:
        convert = self._reader.converter(field)
        if repeated := self._repeated_converter(field):
            self._repeated.append((field.name, repeated))
        elif field.message_type is not None and convert is not None:
            self._messages.append((field.name, convert))
        else:
            group = self._explicit if field.has_presence else self._implicit
            (self._defaulted if field.default_value else group).append(field.name)
            if convert is not None:
                self._converts.append((field.name, convert))

    def _repeated_converter(self, field: Any) -> _Convert | None:
        """Return what makes a list or a map a document; None for a field of one value."""
        if not field.is_repeated:
            return None
        entry = field.message_type
        if entry is not None and entry.GetOptions().map_entry:
            return _map(entry, self._reader)
        convert = self._reader.converter(field)
        if convert is None:
            return list
        return _each_by(convert, _free if entry is None else self._reader.spend)


def check_names(descriptor: Any) -> None:
    """Refuse a type whose fields or inner types hide what is called on a message."""
    names = {field.name for field in descriptor.fields} | set(descriptor.nested_types_by_name)
    for name in sorted(names & _METHODS):
        raise Refused(SCHEMA, f"has a field or a type of the name {name}, which Protobuf's Python library needs itself")
    for inner in descriptor.nested_types:
        check_names(inner)


_METHODS: Final = frozenset({"DESCRIPTOR", "FromString", "HasField", "ListFields"})


def _nothing(_: object) -> tuple[Any, ...]:
    return ()


def _all_of(names: list[str]) -> _GetAll:
    """Do what `attrgetter` does, also for fewer than two names."""
    if len(names) > 1:
        return attrgetter(*names)
    return (lambda message: (getattr(message, names[0]),)) if names else _nothing


def _each_by(convert: _Convert, spend: Callable[[int], None]) -> _Convert:
    def read(items: Any) -> Node:
        spend(len(items))
        return [convert(item) for item in items]

    return read


def _free(_: int) -> None:
    """Scalars cost little."""


def _map(entry: Any, reader: MessageReader) -> _Convert:
    key = _key_text if entry.fields_by_name["key"].type != FieldDescriptor.TYPE_STRING else _text
    convert = reader.converter(entry.fields_by_name["value"]) or _same

    def read(items: Any) -> Node:
        reader.spend(len(items))
        return {key(name): convert(items[name]) for name in items}

    return read


def _same(value: Node) -> Node:
    return value


def _is_decimal(descriptor: Any) -> bool:
    """Whether the fields are those that we know: a registry may hold a file of that name."""
    types = {field.name: field.type for field in descriptor.fields}
    return types.get("value") == FieldDescriptor.TYPE_BYTES and types.get("scale") == FieldDescriptor.TYPE_INT32


def _decimal(message: Any) -> Node:
    if not 0 <= message.scale <= _MAX_SCALE:
        raise DecodeError
    try:
        return decimal_text(message.value, message.scale)
    except ValueError:
        raise DecodeError from None


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise DecodeError  # proto2 gives the bytes of a text that is no UTF-8.
    return key


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
