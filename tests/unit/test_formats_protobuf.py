"""Protobuf: which message of a file it is, what becomes of each kind of field, and what a hostile one cannot do."""

import base64
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from connector.events import Refused
from connector.formats import Dependency, Format, Node, Schema, SchemaId, SchemaKind
from connector.formats.protobuf import compile_schema
from connector.formats.protobuf.compile import MAX_DEPENDENCIES, is_binary, is_safe, to_base64
from connector.formats.protobuf.messages import MAX_MESSAGES
from tests.support.formats import framed, protobuf_schema, read, refusal_of
from tests.support.protobuf_files import classes, file, record

WELL_KNOWN = ("timestamp", "duration", "wrappers", "struct", "any")
IMPORTS = [f"google/protobuf/{name}.proto" for name in WELL_KNOWN]
GP = "google.protobuf"


def _one(line: str, value: Any, *, zero_values: bool = False, **more: Any) -> Node:
    """Return the document of a message of the one field `a`, set to a value, or not set for None."""
    schema = protobuf_schema(file("p.proto", *IMPORTS, P=line, **more))
    message: Any = classes(schema)["P"]()
    if value is not None:
        message = classes(schema)["P"](a=value)
    return read(Format.PROTOBUF, record(message), schema, zero_values=zero_values)


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (b"\x00", "A"),
        (b"\x02\x00", "A"),
        (b"\x02\x02", "B"),
        (b"\x04\x02\x00", "B.One"),
        (b"\x04\x02\x02", "B.Two"),
        (b"\x06\x02\x02\x00", "B.Two.Deep"),
    ],
)
def test_the_message_index_finds_the_message(index: bytes, name: str) -> None:
    """Notes, 14: a zero stands for [0]; the numbers are zigzag; inner messages count within their own."""
    made = file(
        "p.proto",
        A="string a = 1",
        B="string b = 1",
        B__One="string b_one = 1",
        B__Two="string b_two = 1",
        B__Two__Deep="string b_two_deep = 1",
    )
    field = name.replace(".", "_").lower()
    assert read(Format.PROTOBUF, framed(index + b"\x0a\x04gold"), protobuf_schema(made)) == {field: "gold"}


def test_java_counts_messages_without_the_entries_of_maps() -> None:
    """Notes, 14: both counts of one file, and an index that neither has."""
    made = file("p.proto", A="map<string,string> m = 1; map<string,string> n = 2", A__B="string b = 1")
    schema = protobuf_schema(made)
    for index in (b"\x04\x00\x00", b"\x04\x00\x04"):
        assert read(Format.PROTOBUF, framed(index + b"\x0a\x04gold"), schema) == {"b": "gold"}
    for index in (b"\x04\x00\x02", b"\x04\x00\x06"):
        assert refusal_of(Format.PROTOBUF, framed(index), schema).endswith("and its index is out of range")


@pytest.mark.parametrize("index", [b"\x02\x04", b"\x02\x01", b"\x04\x00\x00", b"\x02\xfe\xff\xff\xff\x0f"])
def test_an_index_out_of_range_is_refused(index: bytes) -> None:
    """Notes, 14: beyond the file, negative, or an inner message that is not there."""
    schema = protobuf_schema(file("p.proto", A="string a = 1", B="string b = 1"))
    reason = "$value must name a message of schema 7, and its index is out of range"
    assert refusal_of(Format.PROTOBUF, framed(index), schema) == reason


@pytest.mark.parametrize("index", [b"", b"\x02", b"\x01", b"\xff\xff\xff\xff\xff\xff\x01", b"\xfe\xff\x03" + bytes(9)])
def test_what_is_no_index_is_refused(index: bytes) -> None:
    """Notes, 14: cut off, a negative count, a number without end, thousands of steps."""
    schema = protobuf_schema(file("p.proto", A="string a = 1"))
    reason = "$value must have a message index behind its schema id"
    assert refusal_of(Format.PROTOBUF, framed(index), schema) == reason


def test_the_index_is_behind_the_guid_in_the_header() -> None:
    """Notes, 12."""
    guid = "0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55"
    schema = protobuf_schema(file("p.proto", A="string a = 1", B="string b = 1"), number=guid)
    headers = [("__value_schema_id", b"\x01" + bytes.fromhex(guid.replace("-", "")) + b"\x02\x02")]
    assert read(Format.PROTOBUF, b"\x0a\x04gold", schema, headers=headers) == {"b": "gold"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", "gold"),
        ("bool", True),
        ("int32", -5),
        ("sint32", -5),
        ("fixed32", 5),
        ("int64", 2**53 + 1),
        ("uint64", 2**64 - 1),
        ("sfixed64", -(2**63)),
        ("bytes", b"\x00\xff"),
    ],
)
def test_a_scalar_stays_what_it_is(kind: str, value: Any) -> None:
    """Notes, 28: 2^53 + 1 is no double."""
    assert _one(f"{kind} a = 1", value) == {"a": value}
    assert _one(f"optional {kind} a = 1", value) == {"a": value}
    assert _one(f"repeated {kind} a = 1", [value, value]) == {"a": [value, value]}


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [("float", 0.1, "0.1"), ("double", 0.1, "0.1"), ("double", 1e21, "1e+21"), ("float", 16777216.0, "16777216.0")],
)
def test_a_float_is_the_shortest_text(kind: str, value: float, text: str) -> None:
    """Notes, 19."""
    assert _one(f"{kind} a = 1", value) == {"a": text}
    assert _one(f"repeated {kind} a = 1", [value]) == {"a": [text]}
    assert _one(f"{kind} a = 1", float("inf")) == {"a": float("inf")}


@pytest.mark.parametrize(
    ("kind", "zero"), [("string", ""), ("bool", False), ("int64", 0), ("double", "0.0"), ("bytes", b""), ("E", "NONE")]
)
def test_a_zero_without_presence_is_absent_unless_asked_for(kind: str, zero: Node) -> None:
    """Notes, 27: else `active: false` could never be sent."""
    enums = {"E": {"NONE": 0, "GOLD": 1}}
    assert _one(f"{kind} a = 1", None, enums=enums) == {}
    assert _one(f"{kind} a = 1", None, enums=enums, zero_values=True) == {"a": zero}


@pytest.mark.parametrize(
    ("kind", "value", "node"),
    [("string", "", ""), ("bool", False, False), ("int64", 0, 0), ("double", 0.0, "0.0"), ("E", 0, "NONE")],
)
def test_what_has_presence_and_is_set_to_a_zero_is_there(kind: str, value: Any, node: Node) -> None:
    """Notes, 27: optional fields and those of a oneof."""
    enums = {"E": {"NONE": 0, "GOLD": 1}}
    for label in ("optional", "oneof"):
        for zero_values in (False, True):
            assert _one(f"{label} {kind} a = 1", value, enums=enums, zero_values=zero_values) == {"a": node}
            assert _one(f"{label} {kind} a = 1", None, enums=enums, zero_values=zero_values) == {}


def test_wrappers_and_messages_have_presence() -> None:
    """Notes, 27 and 29: a wrapper is its value, also where that is a zero."""
    for name, value in {"StringValue": "", "BoolValue": False, "Int64Value": 0, "BytesValue": b""}.items():
        assert _one(f"{GP}.{name} a = 1", {}) == {"a": value}
        assert _one(f"{GP}.{name} a = 1", None) == {}
    assert _one(f"{GP}.FloatValue a = 1", {"value": 0.1}) == {"a": "0.1"}
    assert _one(f"{GP}.UInt64Value a = 1", {"value": 2**64 - 1}) == {"a": 2**64 - 1}
    assert _one("Q a = 1", {}, Q="string b = 1") == {"a": {}}
    assert _one("Q a = 1", {"b": "x"}, Q="string b = 1") == {"a": {"b": "x"}}


def test_enums_are_names_and_unknown_numbers_are_numbers() -> None:
    """Notes, 28."""
    enums = {"E": {"NONE": 0, "GOLD": 1}}
    assert _one("E a = 1", 1, enums=enums) == {"a": "GOLD"}
    assert _one("E a = 1", 9, enums=enums) == {"a": 9}
    assert _one("repeated E a = 1", [1, 9, 0], enums=enums) == {"a": ["GOLD", 9, "NONE"]}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"seconds": 1_795_342_500, "nanos": 123_456_789}, "2026-11-22T10:15:00.123456789Z"),
        ({"seconds": 1_795_342_500, "nanos": 120_000_000}, "2026-11-22T10:15:00.120Z"),
        ({"seconds": 1_795_342_500, "nanos": 120_000}, "2026-11-22T10:15:00.000120Z"),
        ({"seconds": 1_795_342_500}, "2026-11-22T10:15:00Z"),
        ({}, "1970-01-01T00:00:00Z"),
    ],
)
def test_a_timestamp_is_rfc_3339(value: Any, text: str) -> None:
    """Notes, 29, with nanoseconds."""
    assert _one(f"{GP}.Timestamp a = 1", value) == {"a": text}
    assert _one(f"repeated {GP}.Timestamp a = 1", [value]) == {"a": [text]}


@pytest.mark.parametrize(
    ("value", "text"),
    [({"seconds": 1, "nanos": 500_000_000}, "1.500s"), ({"nanos": -1}, "-0.000000001s"), ({"seconds": -3}, "-3s")],
)
def test_a_duration_is_seconds(value: Any, text: str) -> None:
    """Notes, 29."""
    assert _one(f"{GP}.Duration a = 1", value) == {"a": text}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Timestamp", {"seconds": 2**40 * 1000}),
        ("Timestamp", {"nanos": -1}),
        ("Duration", {"seconds": 1, "nanos": -1}),
    ],
)
def test_a_time_that_no_calendar_has_is_a_refusal(name: str, value: Any) -> None:
    """As with Avro."""
    with pytest.raises(Refused, match="has a time outside the years 1 to 9999, or a duration of mixed signs"):
        _one(f"{GP}.{name} a = 1", value)


def test_structs_are_objects_and_their_whole_numbers_are_whole() -> None:
    """Notes, 29: JSON had them so."""
    value = {"s": "x", "n": 3, "f": 0.5, "b": False, "z": None, "l": [1, {"d": "e"}], "big": 2.0**60}
    assert _one(f"{GP}.Struct a = 1", value) == {"a": {**value, "f": "0.5", "big": "1.152921504606847e+18"}}
    assert _one(f"{GP}.Value a = 1", {"string_value": "x"}) == {"a": "x"}
    assert _one(f"{GP}.ListValue a = 1", [1, "x"]) == {"a": [1, "x"]}


def test_a_decimal_of_confluent_keeps_its_scale() -> None:
    """Its file is in no registry, like Google's own."""
    schema = protobuf_schema(file("p.proto", "confluent/type/decimal.proto", P="confluent.type.Decimal a = 1"))
    made: Any = classes(schema)["P"]
    assert read(Format.PROTOBUF, record(made(a={"value": b"\x04\xce", "scale": 2})), schema) == {"a": "12.30"}
    for value in ({"scale": -1}, {"scale": 2_000}, {"value": b"\x7f" * 10_000}):
        reason = refusal_of(Format.PROTOBUF, record(made(a=value)), schema)
        assert reason == "$value must be Protobuf by schema 7, and is not"


def test_any_is_an_object_that_no_mapping_can_send() -> None:
    """Notes, 29: its type is not in the schema, so the bytes stay bytes; only a path that ends there is refused."""
    value = {"type_url": "type.googleapis.com/t.Q", "value": b"\x0a\x01x"}
    assert _one(f"{GP}.Any a = 1", value) == {"a": {"@type": "type.googleapis.com/t.Q", "value": b"\x0a\x01x"}}


def test_maps_are_objects() -> None:
    """Notes, 29: keys are text."""
    assert _one("map<string,int64> a = 1", {"x": 1}) == {"a": {"x": 1}}
    assert _one("map<int32,string> a = 1", {-7: "x"}) == {"a": {"-7": "x"}}
    assert _one("map<bool,double> a = 1", {True: 0.1}) == {"a": {"true": "0.1"}}
    assert _one("map<string,string> a = 1", None) == {}


def test_a_oneof_gives_what_was_chosen() -> None:
    """Notes, 27."""
    schema = protobuf_schema(file("p.proto", P="oneof string a = 1; oneof int64 b = 2"))
    message: Any = classes(schema)["P"](b=0)
    assert read(Format.PROTOBUF, record(message), schema) == {"b": 0}


def test_defaults_of_proto2_are_not_what_was_sent() -> None:
    """Notes, 30: an unset field has a default, and no value."""
    made = file("p.proto", syntax="proto2", P="optional int64 a = 1 default 5; optional string b = 2")
    schema = protobuf_schema(made)
    message: Any = classes(schema)["P"]
    assert read(Format.PROTOBUF, record(message()), schema, zero_values=True) == {}
    assert read(Format.PROTOBUF, record(message(a=0, b="")), schema) == {"a": 0, "b": ""}
    assert read(Format.PROTOBUF, record(message(a=5)), schema) == {"a": 5}


def test_groups_and_extensions_of_proto2_do_no_harm() -> None:
    """Notes, 30: a group is a message; an extension is left out."""
    made = file("p.proto", syntax="proto2", P="optional string a = 1", P__G="optional string b = 1")
    made.message_type[0].field.add(name="g", number=2, type=10, label=1, type_name=".t.P.G")
    made.message_type[0].extension_range.add(start=100, end=200)
    made.extension.add(name="x", number=100, type=9, label=1, extendee=".t.P")
    data = b"\x0a\x01v" + b"\x13\x0a\x01w\x14" + b"\xa2\x06\x01x"
    assert read(Format.PROTOBUF, framed(b"\x00" + data), protobuf_schema(made)) == {"a": "v", "g": {"b": "w"}}


def test_a_wide_message_is_read_like_a_narrow_one() -> None:
    """Beyond 64 fields only those that are set are asked for."""
    enums = {"E": {"NONE": 0, "GOLD": 1}}
    fields = "; ".join(f"string s{n} = {n}" for n in range(1, 80))
    more = (
        "E e = 100; optional bool o = 101; repeated Q q = 102; map<string,double> m = 103; Q one = 104; double d = 105"
    )
    schema = protobuf_schema(file("p.proto", enums=enums, P=f"{fields}; {more}", Q="string b = 1"))
    made: Any = classes(schema)["P"]
    message = made(s3="x", e=1, o=False, q=[{"b": "y"}], m={"k": 0.1}, one={})
    expected: dict[str, Node] = {"s3": "x", "e": "GOLD", "o": False, "q": [{"b": "y"}], "m": {"k": "0.1"}, "one": {}}
    assert read(Format.PROTOBUF, record(message), schema) == expected
    zeros = read(Format.PROTOBUF, record(message), schema, zero_values=True)
    assert zeros == {**{f"s{n}": "" for n in range(1, 80)}, "d": "0.0", **expected, "one": {"b": ""}}


def test_json_read_as_protobuf_is_refused_for_its_frame() -> None:
    """Notes, 31: some short texts do parse as Protobuf, so the frame comes first."""
    schema = protobuf_schema(file("p.proto", P="string a = 1"))
    assert "looks like JSON" in refusal_of(Format.PROTOBUF, b'{"a": "x"}', schema)
    reason = refusal_of(Format.PROTOBUF, framed(b'\x00{"a": "x"}'), schema)
    assert reason == "$value must be Protobuf by schema 7, and is not"


@pytest.mark.parametrize("data", [b"\x0a\x05go", b"\x0a\x02\xff\xff", b"\x0b", b"\xff" * 20])
def test_bytes_that_are_no_message_are_refused(data: bytes) -> None:
    """Cut off, no UTF-8, a group without end, no tag."""
    schema = protobuf_schema(file("p.proto", P="string a = 1"))
    reason = refusal_of(Format.PROTOBUF, framed(b"\x00" + data), schema)
    assert reason == "$value must be Protobuf by schema 7, and is not"


def test_a_text_of_proto2_that_is_no_utf8_stays_bytes() -> None:
    """Proto2 does not check it: the mapping refuses it where it is used, and an unused one does no harm."""
    made = file("p.proto", syntax="proto2", P="optional string a = 1; map<string,string> m = 2")
    schema = protobuf_schema(made)
    assert read(Format.PROTOBUF, framed(b"\x00\x0a\x02\xff\xff"), schema) == {"a": b"\xff\xff"}
    reason = refusal_of(Format.PROTOBUF, framed(b"\x00\x12\x04\x0a\x02\xff\xff"), schema)
    assert reason == "$value must be Protobuf by schema 7, and is not"


def test_a_recursive_message_is_read_to_protobufs_own_depth() -> None:
    """A hundred levels; what nests deeper does not parse."""
    schema = protobuf_schema(file("p.proto", P="P a = 1; string b = 2"))
    data = b"\x12\x01x"
    for _ in range(90):
        data = b"\x0a" + _varint(len(data)) + data
    node = read(Format.PROTOBUF, framed(b"\x00" + data), schema)
    for _ in range(90):
        assert isinstance(node, dict)
        node = node["a"]
    assert node == {"b": "x"}
    for _ in range(5_000):
        data = b"\x0a" + _varint(len(data)) + data
    assert refusal_of(Format.PROTOBUF, framed(b"\x00" + data), schema).endswith("by schema 7, and is not")


@pytest.mark.parametrize(
    "line",
    [
        "repeated Q a = 1",
        "map<string,string> a = 1",
        f"repeated {GP}.Timestamp a = 1",
        f"{GP}.Struct a = 1",
        f"{GP}.ListValue a = 1",
    ],
)
def test_a_record_of_many_messages_is_refused(line: str) -> None:
    """Two bytes mean one; to read half a million would hold the event loop."""
    schema = protobuf_schema(file("p.proto", *IMPORTS, P=line, Q="string b = 1"))
    data = b"\x0a\x00" * (MAX_MESSAGES + 1)
    if "Struct" in line or "ListValue" in line:
        inner = b"".join(b"\x0a" + bytes([len(each)]) + each for each in _entries(line))
        data = b"\x0a" + _varint(len(inner)) + inner
    elif "map" in line:
        data = b"".join(b"\x0a" + bytes([len(each)]) + each for each in _entries(line))
    reason = refusal_of(Format.PROTOBUF, framed(b"\x00" + data), schema)
    assert reason == f"$value must not hold more than {MAX_MESSAGES:,} messages and entries of maps"


def _entries(line: str) -> list[bytes]:
    if "ListValue" in line:
        return [b""] * (MAX_MESSAGES + 1)
    return [b"\x0a" + bytes([len(str(n))]) + str(n).encode() for n in range(MAX_MESSAGES + 1)]


def _varint(number: int) -> bytes:
    data = b""
    while number > 0x7F:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def test_references_two_deep_and_a_diamond() -> None:
    """Notes, 8, in base64: no process is started."""
    city = file("geo/city.proto", City="string name = 1")
    home = file("crm/home.proto", "geo/city.proto", Home="City city = 1")
    work = file("crm/work.proto", "geo/city.proto", Work="City city = 1")
    made = file("person.proto", "crm/home.proto", "crm/work.proto", Person="Home home = 1; Work work = 2")
    schema = protobuf_schema(made, city, home, work)
    assert is_binary(schema)
    message: Any = classes(schema)["Person"](home={"city": {"name": "Basel"}}, work={"city": {"name": "Bern"}})
    value = {"home": {"city": {"name": "Basel"}}, "work": {"city": {"name": "Bern"}}}
    assert read(Format.PROTOBUF, record(message), schema) == value


def test_a_cycle_of_imports_is_refused() -> None:
    """Notes, 8."""
    a, b = file("a.proto", "b.proto", A="string a = 1"), file("b.proto", "a.proto", B="string b = 1")
    main = file("m.proto", "a.proto", M="string a = 1")
    assert _unusable(protobuf_schema(main, a, b)) == "imports itself, or too many files one from another"


def test_more_than_a_hundred_references_are_refused() -> None:
    """Notes, 8."""
    files = [file(f"f{n}.proto", A="string a = 1") for n in range(MAX_DEPENDENCIES + 1)]
    assert _unusable(protobuf_schema(files[0], *files)) == "refers to more than 100 others"


def test_an_import_that_the_registry_does_not_name_is_refused() -> None:
    """The reason names it: somebody must register it."""
    main = file("m.proto", "gone.proto", M="string a = 1")
    reason = "imports gone.proto, which the registry does not name among its references"
    assert _unusable(protobuf_schema(main)) == reason


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/x",
        "a/../../x",
        "a//b",
        "./a",
        "a/.",
        "..",
        "",
        "a\\..\\x",
        "a\0b",
        "a\nb",
        "C:x",
        "-I/x",
        "ä",
        "a" * 201,
    ],
)
def test_a_reference_whose_name_leaves_its_folder_is_refused(name: str) -> None:
    """Notes, 9: before any file of that name is written. No name begins like an option of protoc either."""
    assert not is_safe(name)
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, 'syntax = "proto3";', (Dependency(name, "message X {}"),))
    assert _unusable(schema) == "refers to a file whose name is no relative path of plain characters"


@pytest.mark.parametrize("name", ["a.proto", "a/b/c.proto", "a..b.proto", "google/type/date.proto", "x-y_z+1@2.proto"])
def test_an_honest_name_is_taken(name: str) -> None:
    """Two dots within a name lead nowhere."""
    assert is_safe(name)


def test_a_schema_of_megabytes_is_refused_unread() -> None:
    """Issue, 7."""
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, "/" * 10_000_000)
    assert _unusable(schema) == "is longer than 500,000 characters"


def test_a_text_that_was_not_compiled_starts_no_process() -> None:
    """The reader is on the event loop; this folder would fail a process."""
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, 'syntax = "proto3"; message P {}')
    reason = "$value has schema 7, which was not compiled: this is a fault of the connector"
    assert refusal_of(Format.PROTOBUF, framed(b"\x00"), schema) == reason


def test_descriptors_that_were_compiled_before_are_taken() -> None:
    """What the registry's store hands over."""
    compiled = compile_schema(protobuf_schema(file("p.proto", P="string a = 1")))
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, "text", (), compiled)
    assert read(Format.PROTOBUF, framed(b"\x00\x0a\x04gold"), schema) == {"a": "gold"}


@pytest.mark.parametrize("descriptors", [b"\xff", b"", b"\x0a\x02\xff\xff"])
def test_descriptors_that_are_none_are_refused(descriptors: bytes) -> None:
    """A fault of a schema is a refusal, and never a crash."""
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, "text", (), descriptors)
    assert refusal_of(Format.PROTOBUF, framed(b"\x00"), schema) == "$value has schema 7, which is not valid Protobuf"


def test_a_descriptor_that_contradicts_itself_is_refused() -> None:
    """Two fields of one number; a type that is not there."""
    for line in ("string a = 1; string b = 1", "Gone a = 1"):
        schema = protobuf_schema(file("p.proto", P=line))
        reason = refusal_of(Format.PROTOBUF, framed(b"\x00"), schema)
        assert reason == "$value has schema 7, which is not valid Protobuf"


@pytest.mark.parametrize("name", ["HasField", "ListFields", "FromString", "DESCRIPTOR"])
def test_a_field_that_hides_a_method_is_refused(name: str) -> None:
    """Calling it would call a text."""
    with_type = file("p.proto", P="string a = 1")
    with_type.message_type[0].nested_type.add(name=name)
    for made in (file("p.proto", P=f"string {name} = 1"), with_type):
        reason = refusal_of(Format.PROTOBUF, framed(b"\x00\x0a\x01x"), protobuf_schema(made))
        assert reason.startswith(f"$value has schema 7, which has a field or a type of the name {name}, which")


def test_a_field_of_a_keywords_name_is_read() -> None:
    """They are names in every other language."""
    assert _one("string a = 1; string from = 2; string None = 3; string self = 4", "x") == {"a": "x"}


def test_a_file_that_calls_itself_well_known_is_read_as_its_own() -> None:
    """Its Timestamp has other fields: nothing is read as what it is not."""
    made = FileDescriptorProto(name="google/protobuf/timestamp.proto", syntax="proto3", package="google.protobuf")
    made.message_type.add(name="Timestamp").field.add(name="a", number=1, type=9, label=1)
    outer = made.message_type.add(name="P")
    outer.field.add(name="t", number=1, type=11, label=1, type_name=".google.protobuf.Timestamp")
    data = framed(b"\x02\x02" + b"\x0a\x03\x0a\x01x")
    assert read(Format.PROTOBUF, data, protobuf_schema(made)) == {"t": {"a": "x"}}


def test_base64_may_have_line_breaks_and_nothing_else() -> None:
    """Only what is strictly base64 of a descriptor is taken for one; the rest is text."""
    text = to_base64(file("p.proto", P="string a = 1"))
    assert is_binary(Schema(SchemaId(1), SchemaKind.PROTOBUF, f"{text[:10]}\n{text[10:]}\n"))
    for other in (f"{text}%", text[:-3], "message", base64.b64encode(b"hello there").decode(), ""):
        assert not is_binary(Schema(SchemaId(1), SchemaKind.PROTOBUF, other))


def _unusable(schema: Schema) -> str:
    with pytest.raises(Refused) as refused:
        compile_schema(schema)
    return refused.value.reason
