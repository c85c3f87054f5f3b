"""The store of schemas under any order of answers, outages and reads, before a model of what it may say."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import hypothesis.strategies as st
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from connector.events.change import Refused
from connector.formats.schema import Schema, SchemaId, SchemaKind, SchemaMissing
from connector.registry.failures import Failure, NotFound, Unauthorised, Unreachable, Unusable, WrongUrl
from connector.registry.store import SchemaStore
from tests.support.virtual_time import run

MAX_SCHEMAS = 3
MINUTE = 60.0
NUMBERS = st.integers(1, 6)

WAITS: tuple[Failure, ...] = (
    Unreachable("HTTP 503"),
    Unreachable("HTTP 429", 40.0),
    Unauthorised("HTTP 401"),
    WrongUrl("HTTP 404"),
)
ANSWERS = st.sampled_from([None, None, *WAITS, NotFound("unknown"), NotFound("unknown"), Unusable("broken")])
"""None: the schema."""

STEPS = st.one_of(
    st.tuples(st.just("get"), NUMBERS, st.integers(1, 3)),
    st.tuples(st.just("each"), st.just(0), st.just(1)),
    st.tuples(st.just("answer"), NUMBERS, ANSWERS),
    st.tuples(st.just("all"), st.just(0), ANSWERS),
    st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.0, 0.3, 2.0, 25.0, 61.0, 400.0])),
    st.tuples(st.just("forget"), NUMBERS, st.none()),
)


class Registry:
    """Answers as it is told, each after its time, and keeps what it said."""

    def __init__(self, rng: random.Random, now: Callable[[], float]) -> None:
        self.answers: dict[int, Failure | None] = {}
        self.under_way: Counter[int] = Counter()
        self.said: dict[int, list[tuple[float, Failure | None]]] = {}
        self._rng = rng
        self._now = now

    async def load(self, schema_id: SchemaId) -> Schema | Failure:
        number = schema_id.value
        assert isinstance(number, int)
        self.under_way[number] += 1
        assert self.under_way[number] == 1, "two requests for one schema at a time"
        try:
            await asyncio.sleep(self._rng.choice([0.0, 0.1, 5.0]))
        finally:
            self.under_way[number] -= 1
        answer = self.answers.get(number)
        self.said.setdefault(number, []).append((self._now(), answer))
        return Schema(schema_id, SchemaKind.AVRO, f"text of {number}") if answer is None else answer

    def may_refuse(self, number: int) -> bool:
        """Whether its last answers are a reason: "cannot be used", or nothing but "not found" for a minute."""
        said = self.said.get(number, [])
        if not said:
            return False
        if isinstance(said[-1][1], Unusable):
            return True
        since = None
        for moment, answer in reversed(said):
            if not isinstance(answer, NotFound):
                break
            since = moment
        return since is not None and said[-1][0] - since >= MINUTE


def read(store: SchemaStore, registry: Registry, number: int) -> str:
    """One read, held to what it may give."""
    try:
        schema = store.get(SchemaId(number))
    except SchemaMissing as missing:
        wrong = missing.schema_id != SchemaId(number) or SchemaId(number) not in store.waiting
        return "wrong" if wrong else "missing"
    except Refused as refused:
        return "refused" if registry.may_refuse(number) and str(number) in str(refused) else "wrong"
    return "there" if schema == Schema(SchemaId(number), SchemaKind.AVRO, f"text of {number}") else "wrong"


@hypothesis_settings(max_examples=100)
@given(st.lists(STEPS, min_size=5, max_size=40), st.integers(0, 2**32))
def test_any_order_of_answers_outages_and_reads(steps: list[tuple[str, int, object]], seed: int) -> None:
    """Never two flights of one id, never a wrong schema, never too many, and no refusal before a minute of 404s."""

    async def main() -> None:
        now = asyncio.get_running_loop().time
        rng = random.Random(seed)
        registry = Registry(rng, now)
        store = SchemaStore(registry.load, max_schemas=MAX_SCHEMAS, clock=now, rng=rng)
        asked: set[int] = set()
        for step, number, what in steps:
            if step == "get" and isinstance(what, int):
                asked.add(number)
                assert "wrong" not in [read(store, registry, number) for _ in range(what)]
            elif step == "each":
                for each in range(1, 7):
                    asked.add(each)
                    assert read(store, registry, each) != "wrong"
                    await asyncio.sleep(6.0)
                    assert read(store, registry, each) != "wrong"
            elif step == "wait" and isinstance(what, float):
                await asyncio.sleep(what)
            elif step == "forget":
                store.forget([SchemaId(number)])
                await asyncio.sleep(0.0)  # A loop's turn, in which what was cancelled ends.
            else:
                assert what is None or isinstance(what, Failure)
                registry.answers.update(dict.fromkeys(range(1, 7) if step == "all" else [number], what))
            assert len(store) <= MAX_SCHEMAS
            assert len(asyncio.all_tasks()) <= 1 + len(store.waiting)
        # Once the registry is well, each id that is asked for comes, or is refused for a reason, within minutes.
        registry.answers.clear()
        for number in sorted(asked):
            read(store, registry, number)
            await asyncio.sleep(400.0)
            given = read(store, registry, number)
            if given == "missing":  # Its refusal was forgotten just now.
                await asyncio.sleep(40.0)
                given = read(store, registry, number)
            assert given in {"there", "refused"}
        await store.close()
        assert not store.waiting

    run(main())
