"""Makes the reader of a source: one function for the value, one for the key."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Protocol

from connector.events.change import Refused
from connector.formats.by_schema import Parse, SchemaDecoders, parse_json_schema
from connector.formats.cloudevents import CloudEventReader
from connector.formats.debezium import change_event
from connector.formats.document import KEY, VALUE, Document, Headers, Node, RawHeaders, Record
from connector.formats.errors import MissingExtra
from connector.formats.framing import find_frame, frame
from connector.formats.json_tree import read_connect_json, read_json, without_schema
from connector.formats.schema import SchemaKind, Schemas


class Format(StrEnum):
    """How the records of a source are written."""

    JSON = "json"
    JSON_SCHEMA = "json-schema"
    AVRO = "avro"
    PROTOBUF = "protobuf"
    CLOUDEVENTS = "cloudevents"
    DEBEZIUM = "debezium"
    CONNECT_JSON = "connect-json"


class KeyForm(StrEnum):
    """How the keys of a source are read."""

    NONE = "none"
    """Not at all."""

    TEXT = "text"
    """As UTF-8."""

    FORMAT = "format"
    """By a registry's schema where they have one, and otherwise as the values are."""


class Reader(Protocol):
    """Reads the records of a source."""

    def read(self, record: Record) -> Document | None:
        """Return the document; None for a tombstone, or a value of null.

        `Refused` says why the record can never be read, `SchemaMissing` that it must be read again later.
        """
        ...

    def read_key(self, record: Record) -> Node:
        """Return the key alone, for who reads the value otherwise; None where there is none or it is not read."""
        ...


_Read = Callable[[bytes, RawHeaders], Node]
_EXTRAS: Final = {SchemaKind.AVRO: "avro", SchemaKind.PROTOBUF: "protobuf"}
_NEEDED: Final = {Format.AVRO: SchemaKind.AVRO, Format.PROTOBUF: SchemaKind.PROTOBUF}


def make_reader(record_format: Format, schemas: Schemas | None, *, key: KeyForm, zero_values: bool = False) -> Reader:
    """Return the reader; `MissingExtra` when its format needs a package that is not installed.

    Without `schemas` nothing is read that a registry describes; ValueError when the format needs it. `zero_values`
    keeps fields of Protobuf without presence that hold a zero.
    """
    parsers = _parsers(zero_values=zero_values)
    needed = _NEEDED.get(record_format)
    if needed is not None and needed not in parsers:
        raise MissingExtra(record_format, _EXTRAS[needed])
    if needed is not None and schemas is None:
        msg = f"the format {record_format} needs a Schema Registry"
        raise ValueError(msg)
    read_value = _value_reader(record_format, schemas, parsers)
    return _Reader(read_value, _key_reader(key, record_format, schemas, parsers))


def _parsers(*, zero_values: bool) -> dict[SchemaKind, Parse]:
    """Return what can be parsed with the packages that are installed."""
    parsers: dict[SchemaKind, Parse] = {SchemaKind.JSON: parse_json_schema}
    try:
        from connector.formats import avro  # noqa: PLC0415 - an extra, which need not be installed
    except ImportError:
        pass
    else:
        parsers[SchemaKind.AVRO] = avro.parse
    try:
        from connector.formats import protobuf  # noqa: PLC0415 - likewise
    except ImportError:
        pass
    else:
        parsers[SchemaKind.PROTOBUF] = lambda schema: protobuf.parse(schema, zero_values=zero_values)
    return parsers


def _any_kind(root: str, schemas: Schemas | None, parsers: Mapping[SchemaKind, Parse]) -> SchemaDecoders:
    reasons = {kind: f"reading it needs the extra {extra}" for kind, extra in _EXTRAS.items()}
    return SchemaDecoders(root, schemas, parsers, reasons)


class _Reader:
    """Reads value and key by one function each."""

    __slots__ = ("_read_key", "_read_value")

    def __init__(self, read_value: _Read, read_key: _Read | None) -> None:
        self._read_value = read_value
        self._read_key = read_key

    def read(self, record: Record) -> Document | None:
        data = record.value()
        if data is None:
            return None
        headers = record.headers()
        value = self._read_value(data, headers)
        if value is None:
            return None
        return Document(value, self._key(record, headers), Headers(headers) if headers else _NO_HEADERS)

    def read_key(self, record: Record) -> Node:
        return None if self._read_key is None else self._key(record, record.headers())

    def _key(self, record: Record, headers: RawHeaders) -> Node:
        if self._read_key is None or (data := record.key()) is None:
            return None
        return self._read_key(data, headers)


_NO_HEADERS: Final = Headers(None)


def _value_reader(record_format: Format, schemas: Schemas | None, parsers: Mapping[SchemaKind, Parse]) -> _Read:
    if record_format in _NEEDED:
        kind = _NEEDED[record_format]
        reasons = dict.fromkeys(SchemaKind, f"the format of this source is {record_format}")
        return SchemaDecoders(VALUE, schemas, {kind: parsers[kind]}, reasons)
    framed = _any_kind(VALUE, schemas, parsers)
    if record_format is Format.CLOUDEVENTS:
        return CloudEventReader(framed.find)
    if record_format is Format.DEBEZIUM:
        return lambda data, headers: change_event(_connect(framed, VALUE, data, headers), data)
    if record_format is Format.CONNECT_JSON:
        return lambda data, headers: _connect(framed, VALUE, data, headers)
    return _framed_json if record_format is Format.JSON_SCHEMA else lambda data, _: read_plain_json(data)


def read_plain_json(data: bytes) -> Node:
    """Return the tree of a value that is JSON without a frame; `Refused` says what else it looks like."""
    try:
        return read_json(VALUE, data)
    except Refused:
        if data[:1] not in (b"\x00", b"\x01"):
            raise
        found = f"begins with byte {data[0]}, as a registry's serializer writes"
        raise Refused(VALUE, f"must be JSON, and {found}: its format is json-schema, avro or protobuf") from None


def _framed_json(data: bytes, headers: RawHeaders) -> Node:
    """Reading needs no schema, so none is asked for."""
    return read_json(VALUE, data[frame(VALUE, data, headers)[1] :])


def _connect(framed: SchemaDecoders, root: str, data: bytes, headers: RawHeaders) -> Node:
    is_framed, tree = framed.find(data, headers)
    return without_schema(tree) if is_framed else read_connect_json(root, data)


def _key_reader(
    form: KeyForm, record_format: Format, schemas: Schemas | None, parsers: Mapping[SchemaKind, Parse]
) -> _Read | None:
    if form is KeyForm.NONE:
        return None
    if form is KeyForm.TEXT:
        return _text_key
    framed = _any_kind(KEY, schemas, parsers)
    if record_format in (Format.DEBEZIUM, Format.CONNECT_JSON):
        return lambda data, headers: _connect(framed, KEY, data, headers)
    if record_format is Format.JSON_SCHEMA and schemas is None:
        return _maybe_framed_json_key
    return framed if record_format in _NEEDED else lambda data, headers: _json_key(framed, data, headers)


def _text_key(data: bytes, _: RawHeaders) -> Node:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(KEY, f"must be UTF-8, and is not at byte {error.start}") from None


def _json_key(framed: SchemaDecoders, data: bytes, headers: RawHeaders) -> Node:
    is_framed, tree = framed.find(data, headers)
    return tree if is_framed else read_json(KEY, data)


def _maybe_framed_json_key(data: bytes, headers: RawHeaders) -> Node:
    found = find_frame(KEY, data, headers)
    return read_json(KEY, data if found is None else data[found[1] :])
