"""Tells a test that failed because its process was held up from one that found something.

A busy machine, or the garbage collector, may hold a process up for longer than the timeouts that tests give to a server
of their own process. Such a run says nothing; it is repeated.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

TICK_SECONDS = 0.02
STALL_SECONDS = 0.08
"""The shortest timeout for a step of a test's exchange is 0.1 s."""
RUNS = 4

Watch = Callable[[], AbstractContextManager[Callable[[], float]]]
"""Watches this process while it is entered; gives a function for the longest stall so far, in seconds."""


@contextmanager
def stall_watch() -> Iterator[Callable[[], float]]:
    """Watch by a thread that wakes up all the time: what it misses is time in which no thread of this process ran."""
    longest = 0.0
    over = threading.Event()

    def look() -> None:
        nonlocal longest
        ended = False
        while not ended:
            began = time.monotonic()
            ended = over.wait(TICK_SECONDS)
            longest = max(longest, time.monotonic() - began - TICK_SECONDS)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: longest
    finally:
        over.set()
        thread.join()


def repeated(run: Callable[[], object], watch: Watch = stall_watch) -> None:
    """Run it, and again where it failed and was held up. Raises the failure of the last run."""
    for number in range(1, RUNS + 1):
        try:
            with watch() as longest:
                run()
        except Exception:
            if longest() < STALL_SECONDS or number == RUNS:
                raise
        else:
            return
