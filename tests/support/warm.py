"""Starts commands in a tenth of the time: by forks of one process that has loaded them already.

Python and the imports of a command cost half a second of CPU, and the suite starts hundreds. A fork is a process of its
own, to be killed, frozen and measured. `python -m tests.support.warm` is that one process.
"""

import gc
import json
import os
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol

from connector.settings.load import PREFIXES
from tests.support.java import ROOT
from tests.support.kafka.config import die_with_parent

LOADED = (*(f"connector.cli.{name}" for name in ("check", "dlq", "quota", "run", "sandbox")), "connector.service")
"""Of the commands that tests start often; `run` loads the service only once its settings are right."""

BEGIN_SECONDS = 90.0
"""The first waits for Python and its imports."""


class Process(Protocol):
    """What a test does with a process: a part of `subprocess.Popen`."""

    @property
    def pid(self) -> int:
        """Of the process."""

    def poll(self) -> int | None:
        """The exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; raises `subprocess.TimeoutExpired`."""

    def send_signal(self, sig: int) -> None:
        """Send it, unless the process has ended."""

    def kill(self) -> None:
        """Kill it, likewise."""


class _Fork:
    """One of them, as its parent reports it."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.pid = 0
        self._code = 0

    def told(self, kind: str, number: int) -> None:
        """Take what its parent reports."""
        if kind == "begun":
            self.pid = number
            self.begun.set()
        else:
            self._code = number
            self.ended.set()

    def poll(self) -> int | None:
        return self._code if self.ended.is_set() else None

    def wait(self, timeout: float | None = None) -> int:
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self._code

    def send_signal(self, sig: int) -> None:
        if not self.ended.is_set():
            os.kill(self.pid, sig)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Warm:
    """The one process, from its first use to `stop`. May be used by several threads."""

    def __init__(self) -> None:
        # Settings and what measures coverage are each fork's own. No parent's death is waited for, as elsewhere: that
        # would be the death of the thread that happens to be the first; it ends when our end of the pipe is closed.
        environ = {name: value for name, value in os.environ.items() if not name.startswith((*PREFIXES, "COVERAGE_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.warm"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._lock = threading.Lock()
        self._forks: list[_Fork] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], out: Path, err: Path) -> Process:
        """Run the program with these arguments in this environment; its output goes to these files."""
        fork = _Fork()
        with self._lock:
            asked = json.dumps([len(self._forks), list(arguments), dict(environ), str(out), str(err)])
            self._forks.append(fork)
            assert self._process.stdin is not None
            self._process.stdin.write(asked.encode() + b"\n")
            self._process.stdin.flush()
        assert fork.begun.wait(BEGIN_SECONDS), "the process that is forked has ended, or hangs"
        return fork

    def stop(self) -> None:
        """End it; what it has started has ended before."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._listener.join()
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            number, kind, value = line.decode().split()
            self._forks[int(number)].told(kind, int(value))


_LOCK = threading.Lock()
_RUNNING: list[Warm] = []


def warm() -> Warm:
    """The one of this run of the tests, from the first use on."""
    with _LOCK:
        if not _RUNNING:
            _RUNNING.append(Warm())
        return _RUNNING[0]


def stop() -> None:
    """End it, at the end of the tests."""
    with _LOCK:
        while _RUNNING:
            _RUNNING.pop().stop()


def main() -> int:
    """Fork for each line of stdin, and report begin and end of each fork, until stdin is closed."""
    for name in LOADED:
        import_module(name)
    gc.freeze()  # What is loaded is shared with the forks for longest if the collector does not touch it.
    numbers: dict[int, int] = {}
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    selector = selectors.DefaultSelector()
    selector.register(0, selectors.EVENT_READ)
    selector.register(woken, selectors.EVENT_READ)
    mortal = die_with_parent()
    rest = b""
    while True:
        for key, _ in selector.select():
            read = os.read(key.fd, 65_536)
            if key.fd == woken:
                _report_ends(numbers)
                continue
            if not read:
                return 0
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                number, arguments, environ, out, err = json.loads(line)
                if not (pid := os.fork()):
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    selector.close()
                    for end in (woken, wake):
                        os.close(end)
                    return _be(arguments, environ, out, err, mortal)
                numbers[pid] = number
                os.write(1, f"{number} begun {pid}\n".encode())


def _report_ends(numbers: dict[int, int]) -> None:
    while numbers:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        os.write(1, f"{numbers.pop(pid)} ended {os.waitstatus_to_exitcode(status)}\n".encode())


def _be(arguments: list[str], environ: dict[str, str], out: str, err: str, mortal: Callable[[], object] | None) -> int:
    """Do in the fork what a new process does. Its end is the interpreter's own."""
    if mortal is not None:
        mortal()
    os.setsid()
    for path, fd in ((os.devnull, 0), (out, 1), (err, 2)):
        file = os.open(path, os.O_RDWR | os.O_APPEND)
        os.dup2(file, fd)
        os.close(file)
    os.environ.clear()
    os.environ.update(environ)
    if any(name.startswith("COVERAGE_") for name in environ):
        import coverage  # noqa: PLC0415 - as its hook does in a new process that it measures

        coverage.process_startup()
    from connector.cli import main as connector  # noqa: PLC0415 - loaded above

    return connector(arguments)


if __name__ == "__main__":
    sys.exit(main())
