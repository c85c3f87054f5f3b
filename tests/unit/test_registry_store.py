"""The store of schemas: what waits, what is refused, and what is fetched how often; hours of it on virtual time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from connector.events.change import Refused
from connector.formats.schema import Schema, SchemaId, SchemaKind, SchemaMissing
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.registry.store import AT_ONCE, Cause, Outcome, Reason, SchemaStore, as_it_is
from tests.support.virtual_time import run

ID = SchemaId(7)
SCHEMA = Schema(ID, SchemaKind.AVRO, '"string"')
DOWN = Unreachable("HTTP 503")
UNKNOWN = NotFound("registry:8081: the registry has no such schema (error 40403) for schema 7")


class Registry:
    """Answers each request for a schema by what the test says now, after `seconds`."""

    def __init__(self, answer: Schema | Failure | Exception = SCHEMA, seconds: float = 0.0) -> None:
        self.answer = answer
        self.seconds = seconds
        self.asked: list[tuple[float, SchemaId]] = []
        self.at_once = 0
        self.most_at_once = 0

    async def load(self, schema_id: SchemaId) -> Schema | Failure:
        self.asked.append((asyncio.get_running_loop().time(), schema_id))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.seconds)
        self.at_once -= 1
        if isinstance(self.answer, Exception):
            raise self.answer
        if isinstance(self.answer, Schema):
            return Schema(schema_id, self.answer.kind, self.answer.text)
        return self.answer


class World:
    """A store on virtual time."""

    def __init__(
        self,
        registry: Registry,
        *,
        max_schemas: int = 10,
        prepare: Callable[[Schema], Awaitable[Schema]] = as_it_is,
    ) -> None:
        self.registry = registry
        self.changes = 0
        self.store = SchemaStore(
            registry.load,
            max_schemas=max_schemas,
            clock=asyncio.get_running_loop().time,
            rng=random.Random(1),
            prepare=prepare,
        )
        self.store.listen(self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def reason(self, schema_id: SchemaId = ID) -> Reason:
        """What is said of it now."""
        return self.store.waiting[schema_id]

    def is_missing(self, schema_id: SchemaId = ID) -> bool:
        """Whether a record would wait for it; raises Refused."""
        try:
            return self.store.get(schema_id).id != schema_id
        except SchemaMissing as missing:
            return missing.schema_id == schema_id


def on_virtual_time(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run it, and hold it to leaving no task behind."""

    async def all_of_it() -> None:
        await main()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(all_of_it())


def test_a_schema_is_missing_until_it_was_fetched_and_then_it_is_there() -> None:
    """`get` never waits: it says that the schema is missing, and the one who asked is told when it is worth asking."""

    async def main() -> None:
        world = World(Registry(seconds=1.0))
        assert world.is_missing()
        assert world.reason() == Reason(Cause.FETCHING, "it is being fetched", 1_000.0)
        assert world.changes == 0
        await asyncio.sleep(1.1)
        assert world.changes == 1
        assert world.store.get(ID) == SCHEMA
        assert not world.store.waiting
        assert world.store.outcomes == {Outcome.FETCHED: 1}
        await world.store.close()

    on_virtual_time(main)


def test_500_first_reads_of_one_new_id_are_exactly_one_request() -> None:
    """5. Each first read by itself would be a burst on the registry at each new schema."""

    async def main() -> None:
        world = World(Registry(seconds=1.0))
        assert all(world.is_missing() for _ in range(500))
        await asyncio.sleep(2.0)
        assert [world.store.get(SchemaId(7)) for _ in range(500)] == [SCHEMA] * 500
        assert len(world.registry.asked) == 1
        await world.store.close()

    on_virtual_time(main)


@pytest.mark.parametrize(
    ("failure", "cause", "needs_a_person"),
    [
        (DOWN, Cause.UNREACHABLE, False),
        (Unauthorised("HTTP 401"), Cause.UNAUTHORISED, True),
        (WrongUrl("HTTP 404"), Cause.WRONG_URL, True),
    ],
)
def test_an_outage_of_a_day_refuses_nothing_and_ends_by_itself(
    failure: Failure, cause: Cause, *, needs_a_person: bool
) -> None:
    """1. A registry that is down is no fault of a record: the schema stays missing, however long that takes."""

    async def main() -> None:
        world = World(Registry(failure))
        for _ in range(24 * 60):
            assert world.is_missing()
            await asyncio.sleep(60.0)
        assert world.reason().cause is cause
        assert world.reason().text == failure.reason
        assert world.reason().since == 1_000.0
        assert world.reason().needs_a_person is needs_a_person
        assert 2_880 <= len(world.registry.asked) <= 2 * 2_880, "each pause is 15 to 30 s"
        world.registry.answer = SCHEMA
        await asyncio.sleep(31.0)
        assert world.store.get(ID) == SCHEMA
        await world.store.close()

    on_virtual_time(main)


def test_an_outage_in_the_middle_leaves_what_is_there_usable() -> None:
    """1. With a new id mid-topic: that one is missing, records of the others are read on."""

    async def main() -> None:
        world = World(Registry())
        assert world.is_missing()
        await asyncio.sleep(0.1)
        world.registry.answer = DOWN
        assert world.is_missing(SchemaId(8))
        await asyncio.sleep(3_600.0)
        assert not world.is_missing()
        assert world.is_missing(SchemaId(8))
        await world.store.close()

    on_virtual_time(main)


def test_retry_after_is_honoured_and_bounded() -> None:
    """A registry that says when is not asked before; one that says "next week" does not stop it for a week."""

    async def main() -> None:
        world = World(Registry(Unreachable("HTTP 429", retry_after=120.0)))
        assert world.is_missing()
        await asyncio.sleep(119.0)
        assert len(world.registry.asked) == 1
        await asyncio.sleep(2.0)
        assert len(world.registry.asked) == 2
        world.registry.answer = Unreachable("HTTP 429", retry_after=86_400.0)
        await asyncio.sleep(120.0)
        assert len(world.registry.asked) == 3
        await asyncio.sleep(301.0)
        assert len(world.registry.asked) == 4
        await world.store.close()

    on_virtual_time(main)


def test_an_unknown_id_is_asked_for_a_minute_and_then_refused_by_name() -> None:
    """6. A follower may lag by seconds; after a minute the registry's word counts, and the reason names the id."""

    async def main() -> None:
        world = World(Registry(UNKNOWN))
        for _ in range(59):
            assert world.is_missing()
            await asyncio.sleep(1.0)
        assert world.reason().cause is Cause.UNKNOWN
        await asyncio.sleep(2.0)
        with pytest.raises(Refused, match=r"^schema 7 .*has no such schema \(error 40403\).*asked for 60 s$"):
            world.store.get(ID)
        asked = len(world.registry.asked)
        assert 8 <= asked <= 20
        for _ in range(1_000):
            with pytest.raises(Refused):
                world.store.get(ID)
        await asyncio.sleep(200.0)
        with pytest.raises(Refused):
            world.store.get(ID)
        assert len(world.registry.asked) == asked, "a verdict is remembered"
        assert not world.store.waiting
        await world.store.close()

    on_virtual_time(main)


def test_an_unknown_id_that_appears_late_is_read() -> None:
    """6. That is what the minute is for; and after the refusal was forgotten it is asked for again."""

    async def main() -> None:
        world = World(Registry(UNKNOWN))
        assert world.is_missing()
        await asyncio.sleep(45.0)
        world.registry.answer = SCHEMA
        await asyncio.sleep(15.0)
        assert not world.is_missing()

        world.registry.answer = UNKNOWN
        late = SchemaId(8)
        assert world.is_missing(late)
        await asyncio.sleep(61.0)
        with pytest.raises(Refused):
            world.store.get(late)
        world.registry.answer = SCHEMA
        await asyncio.sleep(301.0)
        assert world.is_missing(late)
        await asyncio.sleep(1.0)
        assert not world.is_missing(late)
        await world.store.close()

    on_virtual_time(main)


def test_an_outage_does_not_count_into_the_minute_of_an_unknown_id() -> None:
    """Two answers of a lagging follower, an outage between them, are not a minute of "no such schema"."""

    async def main() -> None:
        world = World(Registry(UNKNOWN))
        assert world.is_missing()
        await asyncio.sleep(10.0)
        world.registry.answer = DOWN
        await asyncio.sleep(600.0)
        world.registry.answer = UNKNOWN
        await asyncio.sleep(50.0)
        assert world.is_missing()
        await world.store.close()

    on_virtual_time(main)


def test_a_schema_that_cannot_be_used_is_refused_at_once_and_for_ever() -> None:
    """The verdict is remembered for the id: an id never changes its meaning."""

    async def main() -> None:
        world = World(Registry(Unusable("it refers to itself, directly or by others")))
        assert world.is_missing()
        await asyncio.sleep(0.1)
        await asyncio.sleep(86_400.0)
        with pytest.raises(Refused, match=r"^schema 7 .*refers to itself"):
            world.store.get(ID)
        assert len(world.registry.asked) == 1
        assert world.store.outcomes == {Outcome.UNUSABLE: 1}
        await world.store.close()

    on_virtual_time(main)


def test_a_schema_counts_as_there_once_it_is_prepared() -> None:
    """Compiling takes a process and milliseconds: no record is read meanwhile, and what comes out is what is kept."""

    async def prepare(schema: Schema) -> Schema:
        await asyncio.sleep(5.0)
        return Schema(schema.id, schema.kind, schema.text, descriptors=b"compiled")

    async def main() -> None:
        world = World(Registry(), prepare=prepare)
        assert world.is_missing()
        await asyncio.sleep(4.0)
        assert world.is_missing()
        await asyncio.sleep(1.1)
        assert world.store.get(ID).descriptors == b"compiled"
        await world.store.close()

    on_virtual_time(main)


def test_a_schema_that_cannot_be_prepared_is_refused_and_a_machine_that_cannot_prepare_waits() -> None:
    """A compiler's "no" is about the schema; a full disk is about this machine, and passes."""
    error: list[Exception] = [Refused("Protobuf", "does not compile")]

    async def prepare(schema: Schema) -> Schema:
        if error:
            raise error[0]
        return schema

    async def main() -> None:
        world = World(Registry(), prepare=prepare)
        assert world.is_missing(SchemaId(1))
        await asyncio.sleep(0.1)
        with pytest.raises(Refused, match=r"^schema 1 cannot be used: Protobuf does not compile$"):
            world.store.get(SchemaId(1))
        error[0] = RecursionError("at secret")
        assert world.is_missing(SchemaId(2))
        await asyncio.sleep(0.1)
        with pytest.raises(Refused, match=r"^schema 2 cannot be used: reading it failed with RecursionError$"):
            world.store.get(SchemaId(2))
        error[0] = OSError("no space")
        assert world.is_missing(SchemaId(3))
        await asyncio.sleep(3_600.0)
        assert world.reason(SchemaId(3)).cause is Cause.UNREACHABLE
        assert "OSError" in world.reason(SchemaId(3)).text
        error.clear()
        await asyncio.sleep(31.0)
        assert not world.is_missing(SchemaId(3))
        await world.store.close()

    on_virtual_time(main)


def test_the_schemas_longest_unused_are_dropped_first() -> None:
    """Bounded in number; a schema that is in use stays."""

    async def main() -> None:
        world = World(Registry(), max_schemas=3)
        for number in (1, 2, 3):
            assert world.is_missing(SchemaId(number))
            await asyncio.sleep(0.1)
        assert not world.is_missing(SchemaId(1))
        assert world.is_missing(SchemaId(4))
        await asyncio.sleep(0.1)
        assert len(world.store) == 3
        assert not world.is_missing(SchemaId(1))
        assert world.is_missing(SchemaId(2)), "the one longest unused"
        await asyncio.sleep(0.1)
        await world.store.close()

    on_virtual_time(main)


def test_few_schemas_are_fetched_at_once() -> None:
    """A restart that meets a thousand ids is no attack on the registry."""

    async def main() -> None:
        world = World(Registry(seconds=1.0), max_schemas=1_000)
        assert all(world.is_missing(SchemaId(number)) for number in range(200))
        await asyncio.sleep(200 / AT_ONCE + 1.0)
        assert world.registry.most_at_once == AT_ONCE
        assert not any(world.is_missing(SchemaId(number)) for number in range(200))
        await world.store.close()

    on_virtual_time(main)


def test_close_ends_every_fetch_at_once() -> None:
    """2. A registry that accepts and never answers does not hold a shutdown up."""

    async def main() -> None:
        world = World(Registry(seconds=3_600.0))
        assert all(world.is_missing(SchemaId(number)) for number in range(50))
        await asyncio.sleep(1.0)
        await world.store.close()
        assert asyncio.get_running_loop().time() == 1_001.0
        assert world.is_missing(), "and nothing is fetched any more"
        assert len(world.registry.asked) == AT_ONCE

    on_virtual_time(main)


def test_what_no_record_waits_for_any_more_is_not_fetched_any_more() -> None:
    """The partition went to another replica: this one need not ask, nor say that it is missing."""

    async def main() -> None:
        world = World(Registry(DOWN))
        assert world.is_missing()
        await asyncio.sleep(60.0)
        world.store.forget([ID, SchemaId(99)])
        assert not world.store.waiting
        asked = len(world.registry.asked)
        await asyncio.sleep(600.0)
        assert len(world.registry.asked) == asked
        assert world.is_missing(), "asked for again, it is fetched again"
        await asyncio.sleep(1.0)
        assert len(world.registry.asked) > asked
        await world.store.close()

    on_virtual_time(main)


def test_a_changed_reason_is_told_and_the_same_one_is_not() -> None:
    """Who writes the log is told of each change, and not at each of a thousand attempts."""

    async def main() -> None:
        world = World(Registry(DOWN))
        assert world.is_missing()
        await asyncio.sleep(3_600.0)
        assert world.changes == 1
        world.registry.answer = Unauthorised("HTTP 401")
        await asyncio.sleep(60.0)
        assert world.changes == 2
        await world.store.close()

    on_virtual_time(main)
