"""Avro as a document, by fastavro; loaded only where it is needed, for fastavro is an extra."""

import functools
import io
import struct
import uuid
from collections.abc import Callable
from typing import Any, Final

import fastavro
from fastavro.read import LOGICAL_READERS

from connector.events.change import Refused
from connector.formats.avro_schema import Rewriter, read_schema, reader_name
from connector.formats.document import SCHEMA, Node
from connector.formats.numbers import (
    NOT_FINITE,
    date_text,
    decimal_text,
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
        _parse(rewriter.rewrite(read_schema(dependency.text)), known)
    rewritten = rewriter.rewrite(read_schema(schema.text))
    is_wrapped = not isinstance(rewritten, dict) or rewritten["type"] != "record"
    return AvroDecoder(
        schema.id.value, _parse(_wrapped(rewritten) if is_wrapped else rewritten, known), is_wrapped=is_wrapped
    )


class AvroDecoder:
    """Reads values that were written by one schema."""

    __slots__ = ("_id", "_is_wrapped", "_schema")

    def __init__(self, schema_id: int | str, schema: Any, *, is_wrapped: bool) -> None:
        """`schema` is what fastavro made of it; `is_wrapped` says that it is a record around the value."""
        self._id = schema_id
        self._schema = schema
        self._is_wrapped = is_wrapped

    def __call__(self, root: str, data: bytes, start: int, _behind: bytes | None) -> Node:
        """Return the value as a document; `Refused` when it is not one of this schema, or has bytes behind it."""
        stream = io.BytesIO(data)
        stream.seek(start)
        try:
            node: Node = _read(stream, self._schema, None)  # type: ignore[assignment]
            if self._is_wrapped:
                node = node["value"]  # type: ignore[call-overload,index]
        except (*_ERRORS, *_ERRORS_OF_SIZE) as error:
            raise Refused(root, f"must be Avro by schema {self._id}, and {_found(error)}") from None
        if stream.tell() != len(data):
            behind = len(data) - stream.tell()
            raise Refused(root, f"must be Avro by schema {self._id}, and has {behind} bytes behind its end")
        return node


def _wrapped(schema: Any) -> dict[str, Any]:
    """Return a record around a schema, which takes no byte: fastavro knows the named types of a record alone."""
    return {"type": "record", "name": "Wrapped", "fields": [{"name": "value", "type": schema}]}


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


def _single(value: Any, _writer: Any = None, _reader: Any = None) -> Node:
    return single_text(value)


def _double(value: Any, _writer: Any = None, _reader: Any = None) -> Node:
    text = repr(value)
    return value if text in NOT_FINITE else text


def _decimal(value: Any, writer: Any = None, _reader: Any = None) -> Node:
    return decimal_text(value, writer["scale"])


def _uuid(value: Any, _writer: Any = None, _reader: Any = None) -> Node:
    return str(uuid.UUID(bytes=value))


def _of(convert: Callable[[int], str]) -> _Reader:
    def read(value: Any, _writer: Any = None, _reader: Any = None) -> Node:
        return convert(value)

    return read


_READERS: Final[dict[tuple[str, str], _Reader]] = {
    ("float", "number"): _single,
    ("double", "number"): _double,
    ("int", "date"): _of(functools.lru_cache(1_024)(date_text)),
    ("int", "time-millis"): _of(lambda value: time_of_day(value, 1_000, "milliseconds")),
    ("long", "time-micros"): _of(lambda value: time_of_day(value, 1_000_000, "microseconds")),
    ("long", "timestamp-millis"): _of(utc_millis),
    ("long", "timestamp-micros"): _of(utc_micros),
    ("long", "timestamp-nanos"): _of(utc_nanos),
    ("long", "local-timestamp-millis"): _of(local_millis),
    ("long", "local-timestamp-micros"): _of(local_micros),
    ("long", "local-timestamp-nanos"): _of(local_nanos),
    ("bytes", "decimal"): _decimal,
    ("fixed", "decimal"): _decimal,
    ("fixed", "uuid"): _uuid,
}
# fastavro keeps one table for the process. These names are ours alone, so that nobody else's reading changes.
LOGICAL_READERS.update({reader_name(*name): read for name, read in _READERS.items()})
