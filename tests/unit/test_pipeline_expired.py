"""A change that is too old when its turn comes takes no call; what is newer goes, and nothing else is lost."""

import asyncio
import json
from typing import Any

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.coalescer import Order
from connector.delivery.counters import Done
from connector.delivery.offset_tracker import TopicPartition
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, event, event_at
from tests.support.virtual_time import run
from tests.unit.test_pipeline_mapped import LISTS, reader

P0 = TopicPartition("t", 0)
FINE = Answer(Verdict.ACCEPTED)
MAX_AGE = 100.0


def _bench(log: FakeLog, sender: FakeSender | None = None, **config: Any) -> Bench:
    """Return a replica whose wall clock is the loop's: a record's timestamp is the loop's time."""
    loop = asyncio.get_running_loop()
    given: dict[str, Any] = {"linger": 0.0, "max_event_age": MAX_AGE, **config}
    return Bench(log, sender, wall=loop.time, **given)


def _append(bench: Bench, value: bytes, at: float) -> None:
    bench.log.append(value, timestamp_ms=int(at * 1_000))
    bench.source.feed()


def _sent(bench: Bench) -> list[dict[str, str]]:
    return [attributes for _, _, attributes in bench.sender.sent]


def test_what_is_too_old_when_it_is_read_takes_no_call() -> None:
    """A backlog of a long outage is passed over, committed and counted; the log says so once."""

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        with captured_logs() as logs:
            async with _bench(FakeLog({P0: []})) as bench:
                for number in range(50):
                    _append(bench, event(f"v{number}", a="old"), now - MAX_AGE - 1)
                _append(bench, event("v1", a="new"), now)
                await bench.settle(60)
                assert (bench.done(Done.EXPIRED), bench.done(Done.ACCEPTED)) == (50, 1)
        assert _sent(bench) == [{"a": "new"}]
        assert bench.log.committed == {P0: 51}
        (line,) = [line for line in logs.lines if line["event"] == "events_expired"]
        assert line["max_age_seconds"] == MAX_AGE

    run(main())


@pytest.mark.parametrize("order", list(Order))
def test_what_grows_too_old_in_an_outage_is_not_sent_after_it(order: Order) -> None:
    """Of an update only what is too old is left out: what came later of the same visitor goes."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
            return (FINE if loop.time() > began + 150 else Answer(Verdict.UNAVAILABLE, "HTTP 503")), 0.01

        sender = FakeSender(behave)
        async with _bench(FakeLog({P0: []}), sender, order=order) as bench:
            _append(bench, event("v", a="1", b="1"), loop.time())
            _append(bench, event("w", a="1"), loop.time())
            await asyncio.sleep(90)
            _append(bench, event("v", a="2"), loop.time())
            await bench.settle(300)
            assert (bench.done(Done.ACCEPTED), bench.done(Done.EXPIRED)) == (2, 1)
        assert sender.profiles == {"v": {"a": "2"}}

    run(main())


def test_an_event_says_itself_how_old_it_is() -> None:
    """`occurredAt` counts, and the record's timestamp only without it."""

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        async with _bench(FakeLog({P0: []})) as bench:
            _append(bench, event_at("v", "1970-01-01T00:00:00Z", a="old"), now)
            _append(bench, event_at("w", "2070-01-01T00:00:00Z", a="new"), now - 10 * MAX_AGE)
            await bench.settle(60)
        assert bench.sender.profiles == {"w": {"a": "new"}}

    run(main())


def test_a_record_without_a_time_is_never_too_old() -> None:
    """A topic of the oldest message format has no timestamps: what cannot be told is sent."""

    async def main() -> None:
        async with _bench(FakeLog({P0: []})) as bench:
            bench.log.append(event("v", a="x"), timestamp_ms=-1)
            bench.source.feed()
            await bench.settle(60)
        assert bench.sender.profiles == {"v": {"a": "x"}}

    run(main())


def test_a_late_event_does_not_take_the_newer_value_along() -> None:
    """Wrong design: it is merged over what waits, found too old at its turn, and neither is sent."""

    async def main() -> None:
        now = asyncio.get_running_loop().time()
        async with _bench(FakeLog({P0: []}), linger=5.0) as bench:
            _append(bench, event("v", a="new"), now)
            _append(bench, event_at("v", "1970-01-01T00:00:00Z", a="late"), now)
            await bench.settle(60)
        assert bench.sender.profiles == {"v": {"a": "new"}}

    run(main())


def test_what_was_sent_and_not_answered_may_expire_before_its_retry() -> None:
    """It may have been applied: its record is done by the rule, and a value that comes later goes whatever it is."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return (Answer(Verdict.TIMEOUT, "no answer"), 110.0) if number == 2 else (FINE, 0.01)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with _bench(FakeLog({P0: []}), FakeSender(behave), unchanged_seconds=86_400.0) as bench:
            for value in "ABA":
                _append(bench, event("v", a=value), loop.time())
                await asyncio.sleep(1 if value == "A" else 130)
            await bench.settle(60)
            assert bench.done(Done.EXPIRED) == 1
        assert [values["a"] for values in _sent(bench)] == ["A", "B", "A"]

    run(main())


def test_an_item_of_a_list_that_is_too_old_is_passed_over_by_itself() -> None:
    """A batch that was kept back for days holds rows of all ages; what is read by a mapping has its own time."""
    mapping = LISTS.replace("attributes:", "occurredAt: {path: at, as: epoch-s}\n    attributes:")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        old, new = int(loop.time() - 2 * MAX_AGE), int(loop.time())
        rows = [
            {"id": "a", "at": old, "tier": "x"},
            {"id": "a", "at": new, "tier": "y"},
            {"id": "b", "at": old, "tier": "z"},
        ]
        async with _bench(FakeLog({P0: []}), reader=reader(mapping)) as bench:
            _append(bench, json.dumps({"rows": rows}).encode(), loop.time())
            await bench.settle(60)
            assert (bench.done(Done.EXPIRED), bench.done(Done.ACCEPTED)) == (2, 1)
        assert bench.sender.profiles == {"a": {"tier": "y"}}
        assert bench.log.committed == {P0: 1}

    run(main())
