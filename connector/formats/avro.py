"""Avro as a document, by fastavro; loaded only where it is needed, for fastavro is an extra."""

import io
import struct
import uuid
from collections.abc import Callable
from typing import Any, Final

import fastavro
import msgspec
from fastavro.read import LOGICAL_READERS

from connector.events.change import Refused
from connector.formats.avro_schema import Rewriter, reader_name
from connector.formats.document import SCHEMA, Node
from connector.formats.framing import Frame
from connector.formats.numbers import (
    date_text,
    decimal_text,
    double_text,
    local_micros,
    local_millis,
    local_nanos,
    single_text,
    time_of_day,
    utc_micros,
    utc_millis,
    utc_nanos,
)
from connector.formats.schema import Schema

# What fastavro raises for bytes that are not of the schema: it documents none.
_ERRORS: Final = (EOFError, LookupError, ValueError, ArithmeticError, TypeError, AttributeError, struct.error)
_ERRORS_OF_SIZE: Final = (MemoryError, RecursionError)

_read = fastavro.schemaless_reader
_Reader = Callable[[Any, Any, Any], Node]


def parse(schema: Schema) -> "AvroDecoder":
    """Return what reads values of the schema; `Refused` says why it cannot be used."""
    rewriter, known = Rewriter(), dict[str, Any]()
    for dependency in schema.dependencies:
        _parse(rewriter.rewrite(_json(dependency.text)), known)
    return AvroDecoder(schema.id.value, _parse(rewriter.rewrite(_json(schema.text)), known))


class AvroDecoder:
    """Reads values that were written by one schema."""

    __slots__ = ("_id", "_schema")

    def __init__(self, schema_id: int | str, schema: Any) -> None:
        """`schema` is what fastavro made of it."""
        self._id = schema_id
        self._schema = schema

    def __call__(self, root: str, frame: Frame) -> Node:
        """Return the value as a document; `Refused` when it is not one of this schema, or has bytes behind it."""
        data = frame.data
        stream = io.BytesIO(data)
        stream.seek(frame.start)
        try:
            node: Node = _read(stream, self._schema, None)["value"]  # type: ignore[call-overload,index]
        except (*_ERRORS, *_ERRORS_OF_SIZE) as error:
            raise Refused(root, f"must be Avro by schema {self._id}, and {_found(error)}") from None
        if stream.tell() != len(data):
            behind = len(data) - stream.tell()
            raise Refused(root, f"must be Avro by schema {self._id}, and has {behind} bytes behind its end")
        return node


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # A primitive type may stand without quotes, as some registries give it.
        if text.isalpha():
            return text
        raise Refused(SCHEMA, "is not valid JSON") from None


def _parse(schema: Any, known: dict[str, Any]) -> Any:
    try:
        return fastavro.parse_schema(schema, known)
    except Exception as error:  # fastavro raises bare exceptions for some faults of a schema
        raise Refused(SCHEMA, "is not valid Avro") from error


def _found(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "ends too early"
    if isinstance(error, OverflowError):
        return "has a date or time outside the years 1 to 9999, or a time outside a day"
    if isinstance(error, UnicodeDecodeError):
        return "has a text that is not UTF-8"
    if isinstance(error, _ERRORS_OF_SIZE):
        return "takes too much memory"
    return "has bytes that the schema does not allow"


def _plain(convert: Callable[[Any], Node]) -> _Reader:
    def read(value: Any, _writer: Any = None, _reader: Any = None) -> Node:
        return convert(value)

    return read


def _date(days: int) -> str:
    try:
        return date_text(days)
    except ValueError:
        raise OverflowError from None


def _decimal(value: Any, writer: Any = None, _reader: Any = None) -> Node:
    return decimal_text(value, writer["scale"])


_READERS: Final[dict[tuple[str, str], _Reader]] = {
    ("float", "number"): _plain(single_text),
    ("double", "number"): _plain(double_text),
    ("int", "date"): _plain(_date),
    ("int", "time-millis"): _plain(lambda value: time_of_day(value, 1_000, "milliseconds")),
    ("long", "time-micros"): _plain(lambda value: time_of_day(value, 1_000_000, "microseconds")),
    ("long", "timestamp-millis"): _plain(utc_millis),
    ("long", "timestamp-micros"): _plain(utc_micros),
    ("long", "timestamp-nanos"): _plain(utc_nanos),
    ("long", "local-timestamp-millis"): _plain(local_millis),
    ("long", "local-timestamp-micros"): _plain(local_micros),
    ("long", "local-timestamp-nanos"): _plain(local_nanos),
    ("bytes", "decimal"): _decimal,
    ("fixed", "decimal"): _decimal,
    ("fixed", "uuid"): _plain(lambda value: str(uuid.UUID(bytes=value))),
}
# fastavro keeps one table for the process. These names are ours alone, so that nobody else's reading changes.
LOGICAL_READERS.update({reader_name(*name): read for name, read in _READERS.items()})
