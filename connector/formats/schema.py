"""What a Schema Registry knows of a record's writer: the names of schemas, and the schemas themselves."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class SchemaKind(StrEnum):
    """The language that a schema is written in, as a registry's `schemaType` says it."""

    AVRO = "AVRO"
    PROTOBUF = "PROTOBUF"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class SchemaId:
    """How a record names its schema: the registry's number, or a GUID in lower case with dashes."""

    value: int | str


@dataclass(frozen=True, slots=True)
class Dependency:
    """A schema that another one refers to, under the name that it uses."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Schema:
    """One schema with everything that it refers to, so that reading needs no further look.

    `dependencies` come in topological order, each before what refers to it, and each name once. `descriptors` is the
    `FileDescriptorSet` of a Protobuf schema (`formats.protobuf.compile_schema`), its own file last.
    """

    id: SchemaId
    kind: SchemaKind
    text: str
    dependencies: tuple[Dependency, ...] = ()
    descriptors: bytes | None = None


class SchemaMissing(Exception):
    """The schema is not there yet: the record is to be read again later, and nothing behind it on its partition."""

    def __init__(self, schema_id: SchemaId) -> None:
        super().__init__(f"schema {schema_id.value} is not there yet")
        self.schema_id = schema_id


class Schemas(Protocol):
    """Where schemas come from. Never waits."""

    def get(self, schema_id: SchemaId) -> Schema:
        """Return it; `SchemaMissing` when it is not known yet, `Refused` when it does not exist or is not usable."""
        ...
