"""Records of each format as a producer writes them, and the same with bits that flipped and bytes that are gone."""

import random
from collections.abc import Callable
from typing import Any

import msgspec

from connector.formats import Format, Schema
from tests.support.formats import RawHeaders, avro_schema, framed, protobuf_schema, written
from tests.support.protobuf_files import classes, file, record

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


def schema_of(record_format: Format) -> Schema:
    """The schema that the records of a format name, if they name one."""
    return PROTOBUF if record_format is Format.PROTOBUF else avro_schema(AVRO)


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


_TOKENS = (
    *(
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"-0",
        b"1E400",
        b"10.50",
        b"9007199254740993",
        b'"\\ud800"',
        b'"\\u0000"',
    ),
    *(b'"' + b"x" * 5_000 + b'"', b"[" * 40 + b"]" * 40, b'{"a":' * 20 + b"1" + b"}" * 20, b'[{"id":"i"},{"id":[]}]'),
)
"""What may stand in the place of any value of a JSON text."""


def _reshape(rng: random.Random, data: bytes) -> bytes:
    """Put something else in the place of one value, if it is JSON."""
    try:
        tree = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _flip(rng, data)
    node = tree
    while True:
        names = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        if not names:
            return rng.choice(_TOKENS)
        name = rng.choice(names)
        if not isinstance(node[name], dict | list) or rng.random() < 0.3:
            break
        node = node[name]
    node[name] = "\x01 here"
    return msgspec.json.encode(tree).replace(b'"\\u0001 here"', rng.choice(_TOKENS))


MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [_flip, _flip, _replace, _cut, _add, _twice, *[_reshape] * 6]


def mutated(rng: random.Random, given: Given) -> Given:
    """A record's value and headers, changed in one place or some."""
    data, headers = given
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        data = rng.choice(MUTATIONS)(rng, data or b"\x00")
    if headers and rng.random() < 0.3:
        headers = [(name, None if text is None else rng.choice(MUTATIONS)(rng, text)) for name, text in headers]
    return data, headers
