"""The server that all processes of a run share: a second one wastes seconds, an early end fails the others' tests."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Thread

import pytest

from tests.support.shared import shared

USER = """
import contextlib, pathlib, sys
from tests.support.shared import shared
with shared(pathlib.Path(sys.argv[1]), lambda: contextlib.nullcontext("another")) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def user(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server until it is killed or its input ends; and the address that it got."""
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


@contextmanager
def served(events: list[str]) -> Iterator[str]:
    """A server that notes its begin and its end."""
    events.append("begin")
    yield "the first"
    events.append("end")


@pytest.mark.parametrize("leaves", ["in order", "by a crash"])
def test_it_ends_when_its_last_user_has_left(tmp_path: Path, leaves: str) -> None:
    """The process that started it may be done first, and one that crashes does not hold up its end."""
    events: list[str] = []
    with user_of_one(tmp_path, events) as (process, ending):
        ending.join(0.2)
        assert events == ["begin"]
        if leaves == "in order":
            process.communicate()
        else:
            process.kill()
        ending.join(30.0)
        assert events == ["begin", "end"]


@contextmanager
def user_of_one(folder: Path, events: list[str]) -> Iterator[tuple[subprocess.Popen[str], Thread]]:
    """Another process that uses what this one has started, and a thread in which this one has begun to leave."""
    use = shared(folder, lambda: served(events))
    assert use.__enter__() == "the first"
    with user(folder) as (process, address):
        assert address == "the first"
        ending = Thread(target=use.__exit__, args=(None, None, None))
        ending.start()
        yield process, ending


def test_what_comes_after_its_end_starts_its_own(tmp_path: Path) -> None:
    """The address of a server that has ended is no address."""
    events: list[str] = []
    with shared(tmp_path, lambda: served(events)):
        pass
    with user(tmp_path) as (_, address):
        assert address == "another"
    assert events == ["begin", "end"]


def test_a_start_that_fails_is_tried_by_the_next(tmp_path: Path) -> None:
    """Each process reports the reason, and none waits for a server that is not there."""

    def broken() -> AbstractContextManager[str]:
        msg = "no memory"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="no memory"), shared(tmp_path, broken):
        pass
    with user(tmp_path) as (_, address):
        assert address == "another"
