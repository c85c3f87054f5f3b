"""The shared time limit of attempts: each ends at its own time, and no other cancellation is swallowed."""

import asyncio

import pytest

from connector.target.deadlines import Deadlines
from tests.support.virtual_time import run


def test_each_ends_at_its_own_time_although_one_timer_serves_all() -> None:
    """A timer that is set for the first only would let the others run for ever; one for the last, too long."""

    async def main() -> None:
        deadlines = Deadlines(10.0)
        loop = asyncio.get_running_loop()

        async def attempt(begin: float, work: float) -> float:
            await asyncio.sleep(begin)
            start = loop.time()
            try:
                with deadlines:
                    await asyncio.sleep(work)
            except TimeoutError:
                return start - loop.time()
            return loop.time() - start

        begins = [0.0, 0.0, 1.0, 2.5, 2.5004, 9.9, 30.0]
        ran = await asyncio.gather(*(attempt(begin, work) for begin in begins for work in (0.5, 9.5, 99.0)))
        for index in range(0, len(ran), 3):
            assert ran[index : index + 3] == pytest.approx([0.5, 9.5, -10.0], abs=0.0011)

    run(main())


def test_an_attempt_that_ended_in_time_leaves_no_effective_timer() -> None:
    """A timer that outlives its attempt must not cancel the next one of the same task."""

    async def main() -> None:
        deadlines = Deadlines(10.0)
        for _ in range(5):
            with deadlines:
                await asyncio.sleep(7.0)
            await asyncio.sleep(4.0)

    run(main())


def test_a_task_can_continue_after_a_timeout() -> None:
    """Without `uncancel` every later `asyncio.timeout` of the task would misread its own cancellation."""

    async def main() -> None:
        deadlines = Deadlines(1.0)
        task = asyncio.current_task()
        assert task is not None
        for _ in range(3):
            with pytest.raises(TimeoutError), deadlines:
                await asyncio.sleep(5.0)
            assert task.cancelling() == 0
            await asyncio.sleep(5.0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await asyncio.sleep(5.0)

    run(main())


@pytest.mark.parametrize("first", ["the owner", "the deadline"])
def test_a_cancellation_from_outside_in_the_same_turn_wins(first: str) -> None:
    """A stop that coincides with the deadline must end the task, not be counted as a timeout."""

    async def main() -> None:
        deadlines = Deadlines(1.0)
        loop = asyncio.get_running_loop()

        async def attempt() -> None:
            if first == "the deadline":
                with deadlines:
                    loop.call_later(1.0, task.cancel)
                    await asyncio.sleep(5.0)
            else:
                loop.call_later(1.0, task.cancel)
                with deadlines:
                    await asyncio.sleep(5.0)

        task = asyncio.create_task(attempt())
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_a_plain_cancellation_passes() -> None:
    """Shutdown cancels attempts that have time left."""

    async def main() -> None:
        deadlines = Deadlines(10.0)

        async def attempt() -> None:
            with deadlines:
                await asyncio.sleep(5.0)

        task = asyncio.create_task(attempt())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_an_error_of_the_last_moment_is_not_hidden() -> None:
    """The attempt's own error says more than a timeout does."""

    async def main() -> None:
        deadlines = Deadlines(1.0)
        task = asyncio.current_task()
        assert task is not None

        async def breaks_off() -> None:
            try:
                await asyncio.sleep(5.0)
            except asyncio.CancelledError as error:
                raise ConnectionError from error

        with pytest.raises(ConnectionError), deadlines:
            await breaks_off()
        assert task.cancelling() == 0

    run(main())


def test_one_that_does_not_end_does_not_keep_the_others_from_ending() -> None:
    """An attempt that swallows its cancellation is cancelled once, and the timer continues with the next."""

    async def main() -> None:
        deadlines = Deadlines(1.0)
        cancelled = 0

        async def stubborn() -> None:
            nonlocal cancelled
            with deadlines:
                try:
                    await asyncio.sleep(50.0)
                except asyncio.CancelledError:
                    cancelled += 1
                    await asyncio.sleep(20.0)

        task = asyncio.create_task(stubborn())
        for _ in range(3):
            with pytest.raises(TimeoutError), deadlines:
                await asyncio.sleep(5.0)
        await task
        assert cancelled == 1

    run(main())


def test_two_blocks_at_once_in_a_task_are_refused() -> None:
    """The inner one would replace the outer one's time limit."""

    async def main() -> None:
        deadlines = Deadlines(1.0)
        with deadlines, pytest.raises(RuntimeError, match="one block"):
            deadlines.__enter__()

    run(main())
