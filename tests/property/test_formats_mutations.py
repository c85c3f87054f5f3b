"""Mutated records of each format: a document, a skip, a refusal or a missing schema comes out, and nothing else."""

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from connector.events import Refused
from connector.formats import Document, Format, KeyForm, Node, Schema, SchemaMissing, make_reader
from tests.support.formats import (
    FakeRecord,
    FakeSchemas,
    RawHeaders,
    avro_schema,
    framed,
    protobuf_schema,
    written,
)
from tests.support.protobuf_files import classes, file, record

RECORDS = 300
"""Of each format; ten thousand each were run when this was written."""
CANARY = "canary"

INNER = {"type": "record", "name": "Inner", "fields": [{"name": "text", "type": "string"}]}
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "points", "type": ["null", "long"]},
        {"name": "rate", "type": "float"},
        {"name": "total", "type": ["null", "double"]},
        {"name": "tier", "type": {"type": "enum", "name": "E", "symbols": ["GOLD", "SILVER"]}},
        {"name": "balance", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
        {"name": "since", "type": {"type": "int", "logicalType": "date"}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "more", "type": {"type": "map", "values": ["null", INNER]}},
    ],
}
ROW: dict[str, Any] = {
    "id": CANARY,
    "points": 1200,
    "rate": 0.1,
    "total": 12.5,
    "tier": "SILVER",
    "balance": b"\x04\xce",
    "at": 1_795_342_500_123,
    "since": 18_262,
    "tags": [CANARY, "b"],
    "more": {"x": {"text": CANARY}, "y": None},
}
PROTOBUF = protobuf_schema(
    file(
        "p.proto",
        "google/protobuf/timestamp.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/wrappers.proto",
        enums={"E": {"NONE": 0, "GOLD": 1}},
        P="string id = 1; optional int64 points = 2; float rate = 3; E tier = 4; repeated P list = 5"
        "; map<string,double> more = 6; google.protobuf.Timestamp at = 7; google.protobuf.Struct free = 8"
        "; google.protobuf.StringValue city = 9; bytes raw = 10",
    )
)
JSON = msgspec.json.encode(
    {"id": CANARY, "points": 1200, "rate": 0.5, "more": {"x": [CANARY, None, True]}, "schema": None, "payload": "x"}
)
EVENT = {"specversion": "1.0", "type": "t", "source": "s", "id": "1", "data": {"id": CANARY}, "data_base64": "e30="}
CHANGE = {"op": "u", "before": None, "after": {"id": CANARY, "note": "__debezium_unavailable_value"}}


def _protobuf() -> bytes:
    made: Any = classes(PROTOBUF)["P"]
    return record(
        made(
            id=CANARY,
            points=7,
            rate=0.1,
            tier=1,
            list=[{"id": "x"}, {"raw": b"\xff"}],
            more={"a": 0.1},
            at={"seconds": 1_795_342_500, "nanos": 5},
            free={"a": [1, None, {"b": CANARY}]},
            city={"value": ""},
        )
    )


Given = tuple[bytes, RawHeaders | None]
HEADERS: RawHeaders = [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("content-type", b"application/json")]
GIVEN: dict[Format, list[Given]] = {
    Format.JSON: [(JSON, None)],
    Format.JSON_SCHEMA: [(framed(JSON), None)],
    Format.AVRO: [(framed(written(AVRO, ROW)), None), (written(AVRO, ROW), [("__value_schema_id", framed(b""))])],
    Format.PROTOBUF: [(_protobuf(), None)],
    Format.CLOUDEVENTS: [
        (msgspec.json.encode(EVENT), None),
        (JSON, HEADERS),
        (framed(written(AVRO, ROW)), HEADERS),
    ],
    Format.DEBEZIUM: [
        (msgspec.json.encode(CHANGE), None),
        (msgspec.json.encode({"schema": {}, "payload": CHANGE}), None),
        (framed(written(AVRO, ROW)), None),
    ],
    Format.CONNECT_JSON: [(msgspec.json.encode({"schema": {"type": "struct"}, "payload": CHANGE}), None)],
}


def _flip(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]


def _replace(rng: random.Random, data: bytes) -> bytes:
    at, length = rng.randrange(len(data)), rng.randrange(1, 9)
    return data[:at] + rng.randbytes(length) + data[at + length :]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def _add(rng: random.Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice([b"\x00", b"\xff" * 10, b"\x80" * 9 + b"\x01", b"[" * 2_000, data]) + data[at:]


def _twice(rng: random.Random, data: bytes) -> bytes:
    begin, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    return data[:end] + data[begin:]


MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [_flip, _flip, _replace, _cut, _add, _twice]


def _mutated(rng: random.Random, given: Given) -> Given:
    data, headers = given
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        data = rng.choice(MUTATIONS)(rng, data or b"\x00")
    if headers and rng.random() < 0.3:
        headers = [(name, None if text is None else rng.choice(MUTATIONS)(rng, text)) for name, text in headers]
    return data, headers


@pytest.mark.parametrize("record_format", list(Format))
def test_nothing_else_comes_out_of_a_mutated_record(record_format: Format) -> None:
    """Issue, 7: the process lives, and a refusal quotes no value."""
    read_mutated(record_format, RECORDS, seed=1)


def read_mutated(record_format: Format, records: int, seed: int) -> dict[str, int]:
    """Read that number of mutated records; return the count of each result."""
    rng = random.Random(f"{record_format} {seed}")
    schemas: list[Schema] = [PROTOBUF] if record_format is Format.PROTOBUF else [avro_schema(AVRO)]
    reader = make_reader(record_format, FakeSchemas(*schemas), key=KeyForm.FORMAT, zero_values=seed % 2 == 0)
    ends: dict[str, int] = {}
    reasons: list[str] = []
    for _ in range(records):
        value, headers = _mutated(rng, rng.choice(GIVEN[record_format]))
        key = _mutated(rng, (framed(b"\x00\x00"), None))[0] if rng.random() < 0.1 else None
        try:
            document = reader.read(FakeRecord(value, key, headers))
        except Refused as refused:
            reasons.append(str(refused))
            end = "refused"
        except SchemaMissing:
            end = "missing"
        else:
            end = "skipped" if document is None else "read"
            if document is not None:
                _check(document)
        ends[end] = ends.get(end, 0) + 1
    assert len(reasons) > records / 10, ends
    assert not [reason for reason in reasons if CANARY in reason or len(reason) > 500]
    return ends


def _check(document: Document) -> None:
    assert document.value is not None
    _check_node(document.value)
    _check_node(document.key)


def _check_node(node: Node) -> None:
    if type(node) is dict:
        for name, each in node.items():
            assert type(name) is str
            _check_node(each)
    elif type(node) is list:
        for item in node:
            _check_node(item)
    elif type(node) is float:
        assert repr(node) in ("nan", "inf", "-inf")
    else:
        assert type(node) in (str, int, bool, bytes, type(None)), type(node)
    if type(node) is str:
        node.encode()
