"""The quota in a whole pipeline: nothing is sent without a lease, every attempt spends, and the end returns leases."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.errors import Fatal
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Reserve, Return, Spend, encode
from tests.support.bench import Bench
from tests.support.captured_logs import captured_logs
from tests.support.fakes import FakeLog, FakeSender, event, names
from tests.support.ledger import FakeLedgerLog, FakeLedgerTopic
from tests.support.virtual_time import run

(P0,) = names(1)
TERMS = QuotaPolicy(limit=100, window=60.0, horizon=2.5, request_timeout=10.0)
ROOMY = QuotaPolicy(limit=100_000, window=3_600.0, horizon=1.0, request_timeout=10.0)
FINE = Answer(Verdict.ACCEPTED)


def _log(visitors: int, first: int = 0) -> FakeLog:
    log = FakeLog()
    for number in range(first, first + visitors):
        log.append(event(f"v{number}", a=number))
    return log


def _bench(log: FakeLog, topic: FakeLedgerTopic, *, terms: QuotaPolicy = TERMS, **more: Any) -> Bench:
    return Bench(log, ledger=FakeLedgerLog(topic), quota=terms, linger=0.0, name="host", **more)


async def _until(holds: Callable[[], bool], seconds: float = 600.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


def _fullest(sender: FakeSender, window: float) -> int:
    times = [when for when, *_ in sender.sent]
    return max(sum(when <= other < when + window for other in times) for when in times)


def test_nothing_is_sent_without_a_grant() -> None:
    """While the ledger cannot be read the free quota is unknown; a start without Kafka must not spend."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        topic.down = True
        async with _bench(_log(50), topic) as bench:
            await asyncio.sleep(300)
            assert bench.sender.sent == []
            quota = bench.pipeline.quota
            assert quota is not None
            # Not 0, which a forecast would read as an empty window.
            assert (quota.known, quota.status()["read"]) == (None, False)
            topic.come_back()
            await bench.settle(60)
        assert bench.done(Done.ACCEPTED) == 50

    run(main())


def test_calls_of_others_are_counted() -> None:
    """A starting replica reads the day first: counting from zero, each restart would send a quota again."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        topic.append(encode(Spend(95, 50.0, "a script")))
        async with _bench(_log(50), topic) as bench:
            await asyncio.sleep(45)
            assert len(bench.sender.sent) == 5
            await bench.settle(60)

    run(main())


@pytest.mark.no_cover
def test_no_window_is_over_the_limit_and_the_backlog_continues_as_it_rolls() -> None:
    """Limits by the calendar, or by a bucket that starts full, send twice the quota around their edge."""

    async def main() -> None:
        async with _bench(_log(450), FakeLedgerTopic()) as bench:
            await bench.settle(400)
        assert _fullest(bench.sender, TERMS.window) <= TERMS.limit
        assert len(bench.sender.sent) == 450

    run(main())


@pytest.mark.no_cover
def test_two_replicas_share_one_quota() -> None:
    """Each with its own limit would send it twice."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        sender = FakeSender()
        async with _bench(_log(150), topic, sender=sender), _bench(_log(150, 500), topic, sender=sender, seed=1):
            await asyncio.sleep(50)
            assert 90 <= len(sender.sent) <= 100
            await asyncio.sleep(150)
        assert _fullest(sender, TERMS.window) <= TERMS.limit
        assert len(sender.sent) == 300

    run(main())


def test_every_attempt_spends() -> None:
    """Retries, probes and each request of a split update are calls; a count of updates would be too low."""

    async def main() -> None:
        log = _log(30)
        log.append(event("large", **{f"name{number}": "x" * 5_000 for number in range(30)}))

        def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
            if number <= 40:
                return Answer(Verdict.UNAVAILABLE, "HTTP 502"), 0.01
            return (Answer(Verdict.THROTTLED, "HTTP 503") if number % 7 == 0 else FINE), 0.01

        topic = FakeLedgerTopic()
        async with _bench(log, topic, terms=ROOMY, sender=FakeSender(behave)) as bench:
            await bench.settle()
        sent = len(bench.sender.sent)
        assert sent > 75
        assert bench.pipeline.state.counters.updates_accepted == 31
        assert topic.ledger.used == sent

    run(main())


def test_a_drain_returns_unspent_leases() -> None:
    """A lease that a stopped replica keeps is lost to the others for a day."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        async with _bench(_log(500), topic, terms=ROOMY, updates_per_second=20.0) as bench:
            await asyncio.sleep(5.03)
            holder = bench.pipeline.quota
            assert holder is not None
            assert holder.holder.in_hand
        assert topic.ledger.used == len(bench.sender.sent)
        assert isinstance(topic.records[-1], Return)

    run(main())


def test_while_the_ledger_is_unavailable_leases_in_hand_are_spent_and_no_more() -> None:
    """Stopping at once would waste a lease; spending past its end would take the quota of others."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        with captured_logs() as logs:
            async with _bench(_log(500), topic, terms=ROOMY, updates_per_second=20.0) as bench:
                await asyncio.sleep(20)
                topic.down = True
                topic.append(None)
                quota = bench.pipeline.quota
                assert quota is not None
                before, in_hand = len(bench.sender.sent), quota.holder.in_hand
                await asyncio.sleep(100)
                sent = len(bench.sender.sent) - before
                assert 0 < sent <= in_hand
                topic.come_back()
                await bench.settle(60)
            assert "quota_ledger_delayed" in {line["event"] for line in logs.lines}

    run(main())


def test_an_idle_replica_returns_its_leases_and_an_urgent_change_waits_for_one_round_trip() -> None:
    """It holds nothing, and its delay is only the ledger's."""

    async def main() -> None:
        log, topic = _log(1), FakeLedgerTopic()
        async with _bench(log, topic, terms=ROOMY) as bench:
            await asyncio.sleep(60)
            assert topic.ledger.used == 1
            records = len(topic.records)
            await asyncio.sleep(600)
            assert len(topic.records) == records
            log.append(event("urgent", a=1))
            bench.source.feed()
            began = asyncio.get_running_loop().time()
            await _until(lambda: len(bench.sender.sent) == 2)
            assert asyncio.get_running_loop().time() - began < 0.1

    run(main())


@pytest.mark.no_cover
def test_while_leases_are_free_no_update_waits_for_the_ledger() -> None:
    """Leases are requested ahead: at the rate the sends stay evenly spaced through every change of a lease."""

    async def main() -> None:
        terms = QuotaPolicy(limit=1_000_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
        async with _bench(_log(4_000), FakeLedgerTopic(), terms=terms, updates_per_second=20.0) as bench:
            await bench.settle(400)
        times = [when for when, *_ in bench.sender.sent][10:]
        assert max(later - earlier for earlier, later in pairwise(times)) < 0.075

    run(main())


@pytest.mark.no_cover
def test_the_log_reports_how_the_window_fills_and_when_sending_resumes() -> None:
    """At each level once, and again only after it fell: an hour at the limit must not log a thousand lines."""

    async def main() -> None:
        with captured_logs() as logs:
            async with _bench(_log(250), FakeLedgerTopic()) as bench:
                await bench.settle(300)
                await asyncio.sleep(200)
            said = [line for line in logs.lines if line["event"].startswith("quota_")]
        kinds = [line["event"] for line in said]
        assert kinds[0] == "quota_ledger_read"
        nearly = [line["percent"] for line in said if line["event"] == "quota_nearly_used"]
        assert nearly
        assert all(80 <= percent <= 100 for percent in nearly)
        assert "quota_used_up" in kinds
        assert kinds.index("quota_used_up") < kinds.index("quota_resumed")
        used_up = said[kinds.index("quota_used_up")]
        assert (used_up["used"], used_up["limit"]) == (100, 100)
        assert 0 < used_up["next_free_seconds"] <= TERMS.counted
        assert len(said) < 25

    run(main())


def test_at_the_limit_no_stop_is_logged_while_sending_continues() -> None:
    """The last lease of a full window is spent as usual; a replica with leases in hand or no updates does not wait."""

    async def main() -> None:
        with captured_logs() as logs:
            async with _bench(_log(100), FakeLedgerTopic()) as bench:
                await bench.settle(300)
                await asyncio.sleep(1)
        assert len(bench.sender.sent) == TERMS.limit
        assert {"quota_used_up", "quota_resumed"} & {line["event"] for line in logs.lines} == set()

    run(main())


def test_a_record_of_a_later_version_ends_the_process() -> None:
    """Its fold is unknown here: a replica that continued might spend a quota granted to another."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        bench = _bench(_log(1_000), topic, terms=ROOMY, updates_per_second=20.0)
        await bench.start()
        await asyncio.sleep(5)
        topic.append(b'{"type":"borrow","v":2}')
        with pytest.raises(Fatal, match="every replica") as raised:
            await bench.ended()
        assert raised.value.failure.event == "quota_ledger_unusable"
        assert len(bench.sender.sent) < 150

    run(main())


def test_a_ledger_that_is_lost_ends_the_process() -> None:
    """A deleted topic leaves the sent calls unknown."""

    async def main() -> None:
        ledger = FakeLedgerLog(FakeLedgerTopic())
        bench = Bench(_log(1_000), ledger=ledger, quota=ROOMY, updates_per_second=20.0)
        await bench.start()
        await asyncio.sleep(5)
        ledger.reader.failed(Fatal("quota_ledger_unusable", "it is gone", "make it again"))
        with pytest.raises(Fatal, match="it is gone"):
            await bench.ended()

    run(main())


def test_foreign_records_are_ignored() -> None:
    """A test message in the topic must stop no replica."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        for value in (None, b"hello", b"{}"):
            topic.append(value)
        async with _bench(_log(20), topic) as bench:
            await bench.settle(60)

    run(main())


def test_the_status_has_the_quotas_numbers() -> None:
    """Used, free, what becomes free and when, what is in hand, the pace: numbers and no names."""

    async def main() -> None:
        async with _bench(_log(40), FakeLedgerTopic()) as bench:
            await bench.settle(60)
            quota = bench.pipeline.quota
            assert quota is not None
            status = quota.status()
            assert set(status) == {
                *("limit", "window_seconds", "used", "free", "next_free_seconds", "next_free_updates"),
                *("used_up_seconds", "history", "releases", "in_hand", "pace_per_second", "read", "horizon_seconds"),
                *("group_pace_per_second", "rate_per_second", "slowed_seconds", "used_forecast"),
            }
            assert status["read"]
            assert (status["limit"], status["window_seconds"]) == (100, 60.0)
            assert quota.used == status["used"] == 40 + quota.holder.in_hand

    run(main())


def test_a_lease_is_requested_with_what_every_reader_needs() -> None:
    """A fold that took limit or window from settings would differ during an upgrade."""

    async def main() -> None:
        topic = FakeLedgerTopic()
        async with _bench(_log(5), topic) as bench:
            await bench.settle(60)
        asked = next(record for record in topic.records if isinstance(record, Reserve))
        assert (asked.limit, asked.counted, asked.held, asked.name) == (100, TERMS.counted, TERMS.lease, "host")
        assert len(asked.holder) == 16

    run(main())


def test_two_holders_with_other_settings_on_one_ledger_are_reported() -> None:
    """With two windows only the shorter one holds, with two limits only the larger one."""

    async def main() -> list[dict[str, Any]]:
        topic = FakeLedgerTopic()
        other = replace(TERMS, limit=80, window=30.0)
        with captured_logs() as logs:
            async with _bench(_log(5), topic), _bench(_log(5, 500), topic, terms=other, seed=1):
                await asyncio.sleep(20)
        return [line for line in logs.lines if line["event"] == "quota_settings_differ"]

    told = run(main())
    seen = {
        (line["limit"], line["window_seconds"], line["holder_limit"], line["holder_window_seconds"]) for line in told
    }
    assert seen == {(100, 60.0, 80, 30.0), (80, 30.0, 100, 60.0)}
    assert all("QUOTA_WINDOW_SECONDS alike" in line["remedy"] and line["holder"] == "host" for line in told)


def test_holders_with_the_same_settings_are_not_reported() -> None:
    """Nor one of an older version, which does not write its window; nor one that asked long ago."""

    async def main() -> set[str]:
        topic = FakeLedgerTopic()
        topic.append(encode(Reserve("old", 1, 1, TERMS.limit, TERMS.counted, 1.0)))
        with captured_logs() as logs:
            async with _bench(_log(5), topic), _bench(_log(5, 500), topic, seed=1):
                await asyncio.sleep(20)
        return {line["event"] for line in logs.lines}

    assert "quota_settings_differ" not in run(main())
