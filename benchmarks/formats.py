"""What reading a record costs, by format, beside the bare library; `python -m benchmarks.formats` prints it.

Both sides get the record's value and must give its fields: the bare side calls the library as its own documentation
says, ours finds the schema's id, checks what it reads, and gives a document with key and headers.
"""

import io
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import fastavro
import msgspec
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from rich.console import Console
from rich.table import Table

from connector.formats import Format, KeyForm, Schema, SchemaId, SchemaKind, make_reader
from connector.formats.protobuf.compile import to_base64

BOUND: Final = 1.5
"""For Avro and Protobuf; JSON by itself costs so little that a function call shows."""
PAIRS: Final = 51
EVENTS_PER_ROUND: Final = 2_000

EVENT: Final[dict[str, Any]] = {
    "mbox3rdPartyId": "customer-00012345",
    "occurredAt": "2026-11-22T10:15:00.123Z",
    "eventId": "0197-000000012345",
    "loyaltyTier": "gold",
    "points": 12_345,
    "lastOrderTotal": 123.45,
    "newsletter": True,
    "segment": "active",
    "branch": "branch-117",
    "product": "loan-application",
    "step": 3,
}
_FRAME: Final = b"\x00\x00\x00\x00\x07"
_AVRO: Final[dict[type, str]] = {str: "string", int: "long", float: "double", bool: "boolean"}
_PROTOBUF: Final[dict[type, FieldDescriptorProto.Type.ValueType]] = {
    str: FieldDescriptorProto.TYPE_STRING,
    int: FieldDescriptorProto.TYPE_INT64,
    float: FieldDescriptorProto.TYPE_DOUBLE,
    bool: FieldDescriptorProto.TYPE_BOOL,
}


class _Record:
    """A record of Kafka's client, as far as it is read."""

    def __init__(self, value: bytes, headers: list[tuple[str, bytes | None]] | None = None) -> None:
        self._value = value
        self._headers = headers

    def key(self) -> bytes | None:
        return None

    def value(self) -> bytes:
        return self._value

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return self._headers


class _Known:
    """The one schema of a comparison."""

    def __init__(self, kind: SchemaKind, text: str) -> None:
        self._schema = Schema(SchemaId(7), kind, text)

    def get(self, _: SchemaId) -> Schema:
        return self._schema


def main() -> int:
    """Compare each format with its library; exit code 1 when Avro or Protobuf passes its bound."""
    table = Table("format", "ours, µs each", "bare, µs each", "ratio (median)", "bound", "verdict")
    failed = False
    for name, (ours, bare, bound) in _comparisons().items():
        mine, theirs, ratio = _cost(ours, bare)
        too_slow = bound is not None and ratio > bound
        failed |= too_slow
        shown = ("", "") if bound is None else (f"{bound}", "too slow" if too_slow else "ok")
        table.add_row(name, f"{mine:.2f}", f"{theirs:.2f}", f"{ratio:.2f}", *shown)
    Console(width=120).print(table)
    return int(failed)


_Comparison = tuple[Callable[[], object], Callable[[], object], float | None]


def _comparisons() -> dict[str, _Comparison]:
    json = msgspec.json.encode(EVENT)
    structured = msgspec.json.encode({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": EVENT})
    change = msgspec.json.encode({"op": "u", "before": None, "after": EVENT, "source": {"ts_ms": 1}})
    binary: list[tuple[str, bytes | None]] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_type", b"t"),
        ("ce_source", b"s"),
        ("content-type", b"application/json"),
    ]
    return {
        "json": (_ours(Format.JSON, json), _bare(json), None),
        "cloudevents, structured": (_ours(Format.CLOUDEVENTS, structured), _bare(structured), None),
        "cloudevents, binary": (_ours(Format.CLOUDEVENTS, json, headers=binary), _bare(json), None),
        "debezium": (_ours(Format.DEBEZIUM, change), _bare(change), None),
        "avro, plain fields": _avro(nullable=False),
        "avro, nullable fields": _avro(nullable=True),
        "avro, logical types": _avro_logical(),
        "protobuf, 11 fields": _protobuf(optional=False),
        "protobuf, beside known names": _protobuf(optional=False, by_name=True),
        "protobuf, 11 optional fields": _protobuf(optional=True),
    }


def _ours(
    record_format: Format,
    value: bytes,
    known: _Known | None = None,
    headers: list[tuple[str, bytes | None]] | None = None,
) -> Callable[[], object]:
    read = make_reader(record_format, known, key=KeyForm.NONE).read
    record = _Record(value, headers)
    return lambda: read(record)


def _bare(value: bytes) -> Callable[[], object]:
    decode, record = msgspec.json.Decoder().decode, _Record(value)
    return lambda: decode(record.value())


def _avro(*, nullable: bool) -> _Comparison:
    types = {name: _AVRO[type(value)] for name, value in EVENT.items()}
    fields = [{"name": name, "type": ["null", kind] if nullable else kind} for name, kind in types.items()]
    return _avro_of({"type": "record", "name": "Event", "fields": fields}, EVENT)


def _avro_logical() -> _Comparison:
    logical = {
        "balance": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2},
        "at": {"type": "long", "logicalType": "timestamp-millis"},
        "since": {"type": "int", "logicalType": "date"},
    }
    fields = [{"name": name, "type": _AVRO[type(value)]} for name, value in EVENT.items()]
    fields += [{"name": name, "type": kind} for name, kind in logical.items()]  # type: ignore[dict-item]
    event = {**EVENT, "balance": b"\x04\xce", "at": 1_795_342_500_123, "since": 18_262}
    return _avro_of({"type": "record", "name": "Event", "fields": fields}, event, raw=True)


def _avro_of(schema: dict[str, Any], event: dict[str, Any], *, raw: bool = False) -> _Comparison:
    parsed = fastavro.parse_schema(schema)
    stream = io.BytesIO()
    written = msgspec.json.decode(msgspec.json.encode(schema))
    if raw:
        for field in written["fields"]:
            if isinstance(field["type"], dict):
                del field["type"]["logicalType"]
    fastavro.schemaless_writer(stream, fastavro.parse_schema(written), event)
    value = stream.getvalue()
    known = _Known(SchemaKind.AVRO, msgspec.json.encode(schema).decode())
    read, record = fastavro.schemaless_reader, _Record(value)
    return _ours(Format.AVRO, _FRAME + value, known), lambda: read(io.BytesIO(record.value()), parsed, None), BOUND


def _protobuf(*, optional: bool, by_name: bool = False) -> _Comparison:
    """Ours gives the fields that are set, so it is compared with `ListFields`, which does.

    `by_name`: with code that knows all names beforehand, and takes zeros for values.
    """
    file = FileDescriptorProto(name="event.proto", syntax="proto3")
    message = file.message_type.add(name="Event")
    for number, (name, value) in enumerate(EVENT.items(), 1):
        field = message.field.add(name=name, number=number, type=_PROTOBUF[type(value)])
        field.label = FieldDescriptorProto.LABEL_OPTIONAL
        if optional:
            field.proto3_optional = True
            field.oneof_index = number - 1
            message.oneof_decl.add(name=f"_{name}")
    pool = DescriptorPool()
    pool.Add(file)
    made: Any = GetMessageClass(pool.FindMessageTypeByName("Event"))
    value = made(**EVENT).SerializeToString()
    record, names = _Record(value), list(EVENT)

    def bare() -> dict[str, object]:
        parsed = made.FromString(record.value())
        if by_name:
            return {name: getattr(parsed, name) for name in names}
        return {field.name: field_value for field, field_value in parsed.ListFields()}

    known = _Known(SchemaKind.PROTOBUF, to_base64(file))
    return _ours(Format.PROTOBUF, _FRAME + b"\x00" + value, known), bare, None if by_name else BOUND


def _cost(ours: Callable[[], object], bare: Callable[[], object]) -> tuple[float, float, float]:
    """Return the µs of each, and the median ratio of pairs, so that a noisy machine matters little."""
    pairs = [(_round(ours), _round(bare)) for _ in range(PAIRS)]
    mine, theirs = (min(side) for side in zip(*pairs, strict=True))
    return mine, theirs, statistics.median(one / other for one, other in pairs)


def _round(call: Callable[[], object]) -> float:
    begin = time.process_time()
    for _ in range(EVENTS_PER_ROUND):
        call()
    return (time.process_time() - begin) / EVENTS_PER_ROUND * 1e6


if __name__ == "__main__":
    sys.exit(main())
