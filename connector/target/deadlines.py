"""One time limit for all attempts, by one timer: a timer of its own for each costs a tenth of what sending it costs."""

import asyncio
from types import TracebackType

_TICK_SECONDS = 0.001
"""uvloop's clock ticks so, and its timers may ring up to a tick early."""


class Deadlines:
    """`with deadlines:` gives what is inside `seconds`, then ends it by TimeoutError, in the way of asyncio.timeout.

    One object serves every task of the loop that it was made in, one block at a time for each task. All have the same
    limit, so the first to begin is the first whose time is over: one timer, for the oldest, is enough.
    """

    __slots__ = ("_alarm", "_begun", "_loop", "_seconds")

    def __init__(self, seconds: float) -> None:
        """Belongs to the running loop."""
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        # When its time is over (0: it was rung), and the cancellations asked of it before; the oldest first.
        self._begun: dict[asyncio.Task[object] | None, tuple[float, int, asyncio.Task[object]]] = {}
        self._alarm: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        if task is None or task in self._begun:
            msg = "one block at a time, in a task"
            raise RuntimeError(msg)
        over = self._loop.time() + self._seconds
        self._begun[task] = over, task.cancelling(), task
        if self._alarm is None:
            self._alarm = self._loop.call_at(over, self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        over, cancelled, task = self._begun.pop(asyncio.current_task(self._loop))
        if over:
            return
        # Ours is taken back; one that others asked for meanwhile stays.
        if task.uncancel() <= cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _ring(self) -> None:
        now = self._loop.time() + _TICK_SECONDS
        for over, cancelled, task in self._begun.values():
            if over > now:
                self._alarm = self._loop.call_at(over, self._ring)
                return
            if over:
                self._begun[task] = 0.0, cancelled, task
                task.cancel()
        self._alarm = None
