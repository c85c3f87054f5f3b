"""Records and schemas for what reads formats: no Kafka, no registry."""

import io
from collections.abc import Sequence
from typing import Any

import fastavro
import msgspec
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from connector.events import Refused
from connector.formats import (
    Dependency,
    Document,
    Format,
    KeyForm,
    Node,
    Schema,
    SchemaId,
    SchemaKind,
    SchemaMissing,
    make_reader,
)
from connector.formats.protobuf.compile import to_base64

RawHeaders = Sequence[tuple[str, bytes | None]]


class FakeRecord:
    """A record as Kafka's client gives it."""

    def __init__(self, value: bytes | None, key: bytes | None = None, headers: RawHeaders | None = None) -> None:
        self._value = value
        self._key = key
        self._headers = headers

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> RawHeaders | None:
        return self._headers


class FakeSchemas:
    """A registry that knows what it was given, and counts what it is asked for."""

    def __init__(self, *schemas: Schema) -> None:
        self.known = {schema.id: schema for schema in schemas}
        self.asked: list[SchemaId] = []

    def get(self, schema_id: SchemaId) -> Schema:
        self.asked.append(schema_id)
        if schema_id not in self.known:
            raise SchemaMissing(schema_id)
        return self.known[schema_id]


def avro_schema(schema: Any, *dependencies: Any, number: int | str = 7) -> Schema:
    """Return a schema of the registry; its dependencies are named by what they define."""
    referred = tuple(Dependency(each["name"], _text(each)) for each in dependencies)
    return Schema(SchemaId(number), SchemaKind.AVRO, _text(schema), referred)


def protobuf_schema(file: FileDescriptorProto, *dependencies: FileDescriptorProto, number: int | str = 7) -> Schema:
    """Return a schema of the registry in base64, as Python's serializer registers it."""
    referred = tuple(Dependency(each.name, to_base64(each)) for each in dependencies)
    return Schema(SchemaId(number), SchemaKind.PROTOBUF, to_base64(file), referred)


def record_of(**fields: Any) -> dict[str, Any]:
    """Return an Avro record type."""
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}


def framed(data: bytes, number: int = 7) -> bytes:
    """Put the magic byte and the schema's number before it."""
    return b"\x00" + number.to_bytes(4, "big") + data


def written(schema: Any, value: Any) -> bytes:
    """Return what fastavro writes of a value, without logical types: what goes in is what is on the wire."""
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(without_logical(schema)), value)
    return stream.getvalue()


def without_logical(schema: Any) -> Any:
    """Return the schema without its logical types."""
    if isinstance(schema, dict):
        return {name: without_logical(each) for name, each in schema.items() if name != "logicalType"}
    return [without_logical(each) for each in schema] if isinstance(schema, list) else schema


def read(
    record_format: Format,
    value: bytes | None,
    *schemas: Schema,
    headers: RawHeaders | None = None,
    zero_values: bool = False,
) -> Node:
    """Return the document's value; None for a skip."""
    reader = make_reader(record_format, FakeSchemas(*schemas), key=KeyForm.NONE, zero_values=zero_values)
    document = reader.read(FakeRecord(value, headers=headers))
    return None if document is None else document.value


def read_avro(schema: Any, data: bytes, *dependencies: Any) -> Node:
    """Return what the bytes are by this schema."""
    return read(Format.AVRO, framed(data), avro_schema(schema, *dependencies))


def refusal_of(record_format: Format, value: bytes, *schemas: Schema, headers: RawHeaders | None = None) -> str:
    """Return why a record is refused; fails when it is not."""
    try:
        node = read(record_format, value, *schemas, headers=headers)
    except Refused as refused:
        return str(refused)
    msg = f"not refused: {node!r}"
    raise AssertionError(msg)


def document_of(
    record_format: Format, record: FakeRecord, *schemas: Schema, key: KeyForm = KeyForm.NONE
) -> Document | None:
    """Return the whole document."""
    return make_reader(record_format, FakeSchemas(*schemas), key=key).read(record)


def _text(schema: Any) -> str:
    return msgspec.json.encode(schema).decode()
