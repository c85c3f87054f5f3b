"""Classes in a whole pipeline: what matters more goes first, has the quota that is kept for it, and starves nobody."""

import asyncio
from typing import Any

import msgspec
import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.events.change import Priority
from connector.quota.policy import QuotaPolicy
from connector.quota.records import Spend, encode
from tests.support.bench import Bench
from tests.support.fakes import FakeLog, FakeSender, names
from tests.support.ledger import EPOCH, FakeLedgerLog, FakeLedgerTopic
from tests.support.virtual_time import run

(P0,) = names(1)
DAY = QuotaPolicy(limit=10_000, window=86_400.0, horizon=3_600.0, request_timeout=10.0)
LINGER = 2.0


def _event(visitor: str, priority: str | None, **profile: object) -> bytes:
    return msgspec.json.encode({"mbox3rdPartyId": visitor, "priority": priority, "profile": profile})


def _append(bench: Bench, visitor: str, priority: str | None, **profile: object) -> None:
    bench.log.append(_event(visitor, priority, **(profile or {"a": 1})))
    bench.source.feed()


def _bench(topic: FakeLedgerTopic, sender: FakeSender | None = None, **more: Any) -> Bench:
    given: dict[str, Any] = {"linger": LINGER, "quota": DAY, "updates_per_second": 200.0, **more}
    return Bench(FakeLog({P0: []}), sender, ledger=FakeLedgerLog(topic), **given)


def _filled(share: float) -> FakeLedgerTopic:
    """Return a ledger in which others have booked this share of the window."""
    topic = FakeLedgerTopic()
    topic.append(encode(Spend(int(share * DAY.limit), 50_000.0, "the day before")))
    return topic


async def _sent_within(bench: Bench, visitor: str, seconds: float) -> float:
    """Wait until an update of the visitor is sent; returns after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while all(sent[1] != visitor for sent in bench.sender.sent):
        assert loop.time() < began + seconds, f"{visitor} is not sent within {seconds} s"
        await asyncio.sleep(0.01)
    return loop.time() - began


@pytest.mark.parametrize("low_share", [1.0, 0.9])
def test_high_goes_at_once_while_the_window_is_nearly_full_and_low_waits(low_share: float) -> None:
    """Within its linger and a second, though the quota's pace is an update in four seconds for the others."""

    async def main() -> None:
        bench = _bench(_filled(0.9), quota_low_share=low_share)
        async with bench:
            for number in range(2_000):
                _append(bench, f"low{number}", "low")
            await asyncio.sleep(30)
            for number in range(20):
                _append(bench, f"high{number}", "high")
                await _sent_within(bench, f"high{number}", LINGER + 1)
                await asyncio.sleep(7)
            low = sum(visitor.startswith("low") for _, visitor, _ in bench.sender.sent)
            assert low == 0 if low_share < 1 else 20 <= low <= 100, "low has what the pace leaves it"

    run(main())


@pytest.mark.no_cover
def test_low_and_normal_stop_at_their_shares_to_the_last_request() -> None:
    """What waits goes on merging and is not dropped; what the window frees is theirs again."""

    async def main() -> None:
        sender = FakeSender()
        terms = QuotaPolicy(limit=100, window=600.0, horizon=25.0, request_timeout=10.0)
        bench = _bench(FakeLedgerTopic(), sender, quota=terms, quota_low_share=0.5, quota_normal_share=0.8, linger=0.0)
        async with bench:
            for number in range(90):
                _append(bench, f"low{number}", "low", a=1)
            await asyncio.sleep(60)
            assert len(sender.sent) == 50
            for number in range(90):
                _append(bench, f"low{number}", "low", a=2)
                _append(bench, f"normal{number}", None)
            await asyncio.sleep(60)
            assert len(sender.sent) == 80
            state = bench.pipeline.state
            assert [state.coalescer.waiting_of(each) for each in Priority] == [0, 60, 90]
            assert state.overdue == 0, "what is kept back on purpose is no standstill"
            for number in range(20):
                _append(bench, f"high{number}", "high")
            await asyncio.sleep(30)
            assert len(sender.sent) == 100
            await bench.settle(3_600)
            assert bench.done(Done.ACCEPTED) == 90 + 180 + 20
        assert len(sender.sent) == 50 + 90 + 90 + 20
        assert sender.profiles["low7"] == {"a": "2"}

    run(main())


@pytest.mark.parametrize("ahead", [-60_000.0, 0.0, 60_000.0])
def test_a_wall_clock_that_is_wrong_lends_no_request(ahead: float) -> None:
    """Until a record of its own tells a replica the brokers' time, a window may look empty that is full."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        bench = _bench(_filled(0.9), quota_low_share=0.5, linger=0.0, wall=lambda: EPOCH + loop.time() + ahead)
        async with bench:
            for number in range(50):
                _append(bench, f"low{number}", "low")
            await asyncio.sleep(600)
            assert bench.sender.sent == []

    run(main())


def test_an_update_has_the_highest_class_of_its_events_also_after_a_retry() -> None:
    """A high event that merges into a low update takes it along; what failed keeps its class."""

    def behave(_visitor: str, _attributes: dict[str, str], number: int) -> tuple[Answer, float]:
        return Answer(Verdict.UNAVAILABLE, "HTTP 500") if number == 1 else Answer(Verdict.ACCEPTED), 0.01

    async def main() -> None:
        bench = _bench(_filled(0.95), FakeSender(behave), quota_low_share=0.5)
        async with bench:
            _append(bench, "v", "low", a=1)
            _append(bench, "w", "low", a=1)
            await asyncio.sleep(60)
            assert bench.sender.sent == []
            _append(bench, "v", "high", b=2)
            assert await _sent_within(bench, "v", 1.0) < 1.0, "its linger is over"
            await asyncio.sleep(10)
        assert bench.sender.profiles == {"v": {"a": "1", "b": "2"}}

    run(main())


@pytest.mark.no_cover
def test_low_has_its_turns_while_more_of_high_comes_than_can_go() -> None:
    """Wrong design: strict order of classes, in which low starves for as long as a campaign lasts."""

    async def main() -> None:
        bench = _bench(FakeLedgerTopic(), quota=None, updates_per_second=10.0, linger=0.0, priority_aging=60.0)
        async with bench:
            for number in range(100):
                _append(bench, f"low{number}", "low")
            for number in range(6_000):
                _append(bench, f"high{number}", "high")
                if number % 20 == 0:
                    await asyncio.sleep(1)
            low = [at for at, visitor, _ in bench.sender.sent if visitor.startswith("low")]
            assert 20 <= len(low) <= 100
            assert len(low) <= len(bench.sender.sent) / 8 + 1

    run(main())


def test_a_dead_letter_made_of_several_events_keeps_their_class() -> None:
    """Else a replay would send a funded loan behind the newsletters."""

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return Answer(Verdict.REJECTED, "HTTP 400"), 0.01

    async def main() -> None:
        bench = _bench(FakeLedgerTopic(), FakeSender(behave))
        async with bench:
            _append(bench, "v", "high", a=1)
            _append(bench, "v", "low", b=2)
            await bench.settle(60)
        (letter,) = bench.letters.letters
        assert msgspec.json.decode(letter.value or b"")["priority"] == "high"

    run(main())
