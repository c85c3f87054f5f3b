"""Events of a mapping through the pipeline: lists, skips, refusals, and partitions that wait for a schema."""

import asyncio
import random
from typing import Any

import pytest

from connector.decoding import EventReader, event_reader
from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.delivery.dead_letter import ITEM_HEADER, MADE, MADE_HEADER, Stage
from connector.errors import Fatal
from connector.events import Nulls
from connector.formats import Schema, SchemaId, SchemaKind
from connector.mapping import NO_VISITOR, Unmapped, load
from connector.registry.failures import Failure, Unreachable
from connector.registry.store import SchemaStore
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, event, names
from tests.support.virtual_time import run

P0, P1 = names(2)
LISTS = """
version: 1
sources:
  - topics: [t]
    format: json
    each: rows
    when: [{path: kind, not-in: [other]}]
    visitor: {mbox3rdPartyId: id}
    attributes: {tier: tier}
"""
BY_SCHEMA = """
version: 1
sources:
  - topics: [t]
    format: json-schema
    key: format
    visitor: {mbox3rdPartyId: id}
    attributes: {tier: tier}
"""


def reader(mapping: str, **how: Any) -> EventReader:
    """Of topic t by this mapping."""
    return event_reader(["t"], "json", load(mapping), nulls=Nulls.DROP, **how)


def test_a_record_of_several_changes_is_done_when_all_of_them_are() -> None:
    """Wrong design: the offset closes with the first of them, and a crash loses the others."""

    async def main() -> None:
        log = FakeLog()
        log.append(b'{"rows": [{"id": "a", "tier": "x"}, {"id": "b", "tier": "y"}, {"id": "a", "tier": "z"}]}')
        answers = {"b": Answer(Verdict.UNAVAILABLE, "HTTP 503")}
        sender = FakeSender(lambda visitor, *_: (answers.get(visitor, Answer(Verdict.ACCEPTED)), 0.01))
        async with Bench(log, sender, reader=reader(LISTS), linger=0.0, commit_interval=0.5) as bench:
            await asyncio.sleep(5.0)
            assert sender.profiles == {"a": {"tier": "z"}}
            assert log.committed.get(P0, 0) == 0
            assert bench.done(Done.ACCEPTED) == 2
            assert bench.pending == 1
            answers.clear()
            await bench.settle()
        assert log.committed[P0] == 1
        assert sender.profiles == {"a": {"tier": "z"}, "b": {"tier": "y"}}
        assert bench.pipeline.state.counters.events_consumed == 3

    run(main())


def test_an_item_that_is_refused_is_a_letter_by_itself() -> None:
    """Wrong design: one bad row makes a dead letter of the good ones, or of the record without saying which row."""

    async def main() -> None:
        log = FakeLog()
        headers = [("trace", b"1"), ("trace", b"2"), ("none", None)]
        value = b'{"rows": [{"id": "a", "tier": "x"}, {"tier": "y"}, {"kind": "other"}, {"id": "c", "tier": [1]}]}'
        log.append(value, key=b"k", headers=headers)
        async with Bench(log, reader=reader(LISTS), linger=0.0) as bench:
            await bench.settle()
            letters = sorted(bench.letters.letters, key=lambda letter: letter.item or 0)
            assert [(it.item, it.value, it.key, it.headers, it.stage, it.is_made) for it in letters] == [
                (place, value, b"k", headers, Stage.DECODE, False) for place in (1, 3)
            ]
            assert [it.reason.split(" ")[0] for it in letters] == ["id", "tier"]
            outcomes = {how: bench.done(how) for how in (Done.ACCEPTED, Done.SKIPPED, Done.DEAD_LETTERED)}
            assert outcomes == {Done.ACCEPTED: 1, Done.SKIPPED: 1, Done.DEAD_LETTERED: 2}
            assert bench.pipeline.state.counters.events_skipped == {("t", "kind not-in other"): 1}
        assert log.committed[P0] == 1

    run(main())


def test_a_rejected_change_of_a_list_becomes_an_event_that_says_who_wrote_it() -> None:
    """The record has other changes, which were accepted: its replay as it came would send them again."""

    async def main() -> None:
        log = FakeLog()
        log.append(b'{"rows": [{"id": "a", "tier": "x"}, {"id": "b", "tier": "y"}]}', headers=[("h", b"1")])
        refused = Answer(Verdict.REJECTED, "HTTP 400")
        sender = FakeSender(lambda visitor, *_: (refused if visitor == "b" else Answer(Verdict.ACCEPTED), 0.01))
        async with Bench(log, sender, reader=reader(LISTS), linger=0.0) as bench:
            await bench.settle()
            (letter,) = bench.letters.letters
        assert (letter.value, letter.is_made, letter.headers) == (event("b", tier="y"), True, ())

    run(main())


def test_a_rejected_event_without_a_list_is_a_letter_as_it_came_with_all_its_headers() -> None:
    """A CloudEvent in binary form is nothing without its headers."""

    async def main() -> None:
        log = FakeLog()
        mapping = LISTS.replace("    each: rows\n", "")
        log.append(b'{"id": "b", "tier": "y"}', key=b"k", headers=[("h", b"1")])
        sender = FakeSender(lambda *_: (Answer(Verdict.REJECTED, "HTTP 400"), 0.01))
        async with Bench(log, sender, reader=reader(mapping), linger=0.0) as bench:
            await bench.settle()
            (letter,) = bench.letters.letters
        assert (letter.key, letter.value) == (b"k", b'{"id": "b", "tier": "y"}')
        assert (letter.headers, letter.is_made, letter.item) == ([("h", b"1")], False, None)

    run(main())


def test_what_the_connector_wrote_itself_is_read_as_its_headers_say() -> None:
    """A replayed event of version 1, and a record that is replayed for one of its items."""

    async def main() -> None:
        log = FakeLog()
        log.append(event("a", tier="made"), headers=[(MADE_HEADER, MADE)])
        value = b'{"rows": [{"id": "b", "tier": "old"}, {"id": "c", "tier": "item"}]}'
        log.append(value, headers=[(ITEM_HEADER, b"1")])
        async with Bench(log, reader=reader(LISTS), linger=0.0) as bench:
            await bench.settle()
            assert bench.sender.profiles == {"a": {"tier": "made"}, "c": {"tier": "item"}}
            assert bench.pipeline.state.counters.events_skipped == {("t", "kind not-in other"): 0}

    run(main())


@pytest.mark.parametrize("value", [None, b"null", b'{"rows": []}', b'{"rows": null}', b"{}"])
def test_a_record_that_asks_for_nothing_is_skipped(value: bytes | None) -> None:
    """A tombstone, a null, and a list without an item: each is one event, skipped, and holds nothing back."""

    async def main() -> None:
        log = FakeLog()
        log.append(value)
        async with Bench(log, reader=reader(LISTS), linger=0.0) as bench:
            await bench.settle()
            assert bench.done(Done.SKIPPED) == 1
        assert log.committed[P0] == 1

    run(main())


def test_an_event_without_a_visitor_is_skipped_where_that_is_wanted() -> None:
    """EVENT_UNMAPPED=skip, and it is counted under a name of its own."""

    async def main() -> None:
        log = FakeLog()
        log.append(b'{"rows": [{"tier": "x"}]}')
        async with Bench(log, reader=reader(LISTS, unmapped=Unmapped.SKIP), linger=0.0) as bench:
            await bench.settle()
            assert bench.pipeline.state.counters.events_skipped[("t", NO_VISITOR)] == 1

    run(main())


def test_a_wrong_mapping_stops_the_process_before_a_whole_topic_is_dead_letters() -> None:
    """The guard counts refused items; nothing is committed past those that were not written away."""

    async def main() -> None:
        log = FakeLog()
        for _ in range(9):
            log.append(b'{"rows": [{"user": 1}, {"user": 2}]}')
        bench = Bench(log, reader=reader(LISTS), max_dead_letters_in_a_row=5)
        await bench.start()
        with pytest.raises(Fatal, match="6 dead letters in a row"):
            await bench.ended()
        assert log.committed.get(P0, 0) == 0

    run(main())


class Registry:
    """What a registry gives now; an id that is not there cannot be had."""

    def __init__(self) -> None:
        self.there: set[int | str] = set()
        self.asked = 0

    async def load(self, schema_id: SchemaId) -> Schema | Failure:
        """One attempt."""
        await asyncio.sleep(0.05)
        self.asked += 1
        return Schema(schema_id, SchemaKind.JSON, "{}") if schema_id.value in self.there else Unreachable("no route")

    def store(self) -> SchemaStore:
        """Its schemas."""
        clock = asyncio.get_running_loop().time
        return SchemaStore(self.load, max_schemas=10, clock=clock, rng=random.Random(1))


def framed(visitor: str, tier: str, schema: int) -> dict[str, Any]:
    """Key and value of a record whose key is written by this schema."""
    key = b"\0" + schema.to_bytes(4, "big") + b'"k"'
    return {"key": key, "value": b'\0\0\0\0\1{"id": "%s", "tier": "%s"}' % (visitor.encode(), tier.encode())}


def test_a_missing_schema_holds_its_partition_back_and_no_other() -> None:
    """Wrong designs: the topic is emptied into the dead letters; or the records behind it go first."""

    async def main() -> None:
        registry = Registry()
        registry.there = {1}
        log = FakeLog()
        for partition, schema, visitor, tier in (
            (0, 1, "a", "old"),
            (0, 2, "a", "new"),
            (0, 1, "a", "newest"),
            (1, 1, "b", "x"),
        ):
            log.append(partition=partition, **framed(visitor, tier, schema))
        store = registry.store()
        with captured_logs() as logs:
            async with Bench(
                log, reader=reader(BY_SCHEMA, schemas=store), schemas=store, linger=0.0, commit_interval=0.5
            ) as bench:
                await asyncio.sleep(120.0)
                assert bench.sender.profiles == {"a": {"tier": "old"}, "b": {"tier": "x"}}
                assert (log.committed[P0], log.committed[P1]) == (1, 1)
                assert bench.letters.letters == []
                held = bench.pipeline.schema_holds
                assert [(name, hold.offset, hold.schema) for name, hold in held.held.items()] == [(P0, 1, SchemaId(2))]
                assert held.reasons == {P0: "no route"}
                log.append(partition=1, **framed("b", "y", 1))
                bench.source.feed()
                await asyncio.sleep(1.0)
                assert bench.sender.profiles["b"] == {"tier": "y"}
                registry.there.add(2)
                await bench.settle()
                assert held.held == {}
            assert [sent["tier"] for _, visitor, sent in bench.sender.sent if visitor == "a"][-1] == "newest"
        assert log.committed[P0] == 3
        told = [(it["event"], it.get("reason"), it["offset"]) for it in logs.lines if it["event"].startswith("schema_")]
        assert told == [("schema_missing", "no route", 1), ("schema_arrived", None, 1)]

    run(main())


def test_a_partition_that_goes_takes_its_wait_along() -> None:
    """Nobody else waits for the schema, so it is not asked for any more; the next owner begins at the record."""

    async def main() -> None:
        registry = Registry()
        log = FakeLog()
        log.append(**framed("a", "x", 7))
        log.append(partition=1, **framed("b", "x", 7))
        store = registry.store()
        async with Bench(log, reader=reader(BY_SCHEMA, schemas=store), schemas=store, linger=0.0) as bench:
            await asyncio.sleep(5.0)
            await bench.source.revoke(P0)
            assert store.waiting
            bench.source.lose(P1)
            await asyncio.sleep(0.1)
            assert (store.waiting, bench.pipeline.schema_holds.held) == ({}, {})
            asked = registry.asked
            await asyncio.sleep(300.0)
            assert registry.asked == asked
            registry.there.add(7)
            bench.source.assign(P0, P1)
            await bench.settle()
            assert bench.sender.profiles == {"a": {"tier": "x"}, "b": {"tier": "x"}}

    run(main())


def test_a_stop_does_not_wait_for_a_schema() -> None:
    """What waits was not taken: the next owner reads it."""

    async def main() -> None:
        registry = Registry()
        log = FakeLog()
        log.append(**framed("a", "x", 7))
        store = registry.store()
        bench = Bench(log, reader=reader(BY_SCHEMA, schemas=store), schemas=store, linger=0.0)
        await bench.start()
        await asyncio.sleep(5.0)
        began = asyncio.get_running_loop().time()
        await bench.stop()
        assert asyncio.get_running_loop().time() - began < 2.0
        assert log.committed.get(P0, 0) == 0
        await store.close()

    run(main())


def test_another_mapping_does_not_believe_what_was_done_under_the_one_before() -> None:
    """The notes beside an offset hold for the rules that they were made under: what was skipped may count now."""
    mappings = [LISTS, LISTS.replace("other", "others"), LISTS.replace("tier: tier", "tier: level")]
    rules = {reader(mapping).rules for mapping in mappings} | {reader(LISTS, unmapped=Unmapped.SKIP).rules}
    assert len(rules) == 4
    assert reader(LISTS + "# a comment\n").rules == reader(LISTS).rules
    assert event_reader(["t"], "json", None, nulls=Nulls.DROP).rules == "json 3 drop"
