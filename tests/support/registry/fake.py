"""A registry in memory that answers as Confluent's does; tests/integration/test_registry.py holds it to a real one."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from connector.formats.schema import SchemaId, SchemaKind
from connector.registry.answers import Fetched, Reference
from connector.registry.failures import Failure, NotFound

_NO_SUBJECT: Final = 404, {"error_code": 40401, "message": "Subject not found"}
_NO_VERSION: Final = 404, {"error_code": 40402, "message": "Version not found"}
_NO_SCHEMA: Final = 404, {"error_code": 40403, "message": "Schema not found"}


@dataclass(frozen=True, slots=True)
class Stored:
    id: int
    text: str
    kind: SchemaKind
    references: tuple[Reference, ...]

    def as_json(self) -> dict[str, Any]:
        """Give the fields that every answer has; of Avro no type, as Confluent's registry leaves it out."""
        answer: dict[str, Any] = {"schema": self.text}
        if self.kind is not SchemaKind.AVRO:
            answer["schemaType"] = str(self.kind)
        if self.references:
            answer["references"] = [
                {"name": each.name, "subject": each.subject, "version": each.version} for each in self.references
            ]
        return answer

    def as_fetched(self) -> Fetched:
        """The same, as the client gives it."""
        return Fetched(self.text, self.kind, self.references)


@dataclass(slots=True)
class FakeRegistry:
    """Also stands in for the client (`connector.registry.client.Registry`), where no HTTP is wanted."""

    schemas: dict[int, Stored] = field(default_factory=dict)
    subjects: dict[str, list[Stored]] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    guids: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    """What was asked for, by path, in order."""

    def register(
        self, subject: str, text: str, kind: SchemaKind = SchemaKind.AVRO, references: Iterable[Reference] = ()
    ) -> int:
        """Add a version of a subject; returns the schema's number."""
        stored = Stored(len(self.schemas) + 1, text, kind, tuple(references))
        self.schemas[stored.id] = stored
        self.subjects.setdefault(subject, []).append(stored)
        self.guids[str(uuid.uuid5(uuid.NAMESPACE_OID, str(stored.id)))] = stored.id
        return stored.id

    def guid(self, number: int) -> str:
        """The GUID of a schema."""
        return next(guid for guid, known in self.guids.items() if known == number)

    def delete(self, subject: str) -> None:
        """Delete a subject softly."""
        self.deleted.add(subject)

    def answer(self, path: str, query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and body for a GET of an encoded path."""
        self.asked.append(path)
        match [unquote(part) for part in path.removeprefix("/").split("/")]:
            case ["schemas", "ids", number]:
                stored = self.schemas.get(int(number))
                return _NO_SCHEMA if stored is None else (200, stored.as_json())
            case ["schemas", "guids", guid]:
                stored = self.schemas.get(self.guids.get(guid, 0))
                return _NO_SCHEMA if stored is None else (200, {**stored.as_json(), "guid": guid})
            case ["subjects", subject, "versions", version]:
                return self._version(subject, version, deleted=query.get("deleted") == "true")
            case _:
                return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _version(self, subject: str, version: str, *, deleted: bool) -> tuple[int, dict[str, Any]]:
        versions = self.subjects.get(subject)
        if versions is None or (subject in self.deleted and not deleted):
            return _NO_SUBJECT
        number = len(versions) if version == "latest" else int(version)
        if not 0 < number <= len(versions):
            return _NO_VERSION
        stored = versions[number - 1]
        return 200, {"subject": subject, "version": number, "id": stored.id, **stored.as_json()}

    # In place of the client

    async def schema(self, schema_id: SchemaId) -> Fetched | Failure:
        """Give the schema that a record names."""
        number = schema_id.value if isinstance(schema_id.value, int) else self.guids.get(schema_id.value, 0)
        self.asked.append(f"schema {schema_id.value}")
        stored = self.schemas.get(number)
        return NotFound("no such schema") if stored is None else stored.as_fetched()

    async def version(self, subject: str, version: int | str) -> Fetched | Failure:
        """Give a version of a subject, also of a deleted one; or its `latest`."""
        self.asked.append(f"{subject}/{version}")
        versions = self.subjects.get(subject, [])
        number = len(versions) if version == "latest" else int(version)
        return versions[number - 1].as_fetched() if 0 < number <= len(versions) else NotFound("no such version")
