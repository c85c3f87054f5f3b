"""A schema with all that it refers to: fetched one after the other, each once, each before what needs it."""

from typing import Final

from connector.formats.schema import Dependency, Schema, SchemaId, SchemaKind
from connector.registry.answers import MAX_REFERENCES, Fetched, Reference
from connector.registry.client import Registry
from connector.registry.failures import Failure, Unusable

MAX_CHARACTERS: Final = 10_000_000
"""Of a schema and all that it refers to, together."""
_NAME_CHARACTERS: Final = 500
_MAX_ID: Final = 2**31 - 1


async def load(registry: Registry, schema_id: SchemaId) -> Schema | Failure:
    """Give the schema that a record names, or why it cannot be had now, or ever."""
    if isinstance(schema_id.value, int) and not 0 <= schema_id.value <= _MAX_ID:
        return Unusable("the number is none of a Schema Registry: they go from 0 to 2,147,483,647")
    return await _resolve(registry, schema_id, await registry.schema(schema_id))


async def load_latest(registry: Registry, subject: str) -> Schema | Failure:
    """Give the newest schema of a subject; its id is 0 where the registry does not say it."""
    fetched = await registry.version(subject, "latest")
    number = fetched.number if isinstance(fetched, Fetched) else None
    return await _resolve(registry, SchemaId(number or 0), fetched)


async def _resolve(registry: Registry, schema_id: SchemaId, fetched: Fetched | Failure) -> Schema | Failure:
    if not isinstance(fetched, Fetched):
        return fetched
    search = _Search(registry, fetched.kind, len(fetched.text))
    failure = await search.visit(fetched.references)
    if failure is not None:
        return failure
    return Schema(schema_id, fetched.kind, fetched.text, tuple(search.found.values()))


class _Search:
    """Depth first, so that each schema comes after what it refers to itself."""

    def __init__(self, registry: Registry, kind: SchemaKind, characters: int) -> None:
        self.found: dict[str, Dependency] = {}
        self._registry = registry
        self._kind = kind
        self._characters = characters
        # Where each name leads; one that is not yet in `found` is being followed.
        self._begun: dict[str, tuple[str, int]] = {}

    async def visit(self, references: tuple[Reference, ...]) -> Failure | None:
        for reference in references:
            failure: Failure | None = self._unfit(reference)
            if failure is None and reference.name not in self._begun:
                failure = await self._follow(reference)
            if failure is not None:
                return failure
        return None

    def _unfit(self, reference: Reference) -> Unusable | None:
        """Why this reference cannot be followed, by what is known before it is."""
        name, place = reference.name, (reference.subject, reference.version)
        if reason := unfit_name(name):
            return Unusable(f"it refers to a schema by a name that cannot be used: {reason}")
        if len(reference.subject) > _NAME_CHARACTERS:
            return Unusable(f"it refers to a subject with a name of more than {_NAME_CHARACTERS} characters")
        begun = self._begun.get(name)
        if begun is not None and begun != place:
            return Unusable("it refers to two schemas by one name")
        if begun is not None and name not in self.found:
            return Unusable("it refers to itself, directly or by others")
        if begun is None and len(self._begun) >= MAX_REFERENCES:
            return Unusable(f"it refers to more than {MAX_REFERENCES} schemas")
        return None

    async def _follow(self, reference: Reference) -> Failure | None:
        self._begun[reference.name] = reference.subject, reference.version
        fetched = await self._registry.version(reference.subject, reference.version)
        if not isinstance(fetched, Fetched):
            return fetched
        if fetched.kind is not self._kind:
            return Unusable(f"it is {self._kind} and refers to a schema that is {fetched.kind}")
        self._characters += len(fetched.text)
        if self._characters > MAX_CHARACTERS:
            return Unusable(f"it has more than {MAX_CHARACTERS:,} characters with all that it refers to")
        failure = await self.visit(fetched.references)
        if failure is None:
            self.found[reference.name] = Dependency(reference.name, fetched.text)
        return failure


def unfit_name(name: str) -> str:
    """Why no schema may be referred to by this name; empty when it may.

    A name may become the name of a file (of Protobuf it does), and it was chosen by a stranger.
    """
    if not name or len(name) > _NAME_CHARACTERS or not name.isprintable():
        return f"empty, longer than {_NAME_CHARACTERS} characters, or with a control character"
    if "\\" in name or name.startswith("/") or name[1:2] == ":":
        return "an absolute path, or one with a backslash"
    if ".." in name.split("/"):
        return "a path with `..`"
    return ""
