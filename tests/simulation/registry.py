"""A Schema Registry of the simulation: schemas that come late or never, and outages, under the real store."""

import asyncio
import random

from connector.decoding import EventReader, event_reader
from connector.events import Nulls
from connector.formats import Schema, SchemaId, SchemaKind, Schemas
from connector.mapping import load
from connector.registry.failures import Failure, NotFound, Unreachable
from connector.registry.store import SchemaStore
from tests.simulation.timeline import Timeline

_MAPPING = """
version: 1
sources:
  - topics: [t]
    format: json-schema
    key: format
    each: events
    when: [{path: kind, not-in: [other]}]
    visitor: {mbox3rdPartyId: mbox3rdPartyId}
    copy: [{from: profile}]
"""
"""The key is read by a schema, so that a record may have to wait."""
NEVER = 99
"""An id that the registry never gets."""
LATEST = 30.0
"""Seconds after which a new id is known at the latest: sooner than an unknown one is refused."""


class Registry:
    """What the registry has, for all replicas."""

    def __init__(self, timeline: Timeline, rng: random.Random) -> None:
        self._timeline = timeline
        self._rng = rng
        self._known_at: dict[int, float] = {}
        self.is_down = False

    def register(self) -> int:
        """A producer begins to write by a new schema; a follower of the registry has it somewhat later."""
        number = len(self._known_at) + 1
        delay = self._rng.choice((0.0, 0.0, self._rng.uniform(0.0, LATEST)))
        self._known_at[number] = self._timeline.now + delay
        return number

    async def load(self, schema_id: SchemaId) -> Schema | Failure:
        """One attempt of a replica."""
        await asyncio.sleep(self._rng.choice((0.001, 0.1, 2.0)))
        if self.is_down:
            return Unreachable("it is down")
        number = schema_id.value
        if not isinstance(number, int) or self._known_at.get(number, self._timeline.now + 1) > self._timeline.now:
            return NotFound("no such schema")
        return Schema(schema_id, SchemaKind.JSON, "{}")


class Written:
    """How producers write: lists of events, with keys by a schema that changes now and then."""

    def __init__(self, registry: Registry, rng: random.Random) -> None:
        self._registry = registry
        self._rng = rng
        self._current = registry.register()

    def key(self) -> bytes:
        """The key of a new record."""
        chance = self._rng.random()
        if chance < 0.04:
            self._current = self._registry.register()
        number = NEVER if chance > 0.99 else self._current
        return b"\0" + number.to_bytes(4, "big") + b'"k"'

    def never_comes(self, key: bytes) -> bool:
        """Whether the schema of that key is refused in the end."""
        return int.from_bytes(key[1:5], "big") == NEVER

    def value(self, events: list[bytes]) -> bytes:
        """The value of a record with these events."""
        return b"\0\0\0\0\1" + b'{"events":[' + b",".join(events) + b"]}"


def store(registry: Registry, rng: random.Random) -> SchemaStore:
    """One replica's schemas, on the running loop; few fit in, so that some are fetched again."""
    clock = asyncio.get_running_loop().time
    return SchemaStore(registry.load, max_schemas=rng.choice((2, 100)), clock=clock, rng=rng)


def mapped_reader(schemas: Schemas) -> EventReader:
    """The reader of such records."""
    return event_reader(["t"], "json", load(_MAPPING), nulls=Nulls.DROP, schemas=schemas)
