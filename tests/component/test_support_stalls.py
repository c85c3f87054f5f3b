"""A failure counts unless the process was held up: else a busy machine fails tests, or a fault hides behind one."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.support.stalls import RUNS, STALL_SECONDS, TICK_SECONDS, repeated, stall_watch, waits_for_a_core


class _Fails:
    """Fails in its first runs."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.runs = 0

    def __call__(self) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise AssertionError


@pytest.mark.parametrize("fails", [0, 2, RUNS - 1])
def test_a_run_that_was_held_up_is_repeated(fails: int) -> None:
    """What passes once has shown that it can."""
    run = _Fails(fails)
    repeated(run, lambda: nullcontext(lambda: 1.0))
    assert run.runs == fails + 1


@pytest.mark.parametrize(("stall", "runs"), [(0.0, 1), (STALL_SECONDS / 2, 1), (1.0, RUNS)])
def test_a_failure_that_nothing_held_up_counts_and_so_does_one_that_stays(stall: float, runs: int) -> None:
    """Else a fault that a test finds now and then would never be seen."""
    run = _Fails(RUNS)
    with pytest.raises(AssertionError):
        repeated(run, lambda: nullcontext(lambda: stall))
    assert run.runs == runs


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")
def test_a_frozen_process_was_held_up() -> None:
    """The watch is a thread of the process, so what holds up all of it is what it sees."""
    with stall_watch() as longest:
        subprocess.run(["sh", "-c", "kill -STOP $PPID; sleep 0.3; kill -CONT $PPID"], check=True)
    assert longest() > 0.2


def test_a_thread_that_waited_for_a_core_was_held_up_also_while_others_ran() -> None:
    """All timers of an event loop fall due at once by that, as by a frozen process."""
    seconds = iter((0.0, 0.5))
    with stall_watch(lambda: {1: next(seconds, 0.5)}) as longest:
        time.sleep(4 * TICK_SECONDS)
    assert longest() >= 0.5


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the kernel counts no waits for a core")
def test_the_kernel_says_how_long_a_thread_waited_for_a_core() -> None:
    """Here for one that another process takes."""
    core = min(os.sched_getaffinity(0))
    data = bytes(1 << 24)
    waited = []

    def work() -> None:
        # Of this thread alone: Linux takes a thread's number where POSIX takes a process's.
        me = threading.get_native_id()
        os.sched_setaffinity(me, {core})
        os.setpriority(os.PRIO_PROCESS, me, 19)
        began, deadline = waits_for_a_core()[me], time.monotonic() + 60
        while waits_for_a_core()[me] - began < STALL_SECONDS and time.monotonic() < deadline:
            hashlib.sha256(data)
        waited.append(waits_for_a_core()[me] - began)

    busy = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        busy.kill()
        busy.wait()
    assert waited[0] >= STALL_SECONDS
