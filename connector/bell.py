"""One bell that several tasks may wait for, with a deadline; cheaper than a condition where nobody waits."""

import asyncio
import math


class Bell:
    """`ring` wakes everyone who waits now. A waiter looks again at what it waits for: a ring carries no meaning."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Something changed."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def wait(self, seconds: float = math.inf) -> None:
        """Return at the next ring, or after so many seconds."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._waiters.add(waiter)
        timer = None if seconds == math.inf else loop.call_later(seconds, _fire, waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
            if timer is not None:
                timer.cancel()


def _fire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
