"""One virtual clock for several processes, each with an event loop of its own that can be frozen or killed.

A world is a discrete-event simulation: events happen in order of time, whatever their process. A frozen process
has no turns: what falls due meanwhile (its timers, its arrivals) waits, and happens late, in a random
order between its threads. No thread and no real time is in it, so a seed decides everything.
"""

import asyncio
import enum
import heapq
import random
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

SETTLING_SECONDS = 1.0
"""Seconds by which events that fell due meanwhile may come late."""
GRAIN_SECONDS = 1e-7
"""Timers fire a little late, as real ones do; in time by rounding they would fire too early, and be set again."""
SPINS = 200_000
"""Steps at one moment after which a world counts as looping."""


class Timeline:
    """Future events, by time."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._tie = count()
        self._spins = 0

    def at(self, when: float, what: Callable[..., object], *args: Any) -> None:
        """Do it then, or now if that is past."""
        heapq.heappush(self._due, (max(when, self.now), next(self._tie), what, args))

    def after(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """Do it after this many seconds."""
        self.at(self.now + seconds, what, *args)

    def step(self) -> None:
        """Run the next event."""
        when, _, what, args = heapq.heappop(self._due)
        self._spins = self._spins + 1 if when == self.now else 0
        assert self._spins < SPINS, "the world loops: no time passes"
        self.now = when
        what(*args)


class Lane(enum.Enum):
    """The threads of a process that are simulated."""

    LOOP = "loop"
    """The event loop: all of the pipeline."""
    THREAD = "thread"
    """The thread that owns the consumer."""
    CLIENT = "client"
    """librdkafka's own, which keeps the group's session."""


class Process:
    """One replica's process. `kill` ends it at once: nothing that it does after that has an effect."""

    def __init__(self, timeline: Timeline, rng: random.Random, wrong: Callable[[str], None]) -> None:
        """`wrong` is called with an error that nobody in the process caught."""
        self.timeline = timeline
        self.dead = False
        self.slept = 0.0
        """Seconds for which its monotonic clock stopped, because the machine slept."""
        self.went_on_at = -1.0
        """When it last resumed, by its own clock."""
        self.loop = Loop(self, wrong)  # type: ignore[abstract]  # Sockets and signals are not in this world.
        self._rng = rng
        self._held: dict[Lane, list[tuple[Callable[..., object], tuple[Any, ...]]]] = {}

    def clock(self) -> float:
        """Its monotonic clock."""
        return self.timeline.now - self.slept

    @property
    def frozen(self) -> bool:
        """Whether it is frozen or dead."""
        return Lane.CLIENT in self._held

    def holds(self, lane: Lane) -> bool:
        """Whether this thread is frozen."""
        return lane in self._held

    def hold(self, *lanes: Lane) -> None:
        """Freeze these threads."""
        for lane in lanes:
            self._held.setdefault(lane, [])

    def release(self, *lanes: Lane) -> None:
        """Resume them: overdue events happen now, in order within a thread, and in any order between two."""
        self.went_on_at = self.clock() + SETTLING_SECONDS
        for lane in lanes:
            late = self._held.pop(lane, None)
            if late is None:
                continue
            delay = self._rng.choice((0.0, 0.001, 0.02, 0.3)) * self._rng.random()
            for what, args in late:
                delay += 1e-6
                self.later(lane, delay, what, *args)
            if lane is Lane.LOOP:
                self.loop.wake()

    def later(self, lane: Lane, seconds: float, what: Callable[..., object], *args: Any) -> None:
        """Do it in that thread after this many seconds by the process's own clock."""
        self.at(lane, self.clock() + seconds, what, *args)

    def at(self, lane: Lane, when: float, what: Callable[..., object], *args: Any) -> None:
        """Do it in that thread at this time of the process's own clock."""
        self.timeline.at(when + self.slept, self._due, lane, when, what, args)

    def _due(self, lane: Lane, when: float, what: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.dead:
            return
        if when + self.slept > self.timeline.now + 1e-9:
            self.at(lane, when, what, *args)  # The machine slept meanwhile.
        elif (held := self._held.get(lane)) is not None:
            held.append((what, args))
        else:
            what(*args)

    def kill(self) -> None:
        """End it; its tasks are ended too, without any effect on the world."""
        self.dead = True
        self._held.clear()
        self.loop.finish()


class _Future(asyncio.Future[T]):
    """A future that hashes to its number: a set of them has the same order in every run."""

    def __init__(self, loop: "Loop", number: int) -> None:
        super().__init__(loop=loop)
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _Task(asyncio.Task[T]):
    """Likewise a task."""

    def __init__(self, coro: Any, loop: "Loop", number: int, name: str | None, context: Context | None) -> None:
        self._number = number
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class Loop(asyncio.AbstractEventLoop):
    """The event loop of one process, run by the timeline."""

    def __init__(self, process: Process, wrong: Callable[[str], None]) -> None:
        self._process = process
        self._wrong = wrong
        self._ready: deque[asyncio.Handle] = deque()
        self._numbers = count(1)
        self._woken = False
        self._tasks: list[asyncio.Task[Any]] = []
        self.after_turn: Callable[[], None] | None = None
        """Called when all that was ready has run."""

    # asyncio's interface.

    def time(self) -> float:
        return self._process.clock()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return self._process.dead

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(self, next(self._numbers))

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_others: Any,
    ) -> asyncio.Task[T]:
        number = next(self._numbers)
        task: asyncio.Task[T] = _Task(coro, self, number, name or str(number), context)
        if len(self._tasks) > 1_000:
            self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(task)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        if not self._woken:
            self.wake()
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._process.at(Lane.LOOP, when + GRAIN_SECONDS, self._fire, timer)
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self._process.dead:
            self._wrong(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It stays in the timeline, and does nothing when it is due."""

    # Run by the timeline.

    def wake(self) -> None:
        """A callback is ready."""
        self._woken = True
        self._process.timeline.at(self._process.timeline.now, self._turn)

    def finish(self) -> None:
        """The process is dead: end every remaining task, so that none is reported unfinished later."""
        for _ in range(20):
            left = [task for task in self._tasks if not task.done()]
            if not left and not self._ready:
                break
            for task in left:
                task.cancel()
            self._run()
        assert all(task.done() for task in self._tasks), "a task does not end when it is cancelled"

    def _fire(self, timer: asyncio.TimerHandle) -> None:
        if not timer.cancelled():
            self._ready.append(timer)
            if not self._woken:
                self.wake()

    def _turn(self) -> None:
        self._woken = False
        if self._process.dead or self._process.holds(Lane.LOOP):
            return
        self._run()
        if self.after_turn is not None and not self._process.dead:
            self.after_turn()

    def _run(self) -> None:
        ready = self._ready
        before = events._get_running_loop()  # noqa: SLF001 - a loop says so of itself
        events._set_running_loop(self)  # noqa: SLF001
        self._woken = True
        try:
            while ready and not (self._process.holds(Lane.LOOP) and not self._process.dead):
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001 - likewise
        finally:
            self._woken = False
            events._set_running_loop(before)  # noqa: SLF001
