"""From the thread of a Kafka client to the event loop, in order; what goes wrong there must be the end."""

import asyncio
from collections.abc import Callable


class LoopBridge:
    """Made on the loop, called in the thread: calls wait for nothing, and are made on the loop one after the other."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        """`failed` is told what one of the calls raised: what comes after it would build on what was not heard."""
        self._loop = asyncio.get_running_loop()
        self._failed = failed

    def __call__(self, what: Callable[..., None], *args: object) -> None:
        """Have it called; a loop that is closed hears nothing any more."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hear, what, args)

    def _hear(self, what: Callable[..., None], args: tuple[object, ...]) -> None:
        try:
            what(*args)
        except Exception as error:  # noqa: BLE001 - whatever it is
            self._failed(error)
