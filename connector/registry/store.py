"""Every schema that was asked for: there, refused, or being fetched; each is fetched by one task at a time.

`get` never waits. What it does not have it begins to fetch, and says so by `SchemaMissing`.
"""

import asyncio
import random
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from connector.events.change import Refused
from connector.formats.schema import Schema, SchemaId, SchemaMissing
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.registry.retry import Attempts, Patience, Refuse, after

AT_ONCE: Final = 16
"""Schemas that are fetched at the same time; further ones wait their turn."""

Load = Callable[[SchemaId], Awaitable[Schema | Failure]]
Prepare = Callable[[Schema], Awaitable[Schema]]


class Cause(StrEnum):
    """Why a schema is not there yet. A closed list: names of a metric's label."""

    FETCHING = "fetching"
    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    WRONG_URL = "wrong_url"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """How one attempt to fetch a schema ended. A closed list: names of a metric's label."""

    FETCHED = "fetched"
    UNREACHABLE = "unreachable"
    UNAUTHORISED = "unauthorised"
    WRONG_URL = "wrong_url"
    UNKNOWN = "unknown"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Reason:
    """What is said of a schema that records wait for. `since` by the store's clock; `text` is safe to log."""

    cause: Cause
    text: str
    since: float
    attempts: int = 0

    @property
    def needs_a_person(self) -> bool:
        """Whether waiting alone will not help."""
        return self.cause in {Cause.UNAUTHORISED, Cause.WRONG_URL}


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: str
    until: float | None


_OUTCOMES: Final[Mapping[type[Failure], Outcome]] = {
    Unreachable: Outcome.UNREACHABLE,
    Unauthorised: Outcome.UNAUTHORISED,
    WrongUrl: Outcome.WRONG_URL,
    NotFound: Outcome.UNKNOWN,
    Unusable: Outcome.UNUSABLE,
}


async def as_it_is(schema: Schema) -> Schema:
    """Prepare nothing."""
    return schema


class SchemaStore:
    """The schemas of one registry, at most `max_schemas` of them, the ones longest unused dropped first.

    `load` gives a failure and raises nothing. `prepare` compiles what was fetched before it counts as there; it raises
    `Refused` for a schema that cannot be used, and OSError where this machine could not do it now. `clock` gives
    monotonic seconds. All methods belong to one event loop.
    """

    def __init__(
        self,
        load: Load,
        *,
        max_schemas: int,
        clock: Callable[[], float],
        rng: random.Random,
        prepare: Prepare = as_it_is,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        """How many attempts ended in which way."""
        self._load = load
        self._prepare = prepare
        self._max = max_schemas
        self._clock = clock
        self._rng = rng
        self._on_change: Callable[[], None] = lambda: None
        self._patience = patience
        self._schemas: OrderedDict[SchemaId, Schema] = OrderedDict()
        self._refusals: OrderedDict[SchemaId, _Refusal] = OrderedDict()
        self._waiting: dict[SchemaId, Reason] = {}
        self._flights: dict[SchemaId, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._closed = False

    def listen(self, on_change: Callable[[], None]) -> None:
        """Call this when asking again may help, and when what is said of a missing schema changed."""
        self._on_change = on_change

    @property
    def waiting(self) -> Mapping[SchemaId, Reason]:
        """What is missing now, and why."""
        return MappingProxyType(self._waiting)

    def __len__(self) -> int:
        """How many schemas are there."""
        return len(self._schemas)

    def get(self, schema_id: SchemaId) -> Schema:
        """Return it; raises SchemaMissing when it is not known yet, Refused when known not to exist or not usable."""
        schema = self._schemas.get(schema_id)
        if schema is not None:
            self._schemas.move_to_end(schema_id)
            return schema
        refusal = self._refusals.get(schema_id)
        if refusal is not None:
            if refusal.until is None or self._clock() < refusal.until:
                self._refusals.move_to_end(schema_id)
                raise Refused(field=f"schema {schema_id.value}", reason=refusal.reason)
            del self._refusals[schema_id]
        if schema_id not in self._flights and not self._closed:
            self._begin(schema_id)
        raise SchemaMissing(schema_id)

    def forget(self, schema_ids: Iterable[SchemaId]) -> None:
        """Stop fetching these: no record waits for them any more."""
        for schema_id in schema_ids:
            self._waiting.pop(schema_id, None)
            flight = self._flights.pop(schema_id, None)
            if flight is not None:
                flight.cancel()

    async def close(self) -> None:
        """Stop fetching; what is there stays, and what is missing stays missing."""
        self._closed = True
        flights = tuple(self._flights.values())
        self.forget(tuple(self._flights))
        await asyncio.gather(*flights, return_exceptions=True)

    def _begin(self, schema_id: SchemaId) -> None:
        self._waiting[schema_id] = Reason(Cause.FETCHING, "it is being fetched", self._clock())
        self._flights[schema_id] = asyncio.get_running_loop().create_task(
            self._fetch(schema_id), name=f"schema {schema_id.value}"
        )

    async def _fetch(self, schema_id: SchemaId) -> None:
        """Ask until it is there or refused."""
        attempts = Attempts()
        while True:
            async with self._turns:
                given = await self._attempt(schema_id)
            if isinstance(given, Schema):
                self.outcomes[Outcome.FETCHED] += 1
                self._keep(schema_id, given)
                return
            self.outcomes[_OUTCOMES[type(given)]] += 1
            step = after(given, attempts, self._clock(), self._patience, self._rng)
            if isinstance(step, Refuse):
                self._refuse(schema_id, step)
                return
            attempts = step.attempts
            self._tell(schema_id, given, attempts.failures)
            await asyncio.sleep(step.pause)

    async def _attempt(self, schema_id: SchemaId) -> Schema | Failure:
        try:
            given = await self._load(schema_id)
            return await self._prepare(given) if isinstance(given, Schema) else given
        except Refused as refused:
            return Unusable(str(refused))
        except (OSError, MemoryError) as error:
            return Unreachable(f"this machine could not prepare it ({type(error).__name__}); look at memory and disk")
        except Exception as error:  # noqa: BLE001 - a schema that breaks a compiler must not hold its partition for ever
            return Unusable(f"reading it failed with {type(error).__name__}")

    def _keep(self, schema_id: SchemaId, schema: Schema) -> None:
        self._schemas[schema_id] = schema
        if len(self._schemas) > self._max:
            self._schemas.popitem(last=False)
        self._landed(schema_id)

    def _refuse(self, schema_id: SchemaId, step: Refuse) -> None:
        until = None if step.for_ever else self._clock() + self._patience.refusal
        self._refusals[schema_id] = _Refusal(step.reason, until)
        if len(self._refusals) > self._max:
            self._refusals.popitem(last=False)
        self._landed(schema_id)

    def _landed(self, schema_id: SchemaId) -> None:
        del self._waiting[schema_id], self._flights[schema_id]
        self._on_change()

    def _tell(self, schema_id: SchemaId, failure: Failure, attempts: int) -> None:
        before = self._waiting[schema_id]
        now = Reason(Cause(_OUTCOMES[type(failure)].value), failure.reason, before.since, attempts)
        self._waiting[schema_id] = now
        if (now.cause, now.text) != (before.cause, before.text):
            self._on_change()
