"""Change data of a database through the pipeline: operations, snapshots, and a mapping that changes meanwhile."""

import asyncio
import json

import pytest

from connector.decoding import EventReader, event_reader
from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.events import Nulls
from connector.mapping import load
from tests.support.bench import Bench
from tests.support.fakes import FakeLog, FakeSender, names
from tests.support.virtual_time import run

(P0,) = names(1)
ROWS = """
version: 1
sources:
  - topics: [t]
    format: debezium
    when: [{path: op, in: [c, u]}]
    visitor: {mbox3rdPartyId: after.id}
    attributes: {tier: after.tier}
"""
SKIP = ("t", "op in c, u")
FINE, FAILS = Answer(Verdict.ACCEPTED), Answer(Verdict.UNAVAILABLE, own=True)


def reader(mapping: str) -> EventReader:
    """Of topic t by this mapping."""
    return event_reader(["t"], "json", load(mapping), nulls=Nulls.DROP)


def row(op: str, visitor: str, tier: str = "gold") -> bytes:
    """A change of one row; of a delete the row is in `before`."""
    state = {"id": visitor, "tier": tier}
    rows = {"before": state, "after": None} if op == "d" else {"before": None, "after": state}
    return json.dumps({"op": op, **rows, "source": {"table": "customers"}}).encode()


def test_only_the_operations_that_the_mapping_names_are_sent() -> None:
    """37. Deletes, snapshots, truncates, messages and the tombstone behind a delete are skipped, not buried."""

    async def main() -> None:
        log = FakeLog()
        for op in ("c", "u", "r", "d"):
            log.append(row(op, op))
        log.append(None, key=b"d")
        for more in ({"op": "t", "before": None, "after": None}, {"op": "m", "message": {"prefix": "p"}}):
            log.append(json.dumps(more).encode())
        async with Bench(log, reader=reader(ROWS), linger=0.0) as bench:
            await bench.settle()
            assert bench.sender.profiles == {"c": {"tier": "gold"}, "u": {"tier": "gold"}}
            assert bench.done(Done.SKIPPED) == 5
            assert bench.pipeline.state.counters.events_skipped[SKIP] == 4, "the tombstone is no event"
            assert bench.letters.letters == []
        assert log.committed[P0] == 7

    run(main())


def test_a_topic_of_schema_changes_stops_the_process_and_not_a_thousand_at_a_time() -> None:
    """38. Its topic was named by mistake: each record is refused by name, and the guard ends it."""

    async def main() -> None:
        log = FakeLog()
        for _ in range(20):
            log.append(b'{"source": {"server": "s"}, "databaseName": "crm", "ddl": "ALTER TABLE"}')
        bench = Bench(log, reader=reader(ROWS), max_dead_letters_in_a_row=5)
        await bench.start()
        with pytest.raises(Exception, match=r"6 dead letters in a row.*schema change"):
            await bench.ended()
        assert len(bench.letters.letters) <= 5

    run(main())


@pytest.mark.parametrize("wanted", ["c, u", "c, u, r"])
def test_a_snapshot_can_be_left_out_and_otherwise_keeps_the_rate(wanted: str) -> None:
    """40. Wrong designs: millions of rows are sent at the speed of the disk, or none of them can be left out."""

    async def main() -> None:
        log = FakeLog()
        for number in range(600):
            log.append(row("r", f"v{number}"))
        began = asyncio.get_running_loop().time()
        async with Bench(
            log, reader=reader(ROWS.replace("c, u", wanted)), linger=0.0, updates_per_second=20.0
        ) as bench:
            await bench.settle()
            seconds = asyncio.get_running_loop().time() - began
            if wanted == "c, u":
                assert (bench.sender.sent, bench.done(Done.SKIPPED)) == ([], 600)
                assert seconds < 2.0
            else:
                assert len(bench.sender.sent) == 600
                assert seconds > 600 / 20.0 - 2.0
        assert log.committed[P0] == 600

    run(main())


def test_what_was_skipped_under_the_mapping_before_is_sent_under_the_new_one() -> None:
    """44. An update is owed, so the commit's notes say that all behind it is done: it was, by other rules.

    The same mapping, written otherwise, believes them, and sends nothing again.
    """

    async def restarted(mapping: str) -> dict[str, int]:
        log = FakeLog()
        log.append(row("u", "stuck"))
        for number in range(50):
            log.append(row("u", f"sent-{number}"))
            log.append(row("r", f"skipped-{number}"))
        sender = FakeSender(lambda visitor, *_: (FAILS if visitor == "stuck" else FINE, 0.01))
        old, new = reader(ROWS), reader(mapping)
        async with Bench(log, sender, reader=old, rules=old.rules, linger=0.0, commit_interval=0.5) as first:
            await asyncio.sleep(3.0)
            assert (first.done(Done.ACCEPTED), first.done(Done.SKIPPED)) == (50, 50)
        assert log.committed[P0] == 0
        before, sender.behaviour = len(sender.sent), lambda *_: (FINE, 0.01)
        async with Bench(log, sender, reader=new, rules=new.rules, linger=0.0) as second:
            await second.settle()
            already_done = second.done(Done.ALREADY_DONE)
        return {"profiles": len(sender.profiles), "requests": len(sender.sent) - before, "already done": already_done}

    changed, same = ROWS.replace("c, u", "c, u, r"), "# the same\n" + ROWS.replace("c, u", "u, c")
    assert run(restarted(changed)) == {"profiles": 101, "requests": 101, "already done": 0}
    assert run(restarted(same)) == {"profiles": 51, "requests": 1, "already done": 50}
