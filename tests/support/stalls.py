"""Tells a test that failed because its process was held up from one that found something.

A busy machine, or the garbage collector, may hold a process up for longer than the timeouts that tests give to a server
of their own process. Such a run says nothing; it is repeated.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

TICK_SECONDS = 0.02
STALL_SECONDS = 0.08
"""The shortest timeout for a step of a test's exchange is 0.1 s."""
RUNS = 4

Watch = Callable[[], AbstractContextManager[Callable[[], float]]]
"""Watches this process while it is entered; gives a function for the longest stall so far, in seconds."""


def waits_for_a_core() -> dict[int, float]:
    """Seconds that each thread of Python's has waited for a core so far; empty where the kernel does not count them.

    Of https://docs.kernel.org/scheduler/sched-stats.html, the second number of a thread's `schedstat`.
    """
    waits = {}
    for thread in threading.enumerate():
        with suppress(OSError):  # No such file on other systems, and none of a thread that has ended.
            told = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text()
            waits[thread.native_id or 0] = int(told.split()[1]) / 1e9
    return waits


@contextmanager
def stall_watch(waits: Callable[[], Mapping[int, float]] = waits_for_a_core) -> Iterator[Callable[[], float]]:
    """Watch by a thread that wakes up all the time: what it misses is time in which no thread of this process ran.

    Where other threads ran meanwhile, the kernel says how long one waited for a core.
    """
    longest = 0.0
    over = threading.Event()

    def look() -> None:
        nonlocal longest
        ended = False
        before = waits()
        while not ended:
            began = time.monotonic()
            ended = over.wait(TICK_SECONDS)
            missed = time.monotonic() - began - TICK_SECONDS
            now = waits()
            longest = max(longest, missed, *(now[thread] - before.get(thread, 0.0) for thread in now))
            before = now

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
