"""Tells a test that failed because its process was held up from one that found something.

A busy machine, or the garbage collector, may hold a process up for longer than the timeouts that tests give to a server
of their own process. Such a run says nothing; it is repeated.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

TICK_SECONDS = 0.02
STALL_SECONDS = 0.08
"""The shortest timeout for a step of a test's exchange is 0.1 s."""
RUNS = 4


class Watch(Protocol):
    """What a run is judged by, once it has ended."""

    @property
    def longest(self) -> float:
        """Seconds in which no thread of this process ran."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class StallWatch:
    """Measures by a thread that wakes up all the time."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        ended = False
        while not ended:
            began = time.monotonic()
            ended = self._ended.wait(TICK_SECONDS)
            self.longest = max(self.longest, time.monotonic() - began - TICK_SECONDS)


def repeated(run: Callable[[], object], watch: Callable[[], Watch] = StallWatch, runs: int = RUNS) -> None:
    """Run it, and again where it failed and was held up. Raises the failure of the last run."""
    for number in range(1, runs + 1):
        watching = watch()
        try:
            with watching:
                run()
        except Exception:
            if watching.longest < STALL_SECONDS or number == runs:
                raise
        else:
            return
