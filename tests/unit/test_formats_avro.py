"""Avro: what becomes of each type, and what a hostile schema or value cannot do."""

import decimal
import io
import struct
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import fastavro
import msgspec
import pytest
from fastavro.read import LOGICAL_READERS

from connector.formats import Dependency, Format, Node, Schema, SchemaId, SchemaKind
from connector.formats.avro_schema import MAX_HEIGHT
from connector.formats.by_schema import MAX_SCHEMA_CHARS
from connector.formats.numbers import decimal_text, single_text
from tests.support.formats import avro_schema, framed, read, read_avro, record_of, refusal_of, written


def _one(kind: Any, value: Any) -> Node:
    """Return what one value of a type becomes."""
    schema = record_of(a=kind)
    node = read_avro(schema, written(schema, {"a": value}))
    assert isinstance(node, dict)
    return node["a"]


def _refused(kind: Any, value: Any) -> str:
    schema = record_of(a=kind)
    return refusal_of(Format.AVRO, framed(written(schema, {"a": value})), avro_schema(schema))


def _unusable(schema: Any, *dependencies: Any) -> str:
    """Return why a schema cannot be used; no value is needed for that."""
    return refusal_of(Format.AVRO, framed(b"\x00" * 20), avro_schema(schema, *dependencies))


def _logical(kind: str, logical: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical, **more}


def _micros(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(
        microseconds=1
    )


WHEN = _micros("2026-11-22T10:15:00.123456")


@pytest.mark.parametrize(
    ("kind", "value", "becomes"),
    [
        ("null", None, None),
        ("boolean", True, True),
        ("int", -(2**31), -(2**31)),
        ("long", 2**53 + 1, 9007199254740993),
        ("long", -(2**63), -(2**63)),
        ("string", "Zürich", "Zürich"),
        ("bytes", b"\x00\xff", b"\x00\xff"),
        ({"type": "fixed", "name": "F", "size": 3}, b"abc", b"abc"),
        ({"type": "enum", "name": "E", "symbols": ["GOLD", "SILVER"]}, "SILVER", "SILVER"),
        ({"type": "array", "items": "string"}, ["a", "b"], ["a", "b"]),
        ({"type": "map", "values": "long"}, {"a": 1}, {"a": 1}),
        (["null", "string"], None, None),
        (["null", "string"], "x", "x"),
    ],
)
def test_a_value_of_each_type_stays_what_it_is(kind: Any, value: Any, becomes: Node) -> None:
    """Notes, 17, 20 and 21: a union is plain, and bytes stay bytes for the mapping to judge."""
    assert _one(kind, value) == becomes


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (_logical("bytes", "decimal", precision=10, scale=2), b"\x04\xce", "12.30"),
        (_logical("bytes", "decimal", precision=10, scale=2), b"\xff", "-0.01"),
        (_logical("bytes", "decimal", precision=10, scale=2), b"", "0.00"),
        (_logical("bytes", "decimal", precision=10), b"\x04\xce", "1230"),
        (_logical("fixed", "decimal", name="F", size=4, precision=9, scale=3), b"\xff\xff\xfb\x32", "-1.230"),
        (_logical("long", "timestamp-millis"), WHEN // 1000, "2026-11-22T10:15:00.123Z"),
        (_logical("long", "timestamp-millis"), 0, "1970-01-01T00:00:00.000Z"),
        (_logical("long", "timestamp-millis"), -1, "1969-12-31T23:59:59.999Z"),
        (_logical("long", "timestamp-micros"), WHEN, "2026-11-22T10:15:00.123456Z"),
        (_logical("long", "timestamp-nanos"), WHEN * 1000 + 789, "2026-11-22T10:15:00.123456789Z"),
        (_logical("long", "local-timestamp-millis"), WHEN // 1000, "2026-11-22T10:15:00.123"),
        (_logical("long", "local-timestamp-micros"), WHEN, "2026-11-22T10:15:00.123456"),
        (_logical("long", "local-timestamp-nanos"), WHEN * 1000, "2026-11-22T10:15:00.123456000"),
        (_logical("int", "date"), 18_262, "2020-01-01"),
        (_logical("int", "date"), -1, "1969-12-31"),
        (_logical("int", "time-millis"), 36_900_123, "10:15:00.123"),
        (_logical("long", "time-micros"), 36_900_123_456, "10:15:00.123456"),
        (_logical("string", "uuid"), "0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55", "0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55"),
        (
            _logical("fixed", "uuid", name="F", size=16),
            uuid.UUID("0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55").bytes,
            "0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55",
        ),
    ],
)
def test_logical_types_become_the_text_that_is_sent(kind: Any, value: Any, text: str) -> None:
    """Notes, 17."""
    assert _one(kind, value) == text
    assert _one(["null", kind], value) == text


def test_a_duration_and_an_unknown_logical_type_stay_as_they_are_on_the_wire() -> None:
    """Notes, 17: Avro says that a reader ignores a logical type that it does not know."""
    assert _one(_logical("fixed", "duration", name="F", size=12), bytes(12)) == bytes(12)
    assert _one(_logical("long", "connector-number"), 7) == 7
    assert _one(_logical("bytes", "decimal", precision=2, scale=3), b"\x01") == b"\x01"
    assert _one(_logical("bytes", "decimal", scale=10**9, precision=10**9), b"\x01") == b"\x01"


@pytest.mark.parametrize(
    "name", ["io.debezium.time.MicroTimestamp", "org.apache.kafka.connect.data.Timestamp", "io.debezium.time.Date"]
)
def test_names_of_connect_are_no_logical_types(name: str) -> None:
    """Notes, 18: the bare number comes out, for the mapping's `as`."""
    assert _one({"type": "long", "connect.name": name, "connect.version": 1}, WHEN) == WHEN


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (12.5, "12.5"),
        (16777216.0, "16777216.0"),
        (3.4028234663852886e38, "3.4028235e+38"),
        (1e-45, "1e-45"),
        (-0.3, "-0.3"),
        (1234567.9, "1234567.9"),
    ],
)
def test_a_float_is_the_shortest_text_of_32_bits(value: float, text: str) -> None:
    """Notes, 19: fastavro gives 0.10000000149011612 for 0.1."""
    assert _one("float", value) == text
    assert struct.pack("<f", float(text)) == struct.pack("<f", value)


@pytest.mark.parametrize(("value", "text"), [(1e21, "1e+21"), (0.1, "0.1"), (1200.0, "1200.0"), (-0.0, "-0.0")])
def test_a_double_is_the_shortest_text_that_gives_it_back(value: float, text: str) -> None:
    """Notes, 19."""
    assert _one("double", value) == text


@pytest.mark.parametrize("kind", ["float", "double"])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_what_is_no_number_stays_a_float_for_the_mapping_to_refuse(kind: str, text: str) -> None:
    """Notes, 19."""
    node = _one(kind, float(text))
    assert isinstance(node, float)
    assert repr(node) == text


def test_a_union_of_two_records_of_one_name() -> None:
    """Notes, 20: the namespace tells them apart, and the document has neither name."""
    a = {"type": "record", "name": "R", "namespace": "a", "fields": [{"name": "x", "type": "long"}]}
    b = {"type": "record", "name": "R", "namespace": "b", "fields": [{"name": "y", "type": "string"}]}
    schema = {"type": "record", "name": "Outer", "fields": [{"name": "u", "type": ["null", a, b]}]}
    assert read_avro(schema, written(schema, {"u": ("b.R", {"y": "gold"})})) == {"u": {"y": "gold"}}
    assert read_avro(schema, written(schema, {"u": ("a.R", {"x": 1})})) == {"u": {"x": 1}}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (_logical("long", "timestamp-millis"), -62_135_596_800_001),
        (_logical("long", "timestamp-micros"), 2**63 - 1),
        (_logical("long", "timestamp-nanos"), 2**63 - 1),
        (_logical("int", "date"), -(2**31)),
        (_logical("int", "date"), 2**31 - 1),
        (_logical("int", "time-millis"), 86_400_000),
        (_logical("int", "time-millis"), -1),
    ],
)
def test_a_time_that_no_calendar_has_is_a_refusal(kind: Any, value: int) -> None:
    """Notes, 22: fastavro raises OverflowError for a timestamp before year 1. Nanoseconds all fit."""
    if kind["logicalType"] == "timestamp-nanos":
        assert _one(kind, value) == "2262-04-11T23:47:16.854775807Z"
        return
    assert _refused(kind, value) == (
        "$value must be Avro by schema 7, and has a date or time outside the years 1 to 9999, or a time outside a day"
    )


def test_a_recursive_schema_is_refused_before_a_value_is_read() -> None:
    """Notes, 23: 5,000 bytes of such a value end the process in fastavro's C reader."""
    node = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    reason = refusal_of(Format.AVRO, framed(b"\x02" * 5_000 + b"\x00"), avro_schema(node))
    assert reason == "$value has schema 7, which is recursive in the type Node"


def test_a_schema_that_is_recursive_by_way_of_another_is_refused() -> None:
    """Notes, 23: through a map, an array and a second type."""
    inner = {"type": "record", "name": "B", "fields": [{"name": "a", "type": {"type": "map", "values": "n.A"}}]}
    outer = {"type": "record", "name": "A", "namespace": "n", "fields": [{"name": "b", "type": inner}]}
    assert _unusable(outer) == "$value has schema 7, which is recursive in the type n.A"


def test_types_that_nest_too_deep_are_refused() -> None:
    """The C reader's stack pays for each level, whether they stand in one another or refer to one another."""
    reason = f"$value has schema 7, which nests deeper than {MAX_HEIGHT} levels"
    chain: list[Any] = [{"type": "record", "name": "R0", "fields": []}]
    chain += [
        {"type": "record", "name": f"R{number}", "fields": [{"name": "a", "type": f"R{number - 1}"}]}
        for number in range(1, 300)
    ]
    assert _unusable(chain[-1], *chain[:-1]) == reason
    text = '{"type":"array","items":' * 5_000 + '"string"' + "}" * 5_000
    for schema_text in (text, '{"type":"array","items":' * 200 + '"string"' + "}" * 200):
        schema = Schema(SchemaId(7), SchemaKind.AVRO, schema_text)
        assert refusal_of(Format.AVRO, framed(b"\x00"), schema) in (
            reason,
            "$value has schema 7, which is not valid JSON",
        )


def test_an_array_of_nulls_is_refused_before_a_value_is_read() -> None:
    """Notes, 24: 5 bytes announce 20 million items."""
    reason = (
        "$value has schema 7, which has an array or map of items that take no byte, such as null: "
        "a few bytes could mean millions"
    )
    empty = {"type": "record", "name": "Empty", "fields": []}
    nothing = {"type": "fixed", "name": "Nothing", "size": 0}
    for items in ("null", empty, nothing, record_of(a="null", b=empty)):
        assert _unusable({"type": "array", "items": items}) == reason
    wide = {"type": "record", "name": "Wide", "fields": [{"name": f"n{n}", "type": "null"} for n in range(100)]}
    assert _unusable({"type": "array", "items": wide}) == reason
    assert _unusable({"type": "array", "items": ["null", wide]}) == reason
    assert _unusable({"type": "map", "values": wide}) == reason


def test_a_record_that_grows_out_of_nothing_is_refused() -> None:
    """Notes, 24, without an array: each level doubles the one before, and the value has no byte."""
    levels: list[Any] = [{"type": "record", "name": "R0", "fields": [{"name": "n", "type": "null"}]}]
    for number in range(1, 40):
        fields = [{"name": name, "type": f"R{number - 1}"} for name in ("a", "b")]
        levels.append({"type": "record", "name": f"R{number}", "fields": fields})
    assert _unusable(levels[-1], *levels[:-1]) == (
        "$value has schema 7, which has a record of more than 10000 values that take no byte"
    )


def test_a_map_of_nulls_and_an_array_of_nullable_texts_are_read() -> None:
    """The bound hits what takes no byte, and no honest schema."""
    assert _one({"type": "map", "values": "null"}, {"a": None}) == {"a": None}
    assert _one({"type": "array", "items": ["null", "string"]}, ["a", None]) == ["a", None]


def test_bytes_behind_the_record_are_refused() -> None:
    """Notes, 25: fastavro ignores them, and they say that the schema is not the writer's."""
    schema = record_of(a="string")
    reason = refusal_of(Format.AVRO, framed(written(schema, {"a": "x"}) + b"rest"), avro_schema(schema))
    assert reason == "$value must be Avro by schema 7, and has 4 bytes behind its end"


@pytest.mark.parametrize("length", range(12))
def test_a_record_cut_off_anywhere_is_refused(length: int) -> None:
    """Notes, 25."""
    schema = record_of(a="string", b="double")
    data = written(schema, {"a": "abc", "b": 1.5})
    assert len(data) == 12
    reason = refusal_of(Format.AVRO, framed(data[:length]), avro_schema(schema))
    assert reason.startswith("$value must be Avro by schema 7, and ")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("string", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("string", b"\x01abc"),
        ("bytes", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ("string", b"\x04\xff\xff"),
        (["null", "string"], b"\x08"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, b"\x08"),
        ({"type": "array", "items": "long"}, b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ({"type": "array", "items": "long"}, b"\x01"),
        (_logical("bytes", "decimal", precision=9, scale=2), b"\xc0\x84\x3d" + b"\x7f" * 500_000),
    ],
)
def test_bytes_that_the_schema_does_not_allow_are_a_refusal(kind: Any, data: bytes) -> None:
    """Lengths that are huge or negative, branches and symbols that are not there, text that is none."""
    assert refusal_of(Format.AVRO, framed(data), avro_schema(kind)).startswith("$value must be Avro by schema 7, and ")


def test_each_record_is_read_by_the_schema_of_its_writer() -> None:
    """Notes, 26: a field added, removed, moved, and an int that became a long; a mapping goes by name."""
    versions = [
        (record_of(tier="string", points="int"), {"tier": "gold", "points": 5}),
        (record_of(tier="string", points="int", city="string"), {"tier": "gold", "points": 5, "city": "Basel"}),
        (record_of(points="int", tier="string"), {"tier": "gold", "points": 5}),
        (record_of(points="long"), {"points": 2**40}),
    ]
    schemas = [avro_schema(schema, number=number) for number, (schema, _) in enumerate(versions, 1)]
    for number, (schema, value) in enumerate(versions, 1):
        assert read(Format.AVRO, framed(written(schema, value), number), *schemas) == value


def test_references_two_deep_and_a_diamond() -> None:
    """Notes, 8: what two schemas refer to stands once, before them."""
    city = {"type": "record", "name": "City", "namespace": "geo", "fields": [{"name": "name", "type": "string"}]}
    home = {"type": "record", "name": "Home", "namespace": "crm", "fields": [{"name": "city", "type": "geo.City"}]}
    work = {"type": "record", "name": "Work", "namespace": "crm", "fields": [{"name": "city", "type": "geo.City"}]}
    person = {
        "type": "record",
        "name": "Person",
        "namespace": "crm",
        "fields": [{"name": "home", "type": "Home"}, {"name": "work", "type": ["null", "crm.Work"]}],
    }
    value = {"home": {"city": {"name": "Basel"}}, "work": {"city": {"name": "Bern"}}}
    data = b"\x0aBasel\x02\x08Bern"
    assert read_avro(person, data, city, home, work) == value


def test_a_union_of_references_at_the_top() -> None:
    """Several types of event on one topic: the schema is nothing but the references."""
    a = {"type": "record", "name": "A", "namespace": "crm", "fields": [{"name": "x", "type": "long"}]}
    b = {"type": "record", "name": "B", "namespace": "crm", "fields": [{"name": "y", "type": "string"}]}
    assert read_avro(["crm.A", "crm.B"], b"\x02\x08gold", a, b) == {"y": "gold"}
    assert read_avro("crm.A", b"\x06", a) == {"x": 3}


@pytest.mark.parametrize("text", ['"string"', "string", '{"type": "string"}', '{"type": {"type": "string"}}'])
def test_a_value_that_is_no_record(text: str) -> None:
    """As keys often are; some registries give a primitive's name without quotes."""
    schema = Schema(SchemaId(7), SchemaKind.AVRO, text)
    assert read(Format.AVRO, framed(b"\x0cC-1001"), schema) == "C-1001"


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "record", "name": "R", "fields": [{"name": "a", "type": "Nope"}]}, "names the type Nope, which it"),
        ({"type": "record", "fields": []}, "has a type of kind record without a name"),
        ({"type": "record", "name": "R"}, "has a record without a list of fields"),
        ({"type": "record", "name": "R", "fields": [1]}, "has a record without a list of fields"),
        (record_of(a={"type": "record", "name": "R", "fields": []}), "defines the type R twice"),
        ({"type": "enum", "name": "E"}, "has a field or a symbol whose name is no text"),
        ({"type": "enum", "name": "E", "symbols": ["A", "A"]}, "has a field or a symbol twice"),
        ({"type": "fixed", "name": "F", "size": -1}, "has a fixed type whose size is no integer"),
        ({"type": "fixed", "name": "F", "size": 2**40}, "has a fixed type whose size is no integer"),
        ([], "has a union without a type"),
        ({"items": "string"}, "has a type that is neither a name, an object nor an array"),
        (7, "has a type that is neither a name, an object nor an array"),
        ({"type": "x" * 100_000}, "names the type " + "x" * 199 + "…"),
    ],
)
def test_a_schema_that_is_none_is_refused_for_what_is_wrong(schema: Any, reason: str) -> None:
    """A refusal for each record, and never a crash."""
    assert _unusable(schema).startswith(f"$value has schema 7, which {reason}")


def test_a_schema_that_is_no_json_is_refused() -> None:
    """A registry may hold what it never parsed."""
    schema = Schema(SchemaId(7), SchemaKind.AVRO, "{", (Dependency("x", "{"),))
    assert refusal_of(Format.AVRO, framed(b""), schema) == "$value has schema 7, which is not valid JSON"


def test_reading_costs_no_more_by_a_schema_of_thousands_of_types() -> None:
    """Parsing a schema near the bound of its length must not take long, for it happens on the event loop."""
    fields = [
        {
            "name": f"f{n}",
            "type": ["null", {"type": "record", "name": f"T{n}", "fields": [{"name": "a", "type": "long"}]}],
        }
        for n in range(4_000)
    ]
    schema = {"type": "record", "name": "R", "fields": fields}
    assert 400_000 < len(msgspec.json.encode(schema)) < MAX_SCHEMA_CHARS
    begin = time.process_time()
    node = read_avro(schema, b"\x00" * 4_000)
    assert isinstance(node, dict)
    assert len(node) == 4_000
    assert time.process_time() - begin < 5


def test_nobody_elses_reading_by_fastavro_is_changed() -> None:
    """One table of logical types serves the process: ours are names of our own."""
    stream = written(record_of(a=_logical("int", "date")), {"a": 18_262})
    parsed = fastavro.parse_schema(record_of(a=_logical("int", "date")))
    assert fastavro.schemaless_reader(io.BytesIO(stream), parsed, None) == {"a": date(2020, 1, 1)}
    assert {"bytes-decimal", "int-date"} <= LOGICAL_READERS.keys()


def test_decimals_agree_with_the_standard_library() -> None:
    """Every scale and sign."""
    for unscaled in (0, 1, -1, 9, -10, 1230, -1230, 10**20):
        for scale in (0, 1, 2, 5, 25):
            data = unscaled.to_bytes(10, "big", signed=True)
            expected = format(decimal.Decimal(unscaled).scaleb(-scale, decimal.Context(prec=60)), "f")
            assert decimal_text(data, scale) == expected


def test_every_kind_of_single_gives_itself_back() -> None:
    """A walk through the exponents."""
    for bits in range(1, 0x7F800000, 0x7F3D1):
        value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
        text = single_text(value)
        assert isinstance(text, str)
        assert struct.pack("<f", float(text)) == struct.pack("<f", value)
