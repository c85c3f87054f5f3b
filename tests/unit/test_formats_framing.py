"""How a record names its schema, what is refused for want of one, and which key is read how."""

import sys
import uuid

import pytest

from connector import formats
from connector.events import Refused
from connector.formats import Format, KeyForm, MissingExtra, Schema, SchemaId, SchemaKind, SchemaMissing, make_reader
from connector.formats.by_schema import MAX_PARSED, MAX_SCHEMA_CHARS
from tests.support.formats import (
    FakeRecord,
    FakeSchemas,
    avro_schema,
    document_of,
    framed,
    read,
    record_of,
    refusal_of,
    written,
)

GUID = uuid.UUID("0197a2c4-5e1b-7c3d-9f00-3b8e6d2a1c55")
R = record_of(a="string")
A = written(R, {"a": "gold"})
RULE = "$value must begin with a registry's schema id, or have it in a header, and "


@pytest.mark.parametrize(
    ("value", "looks"),
    [
        (b"", "is empty"),
        (b"\x00", "ends within it, after 1 bytes"),
        (b"\x00\x00\x00\x07", "ends within it, after 4 bytes"),
        (b"\x01" + bytes(15), "ends within it, after 16 bytes"),
        (b'{"a": 1}', "looks like JSON"),
        (b"[1]", "looks like JSON"),
        (b"Obj\x01 and so on", "looks like an Avro file"),
        (b"\xc3\x01 and so on", "looks like Avro's single-object encoding"),
        (b"\x03\x00" + bytes(16), "looks like AWS Glue's serializer"),
        (b"\x03\x05" + bytes(16), "looks like AWS Glue's serializer, compressed"),
        (
            b"\x00" + bytes(7) + b"\x07rest",
            "has id 0: it looks like the 8-byte ids of Apicurio 2's own serializers",
        ),
        (b"gold", "begins with byte 103"),
    ],
)
@pytest.mark.parametrize("record_format", [Format.AVRO, Format.PROTOBUF, Format.JSON_SCHEMA])
def test_a_value_without_a_schema_id_is_refused_for_what_it_looks_like(
    record_format: Format, value: bytes, looks: str
) -> None:
    """Notes, 11."""
    assert refusal_of(record_format, value) == RULE + looks


def test_a_guid_in_a_header_decodes_a_value_of_one_byte() -> None:
    """Notes, 12: confluent's own deserializer refuses such a value."""
    schema = avro_schema(record_of(a="boolean"), number=str(GUID))
    headers = [("__value_schema_id", b"\x01" + GUID.bytes)]
    assert read(Format.AVRO, b"\x01", schema, headers=headers) == {"a": True}


def test_the_header_wins_over_a_value_that_begins_with_zero() -> None:
    """Notes, 12."""
    schema = avro_schema(record_of(a="long", b="string"), number=str(GUID))
    value = written(record_of(a="long", b="string"), {"a": 0, "b": "silver"})
    assert value[0] == 0
    headers = [("other", b"x"), ("__value_schema_id", b"\x01" + GUID.bytes)]
    assert read(Format.AVRO, value, schema, headers=headers) == {"a": 0, "b": "silver"}


def test_a_guid_stands_in_the_value_too() -> None:
    """Notes, 12."""
    assert read(Format.AVRO, b"\x01" + GUID.bytes + A, avro_schema(R, number=str(GUID))) == {"a": "gold"}


def test_a_number_stands_in_the_header_too() -> None:
    """Both forms of an id may be in both places."""
    headers = [("__value_schema_id", framed(b""))]
    assert read(Format.AVRO, A, avro_schema(R), headers=headers) == {"a": "gold"}


@pytest.mark.parametrize("header", [b"", b"\x01short", b"\x02" + GUID.bytes, b"7"])
def test_a_header_that_is_no_id_is_refused_by_name(header: bytes) -> None:
    """A header that says nothing must not let the value be read as framed."""
    reason = refusal_of(Format.AVRO, framed(A), avro_schema(R), headers=[("__value_schema_id", header)])
    assert reason == "$headers.__value_schema_id must be byte 0 and a schema id of 4 bytes, or byte 1 and a GUID of 16"


def test_other_headers_do_not_disturb_the_frame() -> None:
    """Tracing headers stand beside the id in the value."""
    assert read(Format.AVRO, framed(A), avro_schema(R), headers=[("traceparent", b"\xff")]) == {"a": "gold"}


def test_json_with_a_schema_id_is_read_by_json_schema_alone() -> None:
    """Notes, 13."""
    assert read(Format.JSON, b'{"a": 1}') == {"a": 1}
    assert read(Format.JSON_SCHEMA, framed(b'{"a": 1}')) == {"a": 1}
    assert refusal_of(Format.JSON, framed(b'{"a": 1}')) == (
        "$value must be JSON, and begins with byte 0, as a registry's serializer writes: "
        "its format is json-schema, avro or protobuf"
    )
    assert refusal_of(Format.JSON_SCHEMA, b'{"a": 1}') == RULE + "looks like JSON"


def test_a_framed_key_beside_a_plain_value() -> None:
    """Notes, 15."""
    document = document_of(Format.JSON, FakeRecord(b'{"b": 2}', framed(A)), avro_schema(R), key=KeyForm.FORMAT)
    assert document is not None
    assert (document.value, document.key) == ({"b": 2}, {"a": "gold"})


def test_a_plain_key_beside_a_framed_value() -> None:
    """Notes, 15."""
    document = document_of(Format.AVRO, FakeRecord(framed(A), b"C-1001"), avro_schema(R), key=KeyForm.TEXT)
    assert document is not None
    assert (document.value, document.key) == ({"a": "gold"}, "C-1001")


def test_a_key_has_its_own_header() -> None:
    """The value's header says nothing of the key."""
    headers = [("__value_schema_id", framed(b"", 7)), ("__key_schema_id", framed(b"", 8))]
    record = FakeRecord(A, written("string", "C-1001"), headers)
    document = document_of(Format.AVRO, record, avro_schema(R), avro_schema("string", number=8), key=KeyForm.FORMAT)
    assert document is not None
    assert (document.value, document.key) == ({"a": "gold"}, "C-1001")


def test_a_key_in_the_format_is_json_where_the_value_is() -> None:
    """A JSON key with no frame."""
    document = document_of(Format.JSON, FakeRecord(b'{"b": 2}', b'{"id": 7}'), key=KeyForm.FORMAT)
    assert document is not None
    assert document.key == {"id": 7}


def test_a_key_that_is_not_asked_for_is_not_read() -> None:
    """Whatever it is, it cannot refuse the record."""
    document = document_of(Format.JSON, FakeRecord(b"{}", b"\xff"))
    assert document is not None
    assert document.key is None


def test_a_key_that_is_no_text_is_refused_without_its_value() -> None:
    """Notes, 48."""
    with pytest.raises(Refused, match=r"^\$key must be UTF-8, and is not at byte 4$"):
        document_of(Format.JSON, FakeRecord(b"{}", b"C-10\xff"), key=KeyForm.TEXT)


def test_a_record_without_a_key_has_none() -> None:
    """A key of null is no text."""
    document = document_of(Format.JSON, FakeRecord(b"{}"), key=KeyForm.TEXT)
    assert document is not None
    assert document.key is None


def test_an_unframed_key_of_avro_is_refused() -> None:
    """The source says that the key is of the format."""
    with pytest.raises(Refused, match=r"^\$key must begin with a registry's schema id"):
        document_of(Format.AVRO, FakeRecord(framed(A), b"C-1001"), avro_schema(R), key=KeyForm.FORMAT)


@pytest.mark.parametrize("record_format", list(Format))
def test_a_tombstone_is_a_skip(record_format: Format) -> None:
    """In every format, and no schema is asked for."""
    assert read(record_format, None) is None


def test_a_schema_is_asked_for_once_and_a_missing_one_again() -> None:
    """What is missing may come; what was read stays."""
    schemas = FakeSchemas()
    reader = make_reader(Format.AVRO, schemas, key=KeyForm.NONE)
    for _ in range(2):
        with pytest.raises(SchemaMissing) as missing:
            reader.read(FakeRecord(framed(A)))
        assert missing.value.schema_id == SchemaId(7)
    schemas.known[SchemaId(7)] = avro_schema(R)
    for _ in range(3):
        document = reader.read(FakeRecord(framed(A)))
        assert document is not None
    assert len(schemas.asked) == 3


def test_two_schemas_in_turn_are_not_mixed_up() -> None:
    """The decoder of the record before is used again only for the same id."""
    other = record_of(b="long")
    schemas = FakeSchemas(avro_schema(R), avro_schema(other, number=8))
    reader = make_reader(Format.AVRO, schemas, key=KeyForm.NONE)
    records = [framed(A), framed(written(other, {"b": 3}), 8)] * 3
    documents = [reader.read(FakeRecord(value)) for value in records]
    assert [document.value for document in documents if document] == [{"a": "gold"}, {"b": 3}] * 3
    assert len(schemas.asked) == 2


def test_only_so_many_parsed_schemas_are_kept() -> None:
    """A topic with a schema a record must not fill the memory."""
    schemas = FakeSchemas(*(avro_schema(R, number=number) for number in range(1, MAX_PARSED + 2)))
    reader = make_reader(Format.AVRO, schemas, key=KeyForm.NONE)
    for number in [*range(1, MAX_PARSED + 2), MAX_PARSED + 1, 1]:
        reader.read(FakeRecord(framed(A, number)))
    assert [schema_id.value for schema_id in schemas.asked] == [*range(1, MAX_PARSED + 2), 1]


def test_a_schema_of_another_kind_is_refused_with_its_id() -> None:
    """The source says what it reads."""
    schema = Schema(SchemaId(7), SchemaKind.PROTOBUF, "")
    reason = "$value has schema 7, which is PROTOBUF: the format of this source is avro"
    assert refusal_of(Format.AVRO, framed(A), schema) == reason


def test_a_schema_that_cannot_be_used_is_refused_each_time_and_asked_for_once() -> None:
    """The verdict is remembered for the id."""
    schemas = FakeSchemas(Schema(SchemaId(7), SchemaKind.AVRO, '{"type": "nonsense"}'))
    reader = make_reader(Format.AVRO, schemas, key=KeyForm.NONE)
    for _ in range(3):
        with pytest.raises(Refused, match=r"^\$value has schema 7, which names the type nonsense, which"):
            reader.read(FakeRecord(framed(A)))
    assert len(schemas.asked) == 1


@pytest.mark.parametrize(
    ("field", "reason"),
    [("schema", "$value has schema 7, which is not in the registry"), ("(record)", "(record) is not in the registry")],
)
def test_what_the_registry_refuses_is_refused_with_the_records_part_and_the_id(field: str, reason: str) -> None:
    """And it is asked again for the next record: the verdict is its own."""

    class Unwilling:
        asked = 0

        def get(self, _: SchemaId) -> Schema:
            self.asked += 1
            raise Refused(field, "is not in the registry")

    schemas = Unwilling()
    reader = make_reader(Format.AVRO, schemas, key=KeyForm.NONE)
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            reader.read(FakeRecord(framed(A)))
        assert str(refused.value) == reason
    assert schemas.asked == 2


def test_a_schema_of_megabytes_is_refused_unread() -> None:
    """Issue, 7: parsing it would hold the event loop."""
    schema = Schema(SchemaId(7), SchemaKind.AVRO, '{"doc": "' + "x" * MAX_SCHEMA_CHARS + '", "type": "string"}')
    reason = f"$value has schema 7, which is longer than {MAX_SCHEMA_CHARS:,} characters"
    assert refusal_of(Format.AVRO, framed(A), schema) == reason


def test_a_format_of_the_registry_needs_one() -> None:
    """Found when the reader is made, not at the first record."""
    with pytest.raises(ValueError, match="the format avro needs a Schema Registry"):
        make_reader(Format.AVRO, None, key=KeyForm.NONE)


def test_a_framed_record_without_a_registry_is_refused_for_that() -> None:
    """Formats that may be framed need none until one is."""
    reader = make_reader(Format.DEBEZIUM, None, key=KeyForm.NONE)
    with pytest.raises(Refused, match=r"^\$value has a registry's schema id, and no Schema Registry is configured$"):
        reader.read(FakeRecord(framed(A)))


@pytest.fixture
def without_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where neither extra is installed."""
    for name in ("avro", "protobuf"):
        monkeypatch.delattr(formats, name, raising=False)
        monkeypatch.setitem(sys.modules, f"connector.formats.{name}", None)


@pytest.mark.usefixtures("without_extras")
@pytest.mark.parametrize("record_format", [Format.AVRO, Format.PROTOBUF])
def test_a_missing_extra_is_one_clear_error_when_the_reader_is_made(record_format: Format) -> None:
    """Issue, 2: before the registry is asked for, and with what to type."""
    with pytest.raises(MissingExtra) as missing:
        make_reader(record_format, None, key=KeyForm.NONE)
    assert str(missing.value) == (
        f"the format {record_format} needs the extra {record_format}: "
        f"pip install 'target-profile-connector[{record_format}]'"
    )


@pytest.mark.usefixtures("without_extras")
def test_formats_that_may_be_framed_need_an_extra_only_where_they_are() -> None:
    """JSON is read; a framed record says which extra is missing."""
    assert read(Format.DEBEZIUM, b'{"op": "c"}') == {"op": "c"}
    reason = refusal_of(Format.DEBEZIUM, framed(A), avro_schema(R))
    assert reason == "$value has schema 7, which is AVRO: reading it needs the extra avro"
