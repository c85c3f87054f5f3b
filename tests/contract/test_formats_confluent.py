"""What Confluent's own serializers write is what our readers read; their client is a fake of theirs, in memory."""

import uuid
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    Schema as ConfluentSchema,
)
from confluent_kafka.schema_registry import (
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from connector.formats import (
    Dependency,
    Format,
    KeyForm,
    Schema,
    SchemaId,
    SchemaKind,
    make_reader,
)
from tests.support.formats import FakeRecord, FakeSchemas, protobuf_schema
from tests.support.protobuf_files import classes, file

CUSTOMER = """{"type": "record", "name": "Customer", "namespace": "crm", "fields": [
  {"name": "CUST_NO", "type": "string"}, {"name": "POINTS", "type": ["null", "int"]},
  {"name": "RATE", "type": "float"}, {"name": "UPDATED_AT", "type": {"type": "long", "logicalType": "timestamp-millis"}}
]}"""
ROW = {"CUST_NO": "C-1001", "POINTS": 1200, "RATE": 0.1, "UPDATED_AT": 1_795_342_500_123}
DOCUMENT = {"CUST_NO": "C-1001", "POINTS": 1200, "RATE": "0.1", "UPDATED_AT": "2026-11-22T10:15:00.123Z"}


class Registry:
    """The client's fake, and the same schemas as our reader asks for them."""

    def __init__(self) -> None:
        self.client: Any = SchemaRegistryClient.new_client({"url": "mock://formats"})

    def get(self, schema_id: SchemaId) -> Schema:
        if isinstance(schema_id.value, int):
            found = self.client.get_schema(schema_id.value)
        else:
            found = self.client.get_schema_by_guid(schema_id.value)
        dependencies: dict[str, Dependency] = {}
        self._collect(found, dependencies)
        return Schema(
            schema_id, SchemaKind(found.schema_type or "AVRO"), found.schema_str, tuple(dependencies.values())
        )

    def _collect(self, schema: Any, dependencies: dict[str, Dependency]) -> None:
        for reference in schema.references or ():
            registered = self.client.get_version(reference.subject, reference.version)
            self._collect(registered.schema, dependencies)
            dependencies.setdefault(reference.name, Dependency(reference.name, registered.schema.schema_str))


@pytest.fixture
def registry() -> Registry:
    """A registry of the test's own."""
    return Registry()


def _context(field: MessageField = MessageField.VALUE, headers: list[Any] | None = None) -> SerializationContext:
    return SerializationContext("customers", field, headers)


def test_avro(registry: Registry) -> None:
    """The five bytes, and one look at the registry for all records."""
    serializer: Any = AvroSerializer(registry.client, CUSTOMER)
    reader = make_reader(Format.AVRO, registry, key=KeyForm.NONE)
    for _ in range(2):
        document = reader.read(FakeRecord(serializer(ROW, _context())))
        assert document is not None
        assert document.value == DOCUMENT


def test_a_key_and_a_value_of_avro(registry: Registry) -> None:
    """A primitive type as the key's schema."""
    key: Any = AvroSerializer(registry.client, '"string"')
    value: Any = AvroSerializer(registry.client, CUSTOMER)
    record = FakeRecord(value(ROW, _context()), key("C-1001", _context(MessageField.KEY)))
    document = make_reader(Format.AVRO, registry, key=KeyForm.FORMAT).read(record)
    assert document is not None
    assert (document.key, document.value) == ("C-1001", DOCUMENT)


def test_avro_with_the_id_in_a_header() -> None:
    """Notes, 12: the GUID, and a value without a frame."""
    guid = str(uuid.uuid4())
    client: Any = Registry().client
    written: list[Any] = []
    serializer: Any = AvroSerializer(client, CUSTOMER, conf={"schema.id.serializer": _with_guid(guid)})
    value = serializer(ROW, _context(headers=written))
    schemas = FakeSchemas(Schema(SchemaId(guid), SchemaKind.AVRO, CUSTOMER))
    document = make_reader(Format.AVRO, schemas, key=KeyForm.NONE).read(FakeRecord(value, headers=written))
    assert written
    assert document is not None
    assert document.value == DOCUMENT


def _with_guid(guid: str) -> Any:
    """Their serializer, told the GUID that their fake registry does not give."""

    def serialize(payload: bytes, context: Any = None, schema_id: Any = None) -> Any:
        schema_id.guid = uuid.UUID(guid)
        return header_schema_id_serializer(payload, context, schema_id)

    return serialize


def test_avro_with_references(registry: Registry) -> None:
    """Notes, 8."""
    city = '{"type": "record", "name": "City", "namespace": "geo", "fields": [{"name": "name", "type": "string"}]}'
    home = '{"type": "record", "name": "Home", "namespace": "crm", "fields": [{"name": "city", "type": "geo.City"}]}'
    registry.client.register_schema("city", ConfluentSchema(city, "AVRO"))
    to_city = SchemaReference("geo.City", "city", 1)
    registry.client.register_schema("home", ConfluentSchema(home, "AVRO", [to_city]))
    person = '{"type": "record", "name": "Person", "fields": [{"name": "home", "type": "crm.Home"}]}'
    to_home = SchemaReference("crm.Home", "home", 1)
    serializer: Any = AvroSerializer(registry.client, ConfluentSchema(person, "AVRO", [to_home]))
    value = {"home": {"city": {"name": "Basel"}}}
    document = make_reader(Format.AVRO, registry, key=KeyForm.NONE).read(FakeRecord(serializer(value, _context())))
    assert document is not None
    assert document.value == value


@pytest.mark.parametrize("inner", [False, True])
def test_protobuf(registry: Registry, inner: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """The message index in both its forms, a schema in base64, and a well-known type that no registry has."""
    made = file(
        "customer.proto",
        "google/protobuf/timestamp.proto",
        Other="string a = 1",
        Customer="string id = 1; optional int64 points = 2; google.protobuf.Timestamp at = 3",
    )
    first, second = classes(protobuf_schema(made)).values()
    made_of: Any = second if inner else first
    message = made_of(id="C-1001", points=0) if inner else made_of(a="x")
    if inner:
        message.at.FromJsonString("2026-11-22T10:15:00Z")
    serializer: Any = ProtobufSerializer(made_of, registry.client, {"use.deprecated.format": False})
    document = make_reader(Format.PROTOBUF, registry, key=KeyForm.NONE).read(
        FakeRecord(serializer(message, _context()))
    )
    assert document is not None
    expected = {"id": "C-1001", "points": 0, "at": "2026-11-22T10:15:00Z"} if inner else {"a": "x"}
    assert document.value == expected


def test_json_schema(registry: Registry) -> None:
    """Numbers as they were written, and no look at the registry."""
    schema = '{"title": "Customer", "type": "object", "properties": {"points": {"type": "number"}}}'
    serializer: Any = JSONSerializer(schema, registry.client)
    value = serializer({"id": "C-1001", "points": 12.5}, _context())
    document = make_reader(Format.JSON_SCHEMA, None, key=KeyForm.NONE).read(FakeRecord(value))
    assert document is not None
    assert document.value == {"id": "C-1001", "points": "12.5"}
