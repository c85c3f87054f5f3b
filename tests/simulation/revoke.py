"""The consumer thread inside the revoke callback: it waits for the loop, with a time limit."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.simulation.client import Offsets
from tests.simulation.timeline import Lane, Process

SLACK_SECONDS = 2.0
HEAR_SECONDS = 30.0


class Revoke:
    """Mirrors `_ask_what_to_commit` of connector/kafka/consumer.py."""

    def __init__(
        self,
        process: Process,
        seconds: float,
        *,
        ask: Callable[[], Coroutine[Any, Any, Offsets]],
        hear_lost: Callable[[], None],
        let_go: Callable[[Offsets | None], None],
    ) -> None:
        """`ask` and `hear_lost` run in the loop; `let_go` in the thread, told what to commit, once."""
        self._process = process
        self._ask = ask
        self._hear_lost = hear_lost
        self._let_go = let_go
        self._task: asyncio.Task[Offsets] | None = None
        self._answered = False
        self._over = False
        process.loop.call_soon(self._start)
        process.later(Lane.THREAD, seconds + SLACK_SECONDS, self._give_up)

    def _start(self) -> None:
        if not self._answered:
            self._task = self._process.loop.create_task(self._ask())
            self._task.add_done_callback(lambda task: self._process.later(Lane.THREAD, 0.0, self._told, task))

    def _told(self, task: "asyncio.Task[Offsets]") -> None:
        if self._answered:
            return
        if task.cancelled() or task.exception() is not None:
            self._give_up()
            return
        self._answered = True
        self._end(task.result())

    def _give_up(self) -> None:
        """The loop must know it before another member may own them: it may just have woken, and send once more."""
        if self._answered:
            return
        self._answered = True
        if self._task is not None:
            self._process.loop.call_soon(self._task.cancel)
        self._process.loop.call_soon(self._say_lost)
        self._process.later(Lane.THREAD, HEAR_SECONDS, self._end, None)

    def _say_lost(self) -> None:
        self._hear_lost()
        self._process.later(Lane.THREAD, 0.0, self._end, None)

    def _end(self, offsets: Offsets | None) -> None:
        if not self._over:
            self._over = True
            self._let_go(offsets)
