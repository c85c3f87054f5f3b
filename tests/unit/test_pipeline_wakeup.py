"""The wake-up: a lost one is a pipeline that stalls with work to do."""

import asyncio

import pytest

from connector.pipeline.wakeup import WakeUp
from tests.support.virtual_time import run


def test_a_wake_up_wakes_all_waiters() -> None:
    """Waking only one would leave the drain asleep while a worker was served."""

    async def main() -> None:
        bell = WakeUp()
        waiters = [asyncio.create_task(bell.wait()) for _ in range(5)]
        await asyncio.sleep(0)
        bell.wake()
        await asyncio.wait_for(asyncio.gather(*waiters), 1)

    run(main())


def test_a_wait_ends_at_its_deadline() -> None:
    """Without a wake-up a wait ends on time and no earlier; else due updates would wait for the next event."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await WakeUp().wait(5.0)
        assert loop.time() - began == pytest.approx(5.0)

    run(main())


def test_a_wake_up_does_not_reach_later_waiters() -> None:
    """A wake-up is no state: a waiter checks before it waits, and a set flag would spin."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        bell = WakeUp()
        bell.wake()
        began = loop.time()
        await bell.wait(2.0)
        assert loop.time() - began == pytest.approx(2.0)

    run(main())


def test_a_waiter_that_rings_and_waits_again_is_not_woken_by_itself() -> None:
    """It serves those who waited at that moment; one that iterates over a growing set would never end."""

    async def main() -> None:
        bell = WakeUp()
        turns = 0

        async def worker() -> None:
            nonlocal turns
            while True:
                await bell.wait()
                turns += 1

        task = asyncio.create_task(worker())
        await asyncio.sleep(0)
        for _ in range(3):
            bell.wake()
            await asyncio.sleep(1)
        task.cancel()
        assert turns == 3

    run(main())


def test_a_cancelled_waiter_and_a_late_timer_break_nothing() -> None:
    """A waiter that was cancelled, or woken before its timer fired, breaks no later wake-up (InvalidStateError)."""

    async def main() -> None:
        bell = WakeUp()
        cancelled = asyncio.create_task(bell.wait(1.0))
        rung = asyncio.create_task(bell.wait(1.0))
        await asyncio.sleep(0)
        cancelled.cancel()
        bell.wake()
        await rung
        assert (await asyncio.gather(cancelled, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        await asyncio.sleep(2)
        again = asyncio.create_task(bell.wait())
        await asyncio.sleep(0)
        bell.wake()
        await asyncio.wait_for(again, 1)

    run(main())
