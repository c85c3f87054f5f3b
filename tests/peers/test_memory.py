"""How peers ran out of memory while their endpoint refused them: tests over hours of virtual time."""

import asyncio
import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connector.delivery.answer import Answer, Verdict
from connector.delivery.counters import Done
from connector.target.classify import classify
from tests.peers.judge import P0, Judge
from tests.support.bench import Bench, quiet
from tests.support.fakes import FakeLog, FakeSender, event
from tests.support.virtual_time import run

FINE = Answer(Verdict.ACCEPTED)
OURS = tracemalloc.Filter(inclusive=True, filename_pattern="*/connector/*")
BATCH = 100


@contextmanager
def _traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _held() -> int:
    """Bytes that the connector's own lines allocated and still hold, without those of the log and the fakes."""
    gc.collect()
    found = tracemalloc.take_snapshot().filter_traces([OURS])
    return sum(trace.size for trace in found.statistics("filename"))


@pytest.mark.parametrize("status", [429, 503])
def test_vector_17276_memory_is_flat_however_long_the_throttling(status: int) -> None:
    """Thread vectordotdev/vector #17276: a Kafka source before a sink that got 429 grew until it was killed.

    Catches a design that keeps consuming while the endpoint throttles, or keeps something for each attempt.
    """
    throttled = True

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(status, b"", "1", 0.0) if throttled else FINE), 0.02

    async def main() -> None:
        nonlocal throttled
        log, sender = FakeLog(), FakeSender(behave)
        Judge(log, sender)
        for number in range(1_500):
            log.append(event(f"v{number}", a=number))
        async with Bench(log, sender, batch=BATCH, max_visitors=500, max_in_flight=16) as bench:
            held = []
            for minute in range(20):
                for number in range(40):
                    log.append(event(f"v{minute}.{number}", a=number))
                bench.source.feed()
                await asyncio.sleep(60)
                assert len(bench.pipeline.state.coalescer) <= 500 + 2 * BATCH
                assert bench.pending <= 500 + 2 * BATCH
                assert bench.source.credits == 0, "no more batches are requested"
                if minute in (3, 19):
                    held.append(_held())
            assert held[1] <= 1.1 * held[0]
            assert held[1] <= 2_000 * bench.pending, "an update costs about a kilobyte"
            throttled = False
            await bench.settle(300)
        assert len(sender.profiles) == 1_500 + 20 * 40
        assert bench.letters.letters == []
        assert log.committed == {P0: 2_300}

    with quiet(), _traced():
        run(main())


def test_vector_17276_a_visitor_who_changes_all_day_is_one_update_and_no_queue() -> None:
    """Thread vectordotdev/vector #17276: what could not be sent was kept record by record.

    Catches a design in which a record that comes while its visitor waits is kept until it is sent itself.
    """
    throttled = True

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(429, b"", None, 0.0) if throttled else FINE), 0.02

    async def main() -> None:
        nonlocal throttled
        log, sender = FakeLog(), FakeSender(behave)
        Judge(log, sender)
        log.append(event("v0", a0=0))
        async with Bench(log, sender, batch=1_000, max_visitors=1_000) as bench:
            held = []
            for number in range(1, 16_000):
                log.append(event(f"v{number % 40}", **{f"a{number % 5}": number}))
                if number % 1_000 == 999:
                    bench.source.feed()
                    await asyncio.sleep(60)
                if number in (1_999, 15_999):
                    held.append(_held())
            assert bench.pending == 16_000
            assert len(bench.pipeline.state.coalescer) == 40
            assert held[1] <= held[0] + 20_000
            throttled = False
            await bench.settle(120)
        assert bench.done(Done.ACCEPTED) == 16_000
        assert log.committed == {P0: 16_000}

    with quiet(), _traced():
        run(main())


def test_vector_25212_what_waits_for_a_retry_does_not_make_room_for_more() -> None:
    """Thread vectordotdev/vector #25212: the retry was outside of the limit of concurrency, so batches piled up.

    Catches a design in which a refused update frees its slot and waits in a task of its own: with immediate
    answers, each retry would let the next update start, without a bound.
    """
    broken = True

    def behave(_visitor: str, _attributes: dict[str, str], _number: int) -> tuple[Answer, float]:
        return (classify(503, b"", None, 0.0) if broken else FINE), 0.0

    async def main() -> None:
        nonlocal broken
        log, sender = FakeLog(), FakeSender(behave)
        Judge(log, sender)
        for number in range(5_000):
            log.append(event(f"v{number}", a=number))
        before = len(asyncio.all_tasks())
        async with Bench(log, sender, batch=BATCH, max_visitors=500, max_in_flight=4, linger=0.0) as bench:
            for _ in range(720):
                await asyncio.sleep(5)
                assert bench.pipeline.state.gate.in_flight <= 4
                assert len(asyncio.all_tasks()) <= before + 4 + 10
                assert len(bench.pipeline.state.coalescer) <= 500 + 2 * BATCH
                assert bench.source.credits == 0
            assert len(sender.sent) <= 3_600 / 2 + 4 * 20, "only probes are sent"
            broken = False
            await bench.settle(60)
        assert len(sender.profiles) == 5_000
        assert bench.letters.letters == []

    with quiet():
        run(main())
