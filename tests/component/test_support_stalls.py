"""A failure counts unless the process was held up: else a busy machine fails tests, or a fault hides behind one."""

import subprocess
import sys
from contextlib import nullcontext

import pytest

from tests.support.stalls import RUNS, STALL_SECONDS, repeated, stall_watch


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
