"""Wakes tasks that wait for something to change, with a deadline; cheaper than a condition where nothing waits."""

import asyncio
import math


class WakeUp:
    """A wake-up without payload: waiters re-check their condition."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        """Something changed: every task that waits now continues."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = math.inf) -> None:
        """Return at the next wake-up, or after this time."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        timer = None if seconds == math.inf else loop.call_later(seconds, _end, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()


def _end(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
